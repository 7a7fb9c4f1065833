"""A Claude API on loopback: Messages with streaming, token counts, models and batches, without Claude.

It refuses what the real API refuses, bills prompt caching as the real API does, fails where it is told to, and answers
every request with the model name "sandbox". State lives in memory and ends with the process.
"""

import asyncio
import hashlib
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from dagster_project.analysis.sandbox.batches import Batches
from dagster_project.analysis.sandbox.bill import list_price_usd
from dagster_project.analysis.sandbox.conformance import Conformance
from dagster_project.analysis.sandbox.faults import Faults, Switch
from dagster_project.analysis.sandbox.judge import Judge
from dagster_project.analysis.sandbox.mischief import answered_wrongly, scrambled, scrambled_text, spoil
from dagster_project.analysis.sandbox.prompt_cache import (
    Plan,
    PromptCache,
    as_blocks,
    breakpoints_of,
    count_tokens,
    text_of,
)
from dagster_project.analysis.sandbox.reading import SECTION
from dagster_project.analysis.sandbox.refusals import RefusedError, check_request
from dagster_project.analysis.sandbox.responses import (
    ApiError,
    error_body,
    fault_response,
    model_body,
    rate_limit_headers,
)
from dagster_project.analysis.sandbox.visits import Visit, Visits
from knowledge.models import Model, ModelError, load_models

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STAND_IN_MODEL = "sandbox"
DELTA_CHARACTERS = 2_000
MAX_BODY_BYTES = 32 * 1024 * 1024


@dataclass
class Behaviour:
    """What the control endpoint may change while the server runs."""

    # until the first event, and until the answer is complete
    first_event_s: float = 0.0
    answer_s: float = 0.0
    # answers are padded to this many tokens, to measure costs with
    output_tokens: int = 0
    obeys_injections: bool = False
    flip_share: float = 0.0
    needs_key: bool = True


@dataclass
class Statistics:
    requests: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    # of what callers were told; batches are not in it
    billed_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class Reply:
    text: str
    stop_reason: str
    usage: dict[str, Any]
    plan: Plan


class Sandbox:
    """The ASGI application."""

    def __init__(
        self, *, behaviour: Behaviour | None = None, faults: Faults | None = None, is_conformance: bool = False
    ):
        self.behaviour = behaviour or Behaviour()
        self.faults = faults or Faults()
        self.cache = PromptCache()
        self.statistics = Statistics()
        self._visits = Visits()
        self._models = load_models()
        self._judge = Judge()
        self._serial = itertools.count(1)
        self._scrambles = itertools.count(1)
        self._conformance = Conformance() if is_conformance else None
        self._batches = Batches(answer=self._answer_in_batch)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = f"req_sandbox_{next(self._serial):08d}"
        body = await read_body(receive)
        try:
            if body is None:
                raise ApiError(413, "request_too_large", "Request exceeds the maximum size of 32 MB")
            await self._route(scope, body, receive, send, request_id)
        except RefusedError as refused:
            await send_json(send, 400, error_body("invalid_request_error", str(refused), request_id), request_id)
        except ApiError as fault:
            body_ = error_body(fault.error_type, fault.message, request_id, code=fault.code)
            await send_json(send, fault.status, body_, request_id, fault.headers)

    async def _route(self, scope: Scope, raw: bytes, receive: Receive, send: Send, request_id: str) -> None:
        method, path = scope["method"], scope["path"].rstrip("/")
        if path == "/_control":
            await self._control(method, raw, send, request_id)
            return
        if path == "/_control/visits":
            await send_json(send, 200, self._visits.as_json(), request_id)
            return
        self._check_headers(scope)
        if self._conformance is not None:
            await self._conformance.handle(scope, raw, send, request_id)
            return
        parts = path.removeprefix("/v1/").split("/")
        match method, parts:
            case "POST", ["messages"]:
                await self._messages(read_json(raw), receive, send, request_id)
            case "POST", ["messages", "count_tokens"]:
                body = read_json(raw)
                check_request(body, model=self._model(body), is_count=True)
                await send_json(send, 200, {"input_tokens": breakpoints_of(body, scope="count")[1]}, request_id)
            case "GET", ["models"]:
                listed = [model_body(model) for model in self._models.models if not model.is_sandbox]
                page = {"data": listed, "has_more": False, "first_id": listed[0]["id"], "last_id": listed[-1]["id"]}
                await send_json(send, 200, page, request_id)
            case "GET", ["models", name]:
                await send_json(send, 200, model_body(self._model({"model": name})), request_id)
            case _, ["messages", "batches", *rest]:
                await self._batches.handle(method, rest, scope, raw, send, request_id)
            case _:
                raise ApiError(404, "not_found_error", f"Not found: {method} {path}")

    def _check_headers(self, scope: Scope) -> None:
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        authorization = headers.get("authorization", "")
        has_key = headers.get("x-api-key") or authorization.removeprefix("Bearer ").strip()
        if self.behaviour.needs_key and not has_key:
            raise ApiError(401, "authentication_error", "x-api-key or Authorization: Bearer header is required")
        if "anthropic-version" not in headers:
            raise ApiError(400, "invalid_request_error", "anthropic-version: header is required")

    async def _control(self, method: str, raw: bytes, send: Send, request_id: str) -> None:
        if method == "POST":
            wanted = read_json(raw)
            if "faults" in wanted:
                try:
                    self.faults.set(wanted["faults"])
                except (TypeError, ValueError) as error:
                    raise RefusedError(f"faults: {error}") from error
            for name, value in (wanted.get("behaviour") or {}).items():
                if not hasattr(self.behaviour, name):
                    raise RefusedError(f"behaviour.{name}: unknown")
                setattr(self.behaviour, name, value)
            if wanted.get("clear_cache"):
                self.cache.clear()
            if wanted.get("clear_statistics"):
                self.statistics = Statistics(in_flight=self.statistics.in_flight)
                self._visits.clear()
            if wanted.get("clear_batches"):
                self._batches.clear()
            if "batches" in wanted:
                self._batches.control(wanted["batches"])
        state = {
            "requests": dict(self.statistics.requests),
            "in_flight": self.statistics.in_flight,
            "most_in_flight": self.statistics.most_in_flight,
            "billed_usd": str(self.statistics.billed_usd),
            "behaviour": vars(self.behaviour),
            "batches": self._batches.summary(),
        }
        await send_json(send, 200, state, request_id)

    def _model(self, body: dict[str, Any]) -> Model:
        try:
            return self._models.model(str(body.get("model")))
        except ModelError:
            raise ApiError(404, "not_found_error", f"model: {body.get('model')}") from None

    async def _messages(self, body: dict[str, Any], receive: Receive, send: Send, request_id: str) -> None:
        statistics = self.statistics
        statistics.requests["messages"] += 1
        statistics.in_flight += 1
        statistics.most_in_flight = max(statistics.most_in_flight, statistics.in_flight)
        visit = self._visits.open(request_id)
        try:
            model = self._model(body)
            visit.model = model.id
            check_request(body, model=model)
            switch = self._pick_fault(body)
            if switch is not None and switch.kind == "no_system_role":
                if body["messages"][-1]["role"] == "system":
                    raise RefusedError("messages.1.role: Input should be 'user' or 'assistant'")
                switch = None
            if switch is not None:
                statistics.requests[f"fault:{switch.kind}"] += 1
                visit.fault = switch.kind
                if await fault_response(switch, receive, send, request_id, model=model.id):
                    return
            if body.get("stream"):
                await self._stream(body, model, switch, send, visit)
            else:
                await self._respond(body, model, switch, send, visit)
            visit.status = 200
        except ApiError as fault:
            visit.status = fault.status
            raise
        except RefusedError:
            visit.status = 400
            raise
        finally:
            visit.answered_at = time.time()
            statistics.in_flight -= 1

    def _pick_fault(self, body: dict[str, Any]) -> Switch | None:
        if not self.faults.switches:
            return None
        _, transcript, questions = prompt_texts(body)
        # a correction asks the same question again
        asked = "\x00".join([transcript, *SECTION.findall(questions)])
        digest = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()
        return self.faults.pick(prompt_digest=digest, questions=questions, model=body.get("model"))

    async def _respond(
        self, body: dict[str, Any], model: Model, switch: Switch | None, send: Send, visit: Visit
    ) -> None:
        plan = self._plan(body, model)
        await asyncio.sleep(self.behaviour.first_event_s)
        reply = self._reply(body, model, switch, plan)
        self.cache.reveal(plan)
        await asyncio.sleep(self.behaviour.answer_s)
        self._bill(visit, reply, model)
        message = message_body(reply, visit.request_id)
        self.statistics.billed_usd += list_price_usd(self._models, model.id, reply.usage)
        if switch is not None and switch.kind == "odd_usage":
            message["usage"] = {"input_tokens": "many", "output_tokens": -5}
        if switch is not None and switch.kind == "scrambled_message":
            message = scrambled(message, random.Random(next(self._scrambles)))
        await send_json(send, 200, message, visit.request_id, rate_limit_headers())

    async def _stream(
        self, body: dict[str, Any], model: Model, switch: Switch | None, send: Send, visit: Visit
    ) -> None:
        plan = self._plan(body, model)
        await asyncio.sleep(self.behaviour.first_event_s)
        reply = self._reply(body, model, switch, plan)
        self._bill(visit, reply, model)
        await start_response(send, 200, "text/event-stream; charset=utf-8", visit.request_id, rate_limit_headers())
        message = message_body(reply, visit.request_id)
        announced = {**reply.usage, "output_tokens": 1}
        message.update(content=[], stop_reason=None, usage=announced)
        started_usd = list_price_usd(self._models, model.id, announced)
        self.statistics.billed_usd += started_usd
        await send_events(send, [("message_start", {"type": "message_start", "message": message})])
        self.cache.reveal(plan)
        await asyncio.sleep(self.behaviour.answer_s)
        events: list[tuple[str, dict[str, Any]]] = [
            (
                "content_block_start",
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            ),
            ("ping", {"type": "ping"}),
        ]
        text = reply.text
        pieces = [text[start:end] for start, end in spans_of(len(text), DELTA_CHARACTERS)]
        if switch is not None and switch.kind in ("stream_error", "cut_stream"):
            pieces = pieces[: max(len(pieces) // 2, 1)]
        events.extend(
            (
                "content_block_delta",
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}},
            )
            for piece in pieces
        )
        if switch is not None and switch.kind == "stream_error":
            events.append(("error", error_body("overloaded_error", "Overloaded", visit.request_id)))
        elif switch is None or switch.kind != "cut_stream":
            delta = {"stop_reason": reply.stop_reason, "stop_sequence": None}
            usage = {name: value for name, value in reply.usage.items() if name != "cache_creation"}
            self.statistics.billed_usd += list_price_usd(self._models, model.id, reply.usage) - started_usd
            events.extend(
                [
                    ("content_block_stop", {"type": "content_block_stop", "index": 0}),
                    ("message_delta", {"type": "message_delta", "delta": delta, "usage": usage}),
                    ("message_stop", {"type": "message_stop"}),
                ]
            )
        if switch is not None and switch.kind == "scrambled_message":
            events = [(name, scrambled(data, random.Random(next(self._scrambles)))) for name, data in events]
        await send_events(send, events, is_last=True)

    def _bill(self, visit: Visit, reply: Reply, model: Model, *, is_batch: bool = False) -> None:
        price = self._models.price(model.id, datetime.now(UTC).date(), reply.plan.total)
        visit.bill(reply.usage, price, is_batch=is_batch)

    def _plan(self, body: dict[str, Any], model: Model, *, scope: str = "live") -> Plan:
        """What is read and written is settled when a request arrives, not when it is answered."""
        plan = self.cache.plan(body, min_tokens=model.min_cacheable_prefix, scope=scope)
        if plan.total > model.context_window:
            raise RefusedError(f"prompt is too long: {plan.total} tokens > {model.context_window} maximum")
        return plan

    def _reply(self, body: dict[str, Any], model: Model, switch: Switch | None, plan: Plan) -> Reply:
        system, transcript, questions = prompt_texts(body)
        kind = switch.kind if switch is not None else None
        if has_format(body):
            self._judge.obeys_injections = self.behaviour.obeys_injections
            self._judge.flip_share = self.behaviour.flip_share
            if SECTION.search(questions):
                answer = self._judge.answer(system=system, transcript=transcript, questions=questions)
                if kind is not None:
                    answer = answered_wrongly(kind, answer, transcript)
            else:
                answer = smallest_instance(body["output_config"]["format"]["schema"])
            text = json.dumps(answer, ensure_ascii=False)
        else:
            text = "This is the sandbox: it answers questions with a schema."
        output_tokens = max(count_tokens(text), self.behaviour.output_tokens)
        if kind == "scrambled":
            text = scrambled_text(text, next(self._scrambles))
        text, stop_reason = spoil(kind, text)
        if stop_reason == "end_turn" and output_tokens > body["max_tokens"]:
            text, stop_reason = text[: len(text) // 2], "max_tokens"
        output_tokens = min(output_tokens, body["max_tokens"]) if stop_reason == "max_tokens" else output_tokens
        return Reply(text=text, stop_reason=stop_reason, usage=usage_body(plan, output_tokens), plan=plan)

    def _answer_in_batch(self, parameters: dict[str, Any], scope: str) -> dict[str, Any]:
        """A message, or an error body, for one request of a batch."""
        request_id = f"req_sandbox_{next(self._serial):08d}"
        self.statistics.requests["batch_items"] += 1
        visit = self._visits.open(request_id)
        try:
            model = self._model(parameters)
            visit.model = model.id
            check_request(parameters, model=model, is_batch=True)
            switch = self._pick_fault(parameters)
            reply = self._reply(parameters, model, switch, self._plan(parameters, model, scope=scope))
        except RefusedError as refused:
            return error_body("invalid_request_error", str(refused), request_id)
        except ApiError as fault:
            return error_body(fault.error_type, fault.message, request_id, code=fault.code)
        self.cache.reveal(reply.plan)
        self._bill(visit, reply, model, is_batch=True)
        message = message_body(reply, request_id)
        message["usage"]["service_tier"] = "batch"
        return message


def spans_of(length: int, size: int) -> list[tuple[int, int]]:
    return [(start, start + size) for start in range(0, length, size)]


def prompt_texts(body: dict[str, Any]) -> tuple[str, str, str]:
    """(system, transcript, questions) of a request."""
    system = "\n\n".join(text_of(block) for block in as_blocks(body.get("system")))
    blocks = [text_of(block) for message in body["messages"] for block in as_blocks(message.get("content"))]
    return system, blocks[0] if blocks else "", "\n".join(blocks[1:]) if len(blocks) > 1 else "".join(blocks)


def smallest_instance(schema: dict[str, Any]) -> Any:
    """The least answer that a schema allows, for prompts that ask nothing the judge knows."""
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return smallest_instance(schema["anyOf"][0])
    kind = schema.get("type")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            properties = schema.get("properties") or {}
            return {name: smallest_instance(properties[name]) for name in schema.get("required") or properties}
        case "array":
            return [smallest_instance(schema["items"])] if schema.get("minItems") else []
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return ""


def has_format(body: dict[str, Any]) -> bool:
    return bool((body.get("output_config") or {}).get("format"))


def usage_body(plan: Plan, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": plan.uncached,
        "cache_creation_input_tokens": plan.write_5m + plan.write_1h,
        "cache_read_input_tokens": plan.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": plan.write_5m,
            "ephemeral_1h_input_tokens": plan.write_1h,
        },
        "output_tokens": output_tokens,
        "output_tokens_details": {"thinking_tokens": 0},
        "server_tool_use": None,
        "service_tier": "standard",
        "inference_geo": "global",
    }


def message_body(reply: Reply, request_id: str) -> dict[str, Any]:
    return {
        "id": f"msg_{request_id.removeprefix('req_')}",
        "type": "message",
        "role": "assistant",
        "model": STAND_IN_MODEL,
        "content": [{"type": "text", "text": reply.text}] if reply.text else [],
        "stop_reason": reply.stop_reason,
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": None, "explanation": None}
        if reply.stop_reason == "refusal"
        else None,
        "usage": reply.usage,
    }


async def read_body(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY_BYTES:
            parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts) if size <= MAX_BODY_BYTES else None


def read_json(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise RefusedError(f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise RefusedError("The request body must be an object")
    return body


async def start_response(
    send: Send, status: int, content_type: str, request_id: str, headers: dict[str, str] | None = None
) -> None:
    pairs = {"content-type": content_type, "request-id": request_id, **(headers or {})}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in pairs.items()],
        }
    )


async def send_json(send: Send, status: int, body: Any, request_id: str, headers: dict[str, str] | None = None) -> None:
    await start_response(send, status, "application/json", request_id, headers)
    await send({"type": "http.response.body", "body": json.dumps(body, ensure_ascii=True).encode()})


async def send_events(send: Send, events: list[tuple[str, dict[str, Any]]], *, is_last: bool = False) -> None:
    text = "".join(f"event: {name}\ndata: {json.dumps(data, ensure_ascii=True)}\n\n" for name, data in events)
    await send({"type": "http.response.body", "body": text.encode(), "more_body": not is_last})
