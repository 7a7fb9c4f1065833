"""HTTP to Gong's API v2: auth, paging, and telling its refusals apart.

Facts this rests on: an empty result is a 404 with a text; the cursor goes into the query of a GET and into the body of
a POST; a missing scope is a 401 that names the scope; a Retry-After can be hours; cursors die after about an hour.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from dlt_pipelines.api import HttpApi, Patience, error_text, error_texts
from dlt_pipelines.errors import ApiError, BadAnswerError, CursorLostError, KeyRejectedError, ScopeMissingError
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.quota import Quota

EMPTY = re.compile(r"^No .*\bfound\b.*\b(provided filters|specified period)\b", re.IGNORECASE)
SCOPE = re.compile(r"permission to use '([^']+)'")
CURSOR_GONE = re.compile(r"cursor\b.*\bexpired", re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """One page of a list endpoint."""

    items: list[Any]
    total_records: int | None


class GongClient(HttpApi):
    """A session with one Gong company."""

    name = "Gong"

    def __init__(self, settings: GongSettings, quota: Quota) -> None:
        key, secret = settings.api_key.get_secret_value(), settings.api_secret.get_secret_value()
        if not key or not secret:
            raise KeyRejectedError(
                "GONG_API_KEY and GONG_API_SECRET are not set. A Gong technical administrator creates both under "
                "Company settings > Ecosystem > API"
            )
        super().__init__(
            base_url=settings.api_base_url,
            auth=httpx.BasicAuth(key, secret),
            quota=quota,
            patience=Patience(
                retry_after_s=settings.patience_s,
                timeout_s=settings.timeout_s,
                max_attempts=settings.max_attempts,
                setting="GONG_PATIENCE_S",
            ),
        )

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
        label = f"{stream} ({where})" if where else stream
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            extra = {"cursor": cursor} if cursor else {}
            if method == "POST":
                answer = self.send(method, path, stream=stream, where=where, json={**(body or {}), **extra})
            else:
                answer = self.send(method, path, stream=stream, where=where, params={**(params or {}), **extra})
            if not answer:
                return
            items, records = answer.get(items_key), answer.get("records") or {}
            if not isinstance(items, list) or not isinstance(records, dict):
                raise BadAnswerError(
                    f"{label}: {path} answered without a list under {items_key!r}. "
                    f"Check that {self.base_url} is Gong's API"
                )
            total = records.get("totalRecords")
            yield Page(items=items, total_records=total if isinstance(total, int) else None)
            cursor = records.get("cursor")
            if not cursor:
                return
            if cursor in seen:
                raise CursorLostError(f"{label}: {path} handed out the same cursor twice")
            seen.add(cursor)

    def is_empty(self, response: httpx.Response) -> bool:
        """An empty result is a 404 whose text says so; any other 404 is a real one."""
        is_missing = response.status_code == httpx.codes.NOT_FOUND
        return is_missing and any(EMPTY.search(text) for text in error_texts(response))

    def refusal(self, response: httpx.Response, *, label: str, path: str) -> ApiError:
        text = error_text(response)
        if CURSOR_GONE.search(text):
            return CursorLostError(f"{label}: {text}")
        if response.is_redirect:
            return ApiError(
                f"{label}: {self.base_url} redirects to {response.headers.get('Location')}. "
                "Set GONG_API_BASE_URL to that host: a followed redirect would lose the credentials"
            )
        if response.status_code == httpx.codes.UNAUTHORIZED:
            if scope := SCOPE.search(text):
                return ScopeMissingError(
                    f"{label}: the key lacks the scope {scope[1]}. Add it to the key in Gong's API settings; "
                    "until then this stream is skipped",
                    scope=scope[1],
                )
            return KeyRejectedError(
                f"{label}: Gong refused the key ({text}). Check GONG_API_KEY, GONG_API_SECRET and that "
                f"GONG_API_BASE_URL ({self.base_url}) is your company's host"
            )
        if response.status_code == httpx.codes.FORBIDDEN:
            return KeyRejectedError(
                f"{label}: Gong answered 403 ({text}). The key may be limited to trusted IP addresses or have expired"
            )
        if response.status_code == httpx.codes.NOT_FOUND:
            return ApiError(f"{label}: {self.base_url} has no {path} ({text}). Check GONG_API_BASE_URL")
        return super().refusal(response, label=label, path=path)
