"""Gong's API v2 on localhost: the real envelope, paging, errors and quirks, over a `Tenant`.

It holds no copy of the tenant: what a test changes there is served by the next request.
"""

import base64
import binascii
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dlt_pipelines.gong.simulator.tenant import Tenant, call_id, call_start

PAGE_SIZE = 100
NO_CALLS = "No calls found corresponding to the provided filters"
NO_ANSWERS = "No answered scorecards found corresponding to the provided filters."
NO_USERS = "No users found corresponding to the provided filters"
CURSOR_LIFE_S = 3600.0
BLOCKS = ("context", "parties", "content", "interaction", "collaboration", "media")


class RefusalError(Exception):
    """An error answer."""

    def __init__(self, status: int, text: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


@dataclass
class RequestRecord:
    """What a test may want to know about one request."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]
    status: int = 0


@dataclass
class Simulator:
    """The application and its log of requests."""

    tenant: Tenant
    api_key: str | None = None
    missing_scopes: set[str] = field(default_factory=set)
    log: list[RequestRecord] = field(default_factory=list)
    page_size: int = PAGE_SIZE
    cursor_life_s: float = CURSOR_LIFE_S

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                self._route("/v2/users", "GET", "api:users:read", self._users),
                self._route("/v2/calls/extensive", "POST", "api:calls:read:extensive", self._calls_extensive),
                self._route("/v2/calls/transcript", "POST", "api:calls:read:transcript", self._transcripts),
                self._route("/v2/workspaces", "GET", "api:workspaces:read", self._workspaces),
                self._route("/v2/settings/trackers", "GET", "api:settings:trackers:read", self._trackers),
                self._route("/v2/settings/scorecards", "GET", "api:settings:scorecards:read", self._scorecards),
                self._route("/v2/library/folders", "GET", "api:library:read", self._library_folders),
                self._route("/v2/stats/activity/scorecards", "POST", "api:stats:scorecards", self._answered),
                self._route("/v2/stats/interaction", "POST", "api:stats:interaction", self._interaction_stats),
            ]
        )

    def _route(
        self,
        path: str,
        method: str,
        scope: str,
        answer: Callable[[dict[str, str], dict[str, Any]], bytes],
    ) -> Route:
        async def endpoint(request: Request) -> Response:
            record = RequestRecord(time.time(), request.method, path, dict(request.query_params), {})
            self.log.append(record)
            try:
                self._authenticate(request, scope)
                if request.method == "POST":
                    record.body = _body(await request.body())
                response = Response(answer(record.query, record.body), media_type="application/json")
            except RefusalError as refusal:
                response = Response(
                    orjson.dumps({"requestId": _request_id(), "errors": [refusal.text]}),
                    status_code=refusal.status,
                    headers=refusal.headers,
                    media_type="application/json",
                )
            record.status = response.status_code
            return response

        return Route(path, endpoint, methods=[method])

    def _authenticate(self, request: Request, scope: str) -> None:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            user, colon, _ = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user, colon = "", ""
        if scheme.lower() != "basic" or not colon or (self.api_key is not None and user != self.api_key):
            raise RefusalError(401, "Unauthorized: the access key is invalid")
        if scope in self.missing_scopes:
            raise RefusalError(401, f"You don't have permission to use '{scope}' in your app.")

    def _users(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del body
        return self._page(
            "users", [orjson.dumps(user) for user in self.tenant.users], query, query.get("cursor"), NO_USERS
        )

    def _calls_extensive(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del query
        selector = body.get("contentSelector") or {}
        calls = [_selected(call, selector) for call in self._filtered_calls(body)]
        return self._page("calls", calls, body, body.get("cursor"), NO_CALLS)

    def _transcripts(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del query
        wanted = [call_id(call) for call in self._filtered_calls(body)]
        # real tenants never show these; a folder may hold them, and they must not vanish without a word
        items = [
            self.tenant.transcripts[key] for key in (*wanted, *self.tenant.orphans()) if key in self.tenant.transcripts
        ]
        return self._page("callTranscripts", [orjson.dumps(item) for item in items], body, body.get("cursor"), NO_CALLS)

    def _workspaces(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del query, body
        return orjson.dumps({"requestId": _request_id(), "workspaces": self.tenant.workspaces})

    def _trackers(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del body
        wanted = query.get("workspaceId")
        chosen = [item for item in self.tenant.trackers if wanted in (None, item.get("workspaceId"))]
        return orjson.dumps({"requestId": _request_id(), "keywordTrackers": chosen})

    def _scorecards(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del query, body
        return orjson.dumps({"requestId": _request_id(), "scorecards": self.tenant.scorecards})

    def _library_folders(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del body
        wanted = query.get("workspaceId")
        if wanted is None and len(self.tenant.workspaces) > 1:
            raise RefusalError(400, "Bad request: workspaceId is required")
        chosen = [item for item in self.tenant.library_folders if item.get("workspaceId", wanted) == wanted]
        if not chosen:
            raise RefusalError(404, "No folders found for the specified period")
        folders = [{key: value for key, value in item.items() if key != "workspaceId"} for item in chosen]
        return orjson.dumps({"requestId": _request_id(), "folders": folders})

    def _answered(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del query
        stats_filter = body.get("filter") or {}
        chosen = [
            item
            for item in self.tenant.answered_scorecards
            if _in_days(item.get("callStartTime"), stats_filter, "callFromDate", "callToDate")
            and _in_days(item.get("reviewTime"), stats_filter, "reviewFromDate", "reviewToDate")
        ]
        items = [orjson.dumps(item) for item in chosen]
        return self._page("answeredScorecards", items, body, body.get("cursor"), NO_ANSWERS)

    def _interaction_stats(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del query
        stats_filter = body.get("filter") or {}
        if str(stats_filter.get("toDate")) > datetime.now(UTC).date().isoformat():
            raise RefusalError(400, "filter.toDate: must not be later than today")
        # the tenant's items carry the day they are about; Gong's do not
        items = [
            orjson.dumps({key: value for key, value in item.items() if key != "day"})
            for item in self.tenant.interaction_stats
            if _in_days(item.get("day"), stats_filter, "fromDate", "toDate")
        ]
        return self._page("peopleInteractionStats", items, body, body.get("cursor"), NO_USERS)

    def _filtered_calls(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        call_filter = body.get("filter")
        if not isinstance(call_filter, Mapping):
            raise RefusalError(400, "Bad request: filter must not be null")
        begin, end = _time(call_filter, "fromDateTime"), _time(call_filter, "toDateTime")
        if begin and end and begin >= end:
            raise RefusalError(400, "filter.fromDateTime: must be before toDateTime")
        ids = set(call_filter["callIds"]) if "callIds" in call_filter else None
        users = set(call_filter.get("primaryUserIds") or ())
        workspace = call_filter.get("workspaceId")
        chosen = []
        for call in self.tenant.calls:
            started = call_start(call)
            meta = call.get("metaData") or {}
            if ids is not None and call_id(call) not in ids:
                continue
            if begin and started and started < begin:
                continue
            if end and started and started >= end:
                continue
            if users and meta.get("primaryUserId") not in users:
                continue
            if workspace and meta.get("workspaceId") != workspace:
                continue
            chosen.append(call)
        return chosen

    def _page(
        self, items_key: str, items: Sequence[bytes], request: Mapping[str, Any], cursor: Any, empty_text: str
    ) -> bytes:
        rest = {key: value for key, value in request.items() if key != "cursor"}
        fingerprint = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]
        offset, first_at = 0, time.time()
        if cursor:
            offset, first_at = self._read_cursor(cursor, fingerprint)
        chosen = items[offset : offset + self.page_size]
        if not items:
            raise RefusalError(404, empty_text)
        records: dict[str, Any] = {
            "totalRecords": len(items),
            "currentPageSize": len(chosen),
            "currentPageNumber": offset // self.page_size,
        }
        if offset + self.page_size < len(items):
            state = {"offset": offset + self.page_size, "first_at": first_at, "fingerprint": fingerprint}
            records["cursor"] = base64.urlsafe_b64encode(json.dumps(state).encode()).decode()
        head = orjson.dumps({"requestId": _request_id(), "records": records})
        return head[:-1] + b',"' + items_key.encode() + b'":[' + b",".join(chosen) + b"]}"

    def _read_cursor(self, cursor: Any, fingerprint: str) -> tuple[int, float]:
        try:
            state = json.loads(base64.urlsafe_b64decode(cursor))
            offset, first_at, given = state["offset"], state["first_at"], state["fingerprint"]
        except (ValueError, TypeError, KeyError) as error:
            raise RefusalError(400, "Invalid cursor") from error
        if given != fingerprint:
            raise RefusalError(400, "Invalid cursor: the other request inputs must remain the same")
        if time.time() - first_at > self.cursor_life_s:
            raise RefusalError(400, "The cursor has expired")
        return offset, first_at

    @contextmanager
    def serve(self, *, port: int = 0) -> Iterator[str]:
        """Serve from a thread of this process and hand out the base URL."""
        server = uvicorn.Server(
            uvicorn.Config(self.app(), host="127.0.0.1", port=port, log_level="warning", access_log=False)
        )
        thread = threading.Thread(target=server.run, daemon=True, name="gong simulator")
        thread.start()
        try:
            yield base_url(server, thread)
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def base_url(server: uvicorn.Server, thread: threading.Thread, *, timeout_s: float = 20.0) -> str:
    """The address of a server that starts in a thread, once it listens."""
    deadline = time.monotonic() + timeout_s
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the simulator did not start; is its port taken?")
        time.sleep(0.01)
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


def _body(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RefusalError(400, "Bad request") from error
    if not isinstance(body, dict):
        raise RefusalError(400, "Bad request")
    return body


def _time(call_filter: Mapping[str, Any], name: str) -> datetime | None:
    value = call_filter.get(name)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise RefusalError(400, f"filter.{name}: must be an ISO-8601 date and time") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _in_days(value: Any, day_filter: Mapping[str, Any], first: str, last: str) -> bool:
    """Dates: from inclusive, to exclusive."""
    day = str(value)[:10]
    return str(day_filter.get(first, "")) <= day and (last not in day_filter or day < str(day_filter[last]))


def _selected(call: dict[str, Any], selector: Mapping[str, Any]) -> bytes:
    """The item as the content selector asks for it: blocks that are not selected are absent."""
    exposed = selector.get("exposedFields") or {}
    chosen: dict[str, Any] = {key: value for key, value in call.items() if key not in BLOCKS}
    if selector.get("context", "None") != "None" and "context" in call:
        chosen["context"] = call["context"]
    for block in ("parties", "collaboration"):
        if exposed.get(block) and block in call:
            chosen[block] = call[block]
    for block in ("content", "interaction"):
        wanted = exposed.get(block)
        if isinstance(wanted, Mapping) and isinstance(call.get(block), dict):
            chosen[block] = {
                name: value
                for name, value in call[block].items()
                if wanted.get(name) or (name == "interactionStats" and wanted.get("personInteractionStats"))
            }
        elif wanted and block in call:
            chosen[block] = call[block]
    if exposed.get("media"):
        # signed anew on every request, valid for eight hours
        signature = hashlib.sha256(f"{call_id(call)} {time.time_ns()}".encode()).hexdigest()
        expires = int((datetime.now(UTC) + timedelta(hours=8)).timestamp())
        url = f"https://media.example.com/{call_id(call)}.mp3?X-Amz-Expires={expires}&X-Amz-Signature={signature}"
        chosen["media"] = {"audioUrl": url, "videoUrl": url}
    return orjson.dumps(chosen)


def _request_id() -> str:
    return hashlib.sha256(str(time.time_ns()).encode()).hexdigest()[:19]
