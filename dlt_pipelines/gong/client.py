"""HTTP to Gong's API v2: auth, paging, waiting, and telling its refusals apart.

Facts this rests on: an empty result is a 404 with a text; the cursor goes into the query of a GET and into the body of
a POST; a missing scope is a 401 that names the scope; a Retry-After can be hours; cursors die after about an hour.
"""

import email.utils
import logging
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from dlt_pipelines import answers
from dlt_pipelines.errors import (
    ApiError,
    BadAnswerError,
    CursorLostError,
    KeyRejectedError,
    QuotaExhaustedError,
    ScopeMissingError,
)
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.quota import Quota

logger = logging.getLogger(__name__)

EMPTY = re.compile(r"^No .*\bfound\b.*\b(provided filters|specified period)\b", re.IGNORECASE)
SCOPE = re.compile(r"permission to use '([^']+)'")
CURSOR_GONE = re.compile(r"cursor\b.*\bexpired", re.IGNORECASE)
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0


@dataclass(frozen=True)
class Page:
    """One page of a list endpoint."""

    items: list[Any]
    total_records: int | None


class GongClient:
    """A session with one Gong company; every request goes through the shared quota."""

    def __init__(self, settings: GongSettings, quota: Quota) -> None:
        if not settings.api_key.get_secret_value() or not settings.api_secret.get_secret_value():
            raise KeyRejectedError(
                "GONG_API_KEY and GONG_API_SECRET are not set. A Gong technical administrator creates both under "
                "Company settings > Ecosystem > API"
            )
        self._settings = settings
        self._quota = quota
        self.requests: Counter[str] = Counter()
        self._http = httpx.Client(
            base_url=settings.api_base_url,
            auth=httpx.BasicAuth(settings.api_key.get_secret_value(), settings.api_secret.get_secret_value()),
            timeout=settings.timeout_s,
            # a redirect to another host strips the Authorization header and comes back as a misleading 401
            follow_redirects=False,
            headers={"Accept": "application/json"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, *, stream: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One GET; an empty result is an empty dict."""
        return self._send("GET", path, stream=stream, where="", params=dict(params or {}))

    def pages(
        self,
        method: str,
        path: str,
        *,
        stream: str,
        items_key: str,
        where: str = "",
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Iterator[Page]:
        """All pages of a list; the cursor goes into a POST's body and a GET's query, never anywhere else."""
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            extra = {"cursor": cursor} if cursor else {}
            if method == "POST":
                answer = self._send(method, path, stream=stream, where=where, json={**(body or {}), **extra})
            else:
                answer = self._send(method, path, stream=stream, where=where, params={**(params or {}), **extra})
            if not answer:
                return
            items = answer.get(items_key)
            if not isinstance(items, list):
                raise BadAnswerError(
                    f"{_label(stream, where)}: {path} answered without a list under {items_key!r}. "
                    "Check that GONG_API_BASE_URL points at Gong's API"
                )
            records = answer.get("records") or {}
            total = records.get("totalRecords")
            yield Page(items=items, total_records=total if isinstance(total, int) else None)
            cursor = records.get("cursor")
            if not cursor:
                return
            if cursor in seen:
                raise CursorLostError(f"{_label(stream, where)}: {path} handed out the same cursor twice")
            seen.add(cursor)

    def _send(
        self,
        method: str,
        path: str,
        *,
        stream: str,
        where: str,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        label = _label(stream, where)
        waited_s = 0.0
        for attempt in range(1, self._settings.max_attempts + 1):
            is_last = attempt == self._settings.max_attempts
            backoff_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (attempt - 1)) * random.uniform(0.75, 1.25)
            try:
                with self._quota.request(stream=stream):
                    self.requests[stream] += 1
                    response = self._http.request(method, path, params=params, json=json)
            except httpx.HTTPError as error:
                if is_last:
                    raise ApiError(
                        f"{label}: {self._settings.api_base_url} did not answer {attempt} times "
                        f"({type(error).__name__}: {error}). Check the network and GONG_API_BASE_URL, then run again"
                    ) from error
                logger.warning("%s: no answer (%s), trying again in %.1f s", label, type(error).__name__, backoff_s)
                time.sleep(backoff_s)
                continue
            if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                retry_after_s = _retry_after_s(response)
                wait_s = backoff_s if retry_after_s is None else retry_after_s
                waited_s += wait_s
                if waited_s > self._settings.patience_s or (is_last and retry_after_s is None):
                    raise QuotaExhaustedError(
                        f"{label}: Gong asks to wait {wait_s:.0f} s, longer than GONG_PATIENCE_S="
                        f"{self._settings.patience_s:.0f} allows. What was read is saved; run again later"
                    )
                logger.warning("%s: Gong asks to wait, next request in %.1f s", label, wait_s)
                time.sleep(wait_s)
                continue
            if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                if is_last:
                    raise ApiError(
                        f"{label}: Gong answered {response.status_code} {attempt} times "
                        f"({_error_text(response)}). Nothing is lost; run again later"
                    )
                logger.warning("%s: Gong answered %s, trying again in %.1f s", label, response.status_code, backoff_s)
                time.sleep(backoff_s)
                continue
            if response.is_success:
                try:
                    answer = answers.parse(response.content)
                except ValueError as error:
                    if is_last:
                        raise BadAnswerError(
                            f"{label}: the answer was not JSON {attempt} times ({error}). "
                            "Nothing is lost; run again later"
                        ) from error
                    logger.warning("%s: the answer was not JSON, trying again in %.1f s", label, backoff_s)
                    time.sleep(backoff_s)
                    continue
                if not isinstance(answer, dict):
                    raise BadAnswerError(
                        f"{label}: {path} answered with a {type(answer).__name__}, not an object. "
                        "Check that GONG_API_BASE_URL points at Gong's API"
                    )
                return answer
            if _is_empty(response):
                return {}
            raise self._refusal(response, label=label, path=path)
        raise QuotaExhaustedError(
            f"{label}: Gong kept asking to wait, {self._settings.max_attempts} times. "
            "What was read is saved; run again later"
        )

    def _refusal(self, response: httpx.Response, *, label: str, path: str) -> ApiError:
        text = _error_text(response)
        status = response.status_code
        if CURSOR_GONE.search(text):
            return CursorLostError(f"{label}: {text}")
        if response.is_redirect:
            return ApiError(
                f"{label}: {self._settings.api_base_url} redirects to {response.headers.get('Location')}. "
                "Set GONG_API_BASE_URL to that host: a followed redirect would lose the credentials"
            )
        if status == httpx.codes.UNAUTHORIZED:
            if scope := SCOPE.search(text):
                return ScopeMissingError(
                    f"{label}: the key lacks the scope {scope[1]}. Add it to the key in Gong's API settings; "
                    "until then this stream is skipped",
                    scope=scope[1],
                )
            return KeyRejectedError(
                f"{label}: Gong refused the key ({text}). Check GONG_API_KEY, GONG_API_SECRET and that "
                f"GONG_API_BASE_URL ({self._settings.api_base_url}) is your company's host"
            )
        if status == httpx.codes.FORBIDDEN:
            return KeyRejectedError(
                f"{label}: Gong answered 403 ({text}). The key may be limited to trusted IP addresses or have expired"
            )
        if status == httpx.codes.NOT_FOUND:
            return ApiError(
                f"{label}: {path} was not found at {self._settings.api_base_url} ({text}). Check GONG_API_BASE_URL"
            )
        return ApiError(f"{label}: {path} answered {status} ({text}). The request was not accepted; please report this")


def _label(stream: str, where: str) -> str:
    return f"{stream} ({where})" if where else stream


def _errors(response: httpx.Response) -> list[str]:
    try:
        body = answers.parse(response.content)
    except ValueError:
        return []
    errors = body.get("errors") if isinstance(body, dict) else None
    return [str(error) for error in errors] if isinstance(errors, list) else []


def _error_text(response: httpx.Response) -> str:
    return "; ".join(_errors(response)) or f"{response.reason_phrase}: {response.text[:200]}".strip()


def _is_empty(response: httpx.Response) -> bool:
    """An empty result is a 404 whose text says so; any other 404 is a real one."""
    return response.status_code == httpx.codes.NOT_FOUND and any(EMPTY.search(text) for text in _errors(response))


def _retry_after_s(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
