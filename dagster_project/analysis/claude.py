"""One attempt at the Messages API, and what kind of failure it was.

The SDK's own retries are off: a retry can be billed, so each attempt is decided on and recorded by the engine. Nothing
of a prompt or an answer is logged.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import anthropic
from anthropic import AsyncAnthropic

from dagster_project.analysis.settings import AnalysisSettings

logger = logging.getLogger(__name__)


class ErrorKind(StrEnum):
    RATE_LIMIT = "rate_limit"
    RAMP_LIMIT = "ramp_limit"
    SPEND_LIMIT = "spend_limit"
    OVERLOADED = "overloaded"
    SERVER = "server"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    STREAM_CUT = "stream_cut"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    REFUSAL = "refusal"
    CONTEXT_EXCEEDED = "context_exceeded"
    AUTHENTICATION = "authentication"
    INVALID_REQUEST = "invalid_request"
    # decided here, before anything was sent
    DEADLINE = "deadline"
    BUDGET = "budget"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often one kind may be tried in all, and the wait before the second attempt; it doubles from there."""

    attempts: int
    first_wait_s: float = 0.0


RETRY_RULES: Mapping[ErrorKind, RetryRule] = {
    ErrorKind.RATE_LIMIT: RetryRule(5, 1.0),
    # a ramp limit lifts within minutes as usage grows: fewer, longer waits
    ErrorKind.RAMP_LIMIT: RetryRule(5, 5.0),
    ErrorKind.OVERLOADED: RetryRule(5, 1.0),
    ErrorKind.SERVER: RetryRule(4, 0.5),
    ErrorKind.CONNECTION: RetryRule(4, 0.5),
    # the answer of a request that timed out may still be billed: once more, not again and again
    ErrorKind.TIMEOUT: RetryRule(2),
    ErrorKind.STREAM_CUT: RetryRule(3, 0.2),
    # the second attempt has twice the room
    ErrorKind.TRUNCATED: RetryRule(2),
    ErrorKind.MALFORMED: RetryRule(2),
}
LONGEST_WAIT_S = 30.0
MOST_TOKENS = 1_000_000_000
# what would fail for every further request too
STOPS_THE_RUN = frozenset({ErrorKind.SPEND_LIMIT, ErrorKind.AUTHENTICATION})
SPEND_CODES = frozenset(
    {"enforced_spend_limit_reached", "contract_spend_limit_reached", "linked_organization_spend_limit_reached"}
)


@dataclass(frozen=True, slots=True)
class Usage:
    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    thinking: int = 0

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input=self.input + other.input,
            cache_read=self.cache_read + other.cache_read,
            cache_write_5m=self.cache_write_5m + other.cache_write_5m,
            cache_write_1h=self.cache_write_1h + other.cache_write_1h,
            output=self.output + other.output,
            thinking=self.thinking + other.thinking,
        )


@dataclass(slots=True)
class Attempt:
    """What is known of a request so far; filled while it runs, so that a failure keeps what was already billed."""

    model: str
    started: float = field(default_factory=time.monotonic)
    usage: Usage = field(default_factory=Usage)
    text: str = ""
    stop_reason: str | None = None
    api_request_id: str | None = None
    first_event_ms: int | None = None
    latency_ms: int | None = None

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)


class RequestError(Exception):
    """An attempt that brought no usable answer."""

    def __init__(self, kind: ErrorKind, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_s = retry_after_s


class ClaudeClient:
    def __init__(self, settings: AnalysisSettings) -> None:
        key = settings.api_key.get_secret_value() if settings.api_key else None
        self._sdk = AsyncAnthropic(
            # a stand-in needs no key, but the SDK refuses to send without one
            api_key=key or "no-key-given",
            base_url=settings.origin,
            max_retries=0,
            timeout=settings.request_timeout_s,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sdk.close()

    @property
    def sdk(self) -> AsyncAnthropic:
        return self._sdk

    async def send(
        self,
        parameters: Mapping[str, Any],
        *,
        attempt: Attempt,
        timeout_s: float,
        on_first_event: Callable[[], None] | None = None,
    ) -> None:
        """Fill `attempt`; streams when somebody waits for the first event."""
        try:
            async with asyncio.timeout(timeout_s):
                if on_first_event is None:
                    await self._create(parameters, attempt)
                else:
                    await self._stream(parameters, attempt, on_first_event)
        except TimeoutError as error:
            raise RequestError(
                ErrorKind.TIMEOUT, f"no complete answer within {timeout_s:.0f} s", retry_after_s=None
            ) from error
        except anthropic.AnthropicError as error:
            failure = classify(error)
            if attempt.first_event_ms is not None and failure.kind is ErrorKind.CONNECTION:
                failure = RequestError(ErrorKind.STREAM_CUT, f"the stream broke off: {failure}")
            attempt.api_request_id = attempt.api_request_id or getattr(error, "request_id", None)
            raise failure from error
        except Exception as error:
            # the SDK lets transport errors inside a stream through as they are
            kind = ErrorKind.STREAM_CUT if attempt.first_event_ms is not None else ErrorKind.MALFORMED
            raise RequestError(kind, f"{type(error).__name__}: {error}") from error
        finally:
            attempt.latency_ms = attempt.elapsed_ms()
        check_stop_reason(attempt)

    async def _create(self, parameters: Mapping[str, Any], attempt: Attempt) -> None:
        message = await self._sdk.messages.create(**parameters)
        attempt.first_event_ms = attempt.elapsed_ms()
        attempt.api_request_id = getattr(message, "_request_id", None)
        read_message(message, attempt)

    async def _stream(
        self, parameters: Mapping[str, Any], attempt: Attempt, on_first_event: Callable[[], None]
    ) -> None:
        parts: list[str] = []
        is_complete = False
        async with await self._sdk.messages.create(**parameters, stream=True) as stream:
            attempt.api_request_id = stream.response.headers.get("request-id")
            async for event in stream:
                match event.type:
                    case "message_start":
                        attempt.first_event_ms = attempt.elapsed_ms()
                        attempt.model = str(event.message.model)
                        attempt.usage = read_usage(event.message.usage)
                        on_first_event()
                    case "content_block_delta":
                        if event.delta.type == "text_delta":
                            parts.append(event.delta.text)
                    case "message_delta":
                        attempt.stop_reason = event.delta.stop_reason
                        attempt.usage = replace(
                            attempt.usage,
                            output=count(event.usage, "output_tokens"),
                            thinking=count(event.usage.output_tokens_details, "thinking_tokens"),
                        )
                    case "message_stop":
                        is_complete = True
        attempt.text = "".join(parts)
        if not is_complete:
            raise RequestError(ErrorKind.STREAM_CUT, "the stream ended before the answer did")


def read_message(message: Any, attempt: Attempt) -> None:
    """Usage first: whatever is wrong with the rest, it was billed."""
    attempt.model = str(message.model)
    attempt.usage = read_usage(message.usage)
    attempt.stop_reason = message.stop_reason
    # a thinking block may come first: text is selected by type, never by place
    attempt.text = "".join(block.text for block in message.content or () if block.type == "text")


def read_usage(usage: Any) -> Usage:
    by_ttl = getattr(usage, "cache_creation", None)
    return Usage(
        input=count(usage, "input_tokens"),
        cache_read=count(usage, "cache_read_input_tokens"),
        # without the split by lifetime, everything written counts as the cheaper kind
        cache_write_5m=count(by_ttl, "ephemeral_5m_input_tokens")
        if by_ttl
        else count(usage, "cache_creation_input_tokens"),
        cache_write_1h=count(by_ttl, "ephemeral_1h_input_tokens"),
        output=count(usage, "output_tokens"),
        thinking=count(getattr(usage, "output_tokens_details", None), "thinking_tokens"),
    )


def count(holder: Any, name: str) -> int:
    """A token count, or 0 where a server sent something else."""
    value = getattr(holder, name, None)
    return value if type(value) is int and 0 <= value < MOST_TOKENS else 0


def check_stop_reason(attempt: Attempt) -> None:
    match attempt.stop_reason:
        case "end_turn" | "stop_sequence":
            return
        case "refusal":
            raise RequestError(ErrorKind.REFUSAL, "the model declined to answer")
        case "max_tokens":
            raise RequestError(ErrorKind.TRUNCATED, "the answer was longer than max_tokens")
        case "model_context_window_exceeded":
            raise RequestError(ErrorKind.CONTEXT_EXCEEDED, "the request and its answer do not fit the context window")
        case other:
            raise RequestError(ErrorKind.MALFORMED, f"the answer ended with the stop reason {other!r}")


def classify(error: anthropic.AnthropicError) -> RequestError:
    if isinstance(error, anthropic.APITimeoutError):
        return RequestError(ErrorKind.TIMEOUT, "the API did not answer in time")
    if isinstance(error, anthropic.APIConnectionError):
        return RequestError(ErrorKind.CONNECTION, f"no connection: {error.__cause__ or error}")
    if isinstance(error, anthropic.APIResponseValidationError):
        return RequestError(ErrorKind.MALFORMED, f"the API's answer is not what its version promises: {error}")
    if not isinstance(error, anthropic.APIStatusError):
        return RequestError(ErrorKind.INVALID_REQUEST, str(error))
    return classify_status(error)


def classify_status(error: anthropic.APIStatusError) -> RequestError:
    status, code, error_type = error.status_code, error.error_code, error_type_of(error.body)
    message = message_of(error)
    retry_after_s = read_retry_after(error.response.headers)
    if code in SPEND_CODES or status == 402 or "reached your specified api usage limits" in message.lower():
        return RequestError(ErrorKind.SPEND_LIMIT, message)
    if code == "ramp_limit_exceeded":
        return RequestError(ErrorKind.RAMP_LIMIT, message, retry_after_s=retry_after_s)
    if status == 429 or error_type == "rate_limit_error":
        return RequestError(ErrorKind.RATE_LIMIT, message, retry_after_s=retry_after_s)
    if status == 529 or error_type == "overloaded_error":
        return RequestError(ErrorKind.OVERLOADED, message, retry_after_s=retry_after_s)
    if status in (401, 403) or error_type in ("authentication_error", "permission_error"):
        return RequestError(ErrorKind.AUTHENTICATION, f"{message} (check ANTHROPIC_API_KEY and its workspace)")
    if status == 404:
        return RequestError(ErrorKind.AUTHENTICATION, f"{message} (check CALL_COACH_MODEL and ANTHROPIC_BASE_URL)")
    if status == 413 or "prompt is too long" in message.lower():
        return RequestError(ErrorKind.CONTEXT_EXCEEDED, message)
    if status == 408 or error_type == "timeout_error":
        return RequestError(ErrorKind.TIMEOUT, message)
    if status >= 500 or status == 409 or error_type == "api_error":
        return RequestError(ErrorKind.SERVER, message, retry_after_s=retry_after_s)
    return RequestError(ErrorKind.INVALID_REQUEST, message)


def error_type_of(body: object) -> str | None:
    inner = body.get("error") if isinstance(body, dict) else None
    return inner.get("type") if isinstance(inner, dict) else None


def message_of(error: anthropic.APIStatusError) -> str:
    inner = error.body.get("error") if isinstance(error.body, dict) else None
    message = inner.get("message") if isinstance(inner, dict) else None
    return f"HTTP {error.status_code}: {message or error.message}"[:500]


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is not None:
            try:
                return max(float(value) * unit_s, 0.0)
            except ValueError:
                continue
    return None


def wait_before_retry(failure: RequestError, *, n_failures: int) -> float:
    """Seconds before the next attempt; what the API asks for wins, and no two clients wait alike."""
    if failure.retry_after_s is not None:
        return failure.retry_after_s + random.uniform(0, 0.25)
    first_wait_s = RETRY_RULES[failure.kind].first_wait_s
    return min(first_wait_s * 2 ** (n_failures - 1), LONGEST_WAIT_S) * random.uniform(0.75, 1.25)
