"""Gong's API v2 on localhost: the real envelope, paging, errors and quirks, over a `Tenant`.

It holds no copy of the tenant: what a test changes there is served by the next request.
"""

import asyncio
import base64
import binascii
import bisect
import copy
import hashlib
import json
import threading
import time
from collections import Counter
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
from starlette.types import Receive, Scope, Send

from dlt_pipelines.gong.simulator.faults import Fault, Kind
from dlt_pipelines.gong.simulator.tenant import Tenant, call_id, call_start

PAGE_SIZE = 100
NO_CALLS = "No calls found corresponding to the provided filters"
NO_ANSWERS = "No answered scorecards found corresponding to the provided filters."
NO_USERS = "No users found corresponding to the provided filters"
CURSOR_LIFE_S = 3600.0
HOURS_S = 7200
BLOCKS = ("context", "parties", "content", "interaction", "collaboration", "media")


class RefusalError(Exception):
    """An error answer."""

    def __init__(self, status: int, text: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


class CutResponse(Response):
    """Announces a whole body, sends half of it and hangs up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[: len(self.body) // 2], "more_body": True})
        raise ConnectionError("cut on purpose")


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
    faults: list[Fault] = field(default_factory=list)
    hang_s: float = 120.0
    retry_after_s: float = 1.0
    page_size: int = PAGE_SIZE
    struck: Counter[Kind] = field(default_factory=Counter)
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
                self._route("/v2/library/folder-content", "GET", "api:library:read", self._folder_content),
                self._route("/v2/stats/activity/scorecards", "POST", "api:stats:scorecards", self._answered),
                self._route("/v2/stats/interaction", "POST", "api:stats:interaction", self._interaction_stats),
                Route("/_control", self._control, methods=["POST"]),
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
                self._refuse_at_times()
                if request.method == "POST":
                    record.body = _body(await request.body())
                response = await self._faulty(answer(record.query, record.body))
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

    async def _control(self, request: Request) -> Response:
        """Not Gong's: exchange the faults if `faults` is given, and tell what happened so far."""
        wanted = _body(await request.body())
        if "faults" in wanted:
            self.faults[:] = [Fault(**fault) for fault in wanted["faults"]]
        times = sorted(record.at for record in self.log)
        return Response(
            orjson.dumps(
                {
                    "requests": len(times),
                    "most_in_a_second": max(
                        (bisect.bisect_left(times, at + 1) - number for number, at in enumerate(times)), default=0
                    ),
                    "struck": dict(self.struck),
                }
            ),
            media_type="application/json",
        )

    def _strikes(self, kind: Kind) -> bool:
        is_struck = any(fault.strikes_now() for fault in self.faults if fault.kind == kind)
        self.struck[kind] += is_struck
        return is_struck

    def _refuse_at_times(self) -> None:
        if self._strikes("429"):
            raise RefusalError(429, "Too many requests", headers={"Retry-After": f"{self.retry_after_s:g}"})
        if self._strikes("429-for-hours"):
            raise RefusalError(429, "Daily limit reached", headers={"Retry-After": str(HOURS_S)})
        if self._strikes("500"):
            raise RefusalError(500, "Internal server error occurred")

    async def _faulty(self, body: bytes) -> Response:
        if self._strikes("hang"):
            await asyncio.sleep(self.hang_s)
        if self._strikes("malformed-json"):
            return Response(b"<html>" + body[: len(body) // 2], media_type="text/html")
        if self._strikes("cut-body"):
            return CutResponse(body, media_type="application/json")
        return Response(body, media_type="application/json")

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
        return self._page("users", self.tenant.users, query, query.get("cursor"), NO_USERS)

    def _calls_extensive(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del query
        selector = body.get("contentSelector") or {}
        chosen = self._filtered_calls(body)
        n_hidden = 0
        if chosen and not body.get("cursor") and self._strikes("late-call"):
            chosen, n_hidden = chosen[:-1], 1
        return self._page(
            "calls",
            self._distorted_calls(chosen),
            body,
            body.get("cursor"),
            NO_CALLS,
            n_hidden=n_hidden,
            dump=lambda call: _selected(call, selector),
        )

    def _distorted_calls(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not calls or not isinstance(calls[0].get("metaData"), dict):
            return calls
        first = copy.deepcopy(calls[0])
        meta = first["metaData"]
        if self._strikes("mutated-call"):
            meta["title"] = "An older title"
        if self._strikes("nul"):
            meta["title"] = f"\x00{meta.get('title')}\x00"
        if self._strikes("unknown-field"):
            meta["fieldFromTheFuture"] = 1
            first["blockFromTheFuture"] = {"innerKey": [1]}
        if self._strikes("wrong-type"):
            meta["duration"] = f"{meta.get('duration')} seconds"
        ghosts = []
        if self._strikes("ghost-call"):
            ghosts.append(copy.deepcopy(calls[0]))
            ghosts[0]["metaData"]["id"] = f"{meta.get('id')}0"
        return [first, *calls[1:], *ghosts]

    def _transcripts(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del query
        wanted = [call_id(call) for call in self._filtered_calls(body)]
        # real tenants never show these; a folder may hold them, and they must not vanish without a word
        keys = [key for key in (*wanted, *self.tenant.orphans()) if key in self.tenant.transcripts]
        if keys and self._strikes("late-transcript"):
            keys.pop()
        items = self._distorted_transcripts([self.tenant.transcripts[key] for key in keys])
        return self._page("callTranscripts", items, body, body.get("cursor"), NO_CALLS)

    def _distorted_transcripts(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not items or not items[0].get("transcript"):
            return items
        first = copy.deepcopy(items[0])
        if self._strikes("nul"):
            for monologue in first["transcript"]:
                for sentence in monologue["sentences"]:
                    sentence["text"] = f"{sentence['text']}\x00"
        if self._strikes("null-speaker"):
            for monologue in first["transcript"]:
                monologue["speakerId"] = None
        return [first, *items[1:]]

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
        inside = ("workspaceId", "calls")
        folders = [{key: value for key, value in item.items() if key not in inside} for item in chosen]
        return orjson.dumps({"requestId": _request_id(), "folders": folders})

    def _folder_content(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del body
        for item in self.tenant.library_folders:
            if item["id"] == query.get("folderId"):
                shown = {key: item.get(key) for key in ("id", "name", "createdBy", "updated")}
                return orjson.dumps({"requestId": _request_id(), **shown, "calls": item.get("calls", [])})
        raise RefusalError(404, f"Folder ID {query.get('folderId')} was not found")

    def _answered(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del query
        stats_filter = body.get("filter") or {}
        chosen = [
            item
            for item in self.tenant.answered_scorecards
            if _in_days(item.get("callStartTime"), stats_filter, "callFromDate", "callToDate")
            and _in_days(item.get("reviewTime"), stats_filter, "reviewFromDate", "reviewToDate")
        ]
        return self._page("answeredScorecards", chosen, body, body.get("cursor"), NO_ANSWERS)

    def _interaction_stats(self, query: dict[str, str], body: dict[str, Any]) -> bytes:
        del query
        stats_filter = body.get("filter") or {}
        if str(stats_filter.get("toDate")) > datetime.now(UTC).date().isoformat():
            raise RefusalError(400, "filter.toDate: must not be later than today")
        # the tenant's items carry the day they are about; Gong's do not
        items = [
            {key: value for key, value in item.items() if key != "day"}
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
            if ids is not None and call_id(call) not in ids:
                continue
            started = call_start(call)
            meta = call.get("metaData") or {}
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
        self,
        items_key: str,
        items: Sequence[dict[str, Any]],
        request: Mapping[str, Any],
        cursor: Any,
        empty_text: str,
        *,
        n_hidden: int = 0,
        dump: Callable[[dict[str, Any]], bytes] = orjson.dumps,
    ) -> bytes:
        rest = {key: value for key, value in request.items() if key != "cursor"}
        fingerprint = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]
        offset, first_at = 0, time.time()
        if cursor:
            offset, first_at = self._read_cursor(cursor, fingerprint)
            if self._strikes("cursor-expired"):
                raise RefusalError(400, "The cursor has expired")
        chosen = items[offset : offset + self.page_size]
        if not items and not n_hidden:
            raise RefusalError(404, empty_text)
        records: dict[str, Any] = {
            "totalRecords": len(items) + n_hidden,
            "currentPageSize": len(chosen),
            "currentPageNumber": offset // self.page_size,
        }
        if offset + self.page_size < len(items):
            overlap = 1 if self._strikes("duplicate-across-pages") else 0
            state = {"offset": offset + self.page_size - overlap, "first_at": first_at, "fingerprint": fingerprint}
            records["cursor"] = base64.urlsafe_b64encode(json.dumps(state).encode()).decode()
        if cursor and self._strikes("repeated-cursor"):
            records["cursor"] = cursor
        head = orjson.dumps({"requestId": _request_id(), "records": records})
        return head[:-1] + b',"' + items_key.encode() + b'":[' + b",".join(map(dump, chosen)) + b"]}"

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
        config = uvicorn.Config(self.app(), host="127.0.0.1", port=port, log_level="critical", access_log=False)
        with in_thread(config) as server:
            yield base_url(server)


@contextmanager
def in_thread(config: uvicorn.Config, *, timeout_s: float = 20.0) -> Iterator[uvicorn.Server]:
    """A server in a thread of this process; it listens when the block begins and is gone when it ends."""
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True, name="simulator")
    thread.start()
    deadline = time.monotonic() + timeout_s
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError(f"no server on port {config.port}: is the port taken?")
        time.sleep(0.005)
    try:
        yield server
    finally:
        # do not wait for answers that hang on purpose
        server.should_exit = server.force_exit = True
        thread.join(timeout=10)


def base_url(server: uvicorn.Server) -> str:
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
