"""One JSON API behind a quota: waits when it is asked to, repeats what may pass, and says plainly what will not."""

import email.utils
import logging
import random
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from dlt_pipelines import answers
from dlt_pipelines.errors import ApiError, BadAnswerError, QuotaExhaustedError, UnreachableError
from dlt_pipelines.quota import Quota

logger = logging.getLogger(__name__)

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
# who takes a connection at all does so within seconds; an answer may take longer
CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Patience:
    """How long to wait and how often to try."""

    retry_after_s: float
    """The longest Retry-After that is waited for."""
    timeout_s: float
    max_attempts: int
    setting: str
    """The name of the variable that sets `retry_after_s`, for the message."""


class HttpApi:
    """A session with one API; every request goes through the shared quota. Subclasses know the API's refusals."""

    name = "the API"

    def __init__(self, *, base_url: str, auth: httpx.Auth, quota: Quota, patience: Patience) -> None:
        self.base_url = base_url
        self.requests: Counter[str] = Counter()
        self._quota = quota
        self._patience = patience
        self._http = httpx.Client(
            base_url=base_url,
            auth=auth,
            timeout=httpx.Timeout(patience.timeout_s, connect=min(CONNECT_TIMEOUT_S, patience.timeout_s)),
            # a redirect to another host strips the Authorization header and comes back as a misleading 401
            follow_redirects=False,
            headers={"Accept": "application/json"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def is_empty(self, response: httpx.Response) -> bool:
        """Whether this error answer only says that there is nothing."""
        del response
        return False

    def refusal(self, response: httpx.Response, *, label: str, path: str) -> ApiError:
        """The error to raise for an answer that repeating will not change."""
        return ApiError(
            f"{label}: {self.name} answered {response.status_code} to {path} ({error_text(response)}). "
            "The request was not accepted; nothing that was loaded changes"
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        stream: str,
        where: str = "",
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """One answered request as a dict, which is empty when there is nothing.

        Raises:
            QuotaExhaustedError: the wait would be longer than the patience.
            UnreachableError: not one try got as far as a connection.
            ApiError: the request failed for good.
        """
        label = f"{stream} ({where})" if where else stream
        waited_s = 0.0
        attempt = 0
        is_connected = False
        while True:
            attempt += 1
            problem: ApiError
            try:
                with self._quota.request(stream=stream):
                    self.requests[stream] += 1
                    response = self._http.request(method, path, params=params, json=json)
            except httpx.HTTPError as error:
                is_connected = is_connected or not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                problem = (ApiError if is_connected else UnreachableError)(
                    f"{label}: {self.base_url} did not answer {attempt} times ({type(error).__name__}: {error}). "
                    "Check the network and the base URL, then run again"
                )
                problem.__cause__ = error
            else:
                is_connected = True
                if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                    waited_s += self._wait_as_told(response, label=label, attempt=attempt, waited_s=waited_s)
                    continue
                if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                    problem = ApiError(
                        f"{label}: {self.name} answered {response.status_code} {attempt} times "
                        f"({error_text(response)}). What was read is saved; run again later"
                    )
                elif response.is_success:
                    try:
                        answer = answers.parse(response.content)
                    except ValueError as error:
                        problem = BadAnswerError(
                            f"{label}: the answer was not JSON {attempt} times ({error}). "
                            "What was read is saved; run again later"
                        )
                    else:
                        if isinstance(answer, dict):
                            return answer
                        problem = BadAnswerError(
                            f"{label}: {path} answered with a {type(answer).__name__}, not an object. "
                            f"Check that {self.base_url} is {self.name}"
                        )
                elif self.is_empty(response):
                    return {}
                else:
                    raise self.refusal(response, label=label, path=path)
            if attempt >= self._patience.max_attempts:
                raise problem
            backoff_s = backoff(attempt)
            logger.warning("%s; trying again in %.1f s", problem, backoff_s)
            time.sleep(backoff_s)

    def _wait_as_told(self, response: httpx.Response, *, label: str, attempt: int, waited_s: float) -> float:
        told_s = retry_after_s(response)
        wait_s = backoff(attempt) if told_s is None else told_s
        if waited_s + wait_s > self._patience.retry_after_s or attempt >= 10 * self._patience.max_attempts:
            raise QuotaExhaustedError(
                f"{label}: {self.name} asks to wait {wait_s:.0f} s, and {self._patience.setting} allows "
                f"{self._patience.retry_after_s:.0f}. What was read is saved; run again later"
            )
        logger.warning("%s: %s asks to wait, next request in %.1f s", label, self.name, wait_s)
        time.sleep(wait_s)
        return wait_s


def backoff(attempt: int) -> float:
    return min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (attempt - 1)) * random.uniform(0.75, 1.25)


def error_texts(response: httpx.Response) -> list[str]:
    """The texts under `errors`, or the one under `message`."""
    try:
        body = answers.parse(response.content)
    except ValueError:
        return []
    if not isinstance(body, dict):
        return []
    errors = body.get("errors")
    if isinstance(errors, list) and all(isinstance(error, str) for error in errors):
        return errors
    return [body["message"]] if isinstance(body.get("message"), str) else []


def error_text(response: httpx.Response) -> str:
    return "; ".join(error_texts(response)) or f"{response.reason_phrase}: {response.text[:200]}".strip()


def retry_after_s(response: httpx.Response) -> float | None:
    """Seconds to wait, from a number or an HTTP date; None where the header says nothing useful."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
