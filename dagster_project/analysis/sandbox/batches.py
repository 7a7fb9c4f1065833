"""Message Batches: accepted at once, worked off in the background, billed at half price by the caller's price list."""

import asyncio
import itertools
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from dagster_project.analysis.sandbox.refusals import RefusedError
from dagster_project.analysis.sandbox.responses import ApiError

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
CUSTOM_ID = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
MAX_REQUESTS = 100_000
LIFETIME = timedelta(hours=24)
RESULTS_KEPT = timedelta(days=29)
DEFAULT_PAGE = 20


@dataclass
class Batch:
    batch_id: str
    requests: list[dict[str, Any]]
    created_at: datetime
    status: str = "in_progress"
    ended_at: datetime | None = None
    cancel_at: datetime | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Plans:
    """What happens to the next batch's requests, for tests: positions by outcome."""

    delay_s: float = 0.0
    errored: Sequence[int] = ()
    expired: Sequence[int] = ()
    canceled: Sequence[int] = ()
    # requests start on an empty cache this often, because a batch's requests run far apart
    miss_share: float = 0.1
    is_reversed: bool = True


class Batches:
    def __init__(self, *, answer: Callable[[dict[str, Any], str], dict[str, Any]]) -> None:
        self._answer = answer
        self._batches: dict[str, Batch] = {}
        self._serial = itertools.count(1)
        self._plans = Plans()
        self._tasks: set[asyncio.Task[None]] = set()

    def control(self, wanted: dict[str, Any]) -> None:
        try:
            self._plans = Plans(**wanted)
        except TypeError as error:
            raise RefusedError(f"batches: {error}") from error

    def clear(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._batches.clear()

    def summary(self) -> dict[str, str]:
        return {batch.batch_id: batch.status for batch in self._batches.values()}

    async def handle(
        self,
        method: str,
        rest: list[str],
        scope: MutableMapping[str, Any],
        raw: bytes,
        send: Send,
        request_id: str,
    ) -> None:
        match method, rest:
            case "POST", []:
                answer = self._create(raw)
            case "GET", []:
                answer = self._list(parse_qs(scope.get("query_string", b"").decode()))
            case "GET", [batch_id]:
                answer = self._body(self._find(batch_id), scope)
            case "POST", [batch_id, "cancel"]:
                answer = self._body(self._cancel(self._find(batch_id)), scope)
            case "DELETE", [batch_id]:
                answer = self._delete(self._find(batch_id))
            case "GET", [batch_id, "results"]:
                await self._results(self._find(batch_id), send, request_id)
                return
            case _:
                raise ApiError(404, "not_found_error", f"Not found: {method} {scope['path']}")
        await self._reply(send, "application/json", json.dumps(answer).encode(), request_id)

    def _find(self, batch_id: str) -> Batch:
        if batch_id not in self._batches:
            raise ApiError(404, "not_found_error", f"batch {batch_id} does not exist")
        return self._batches[batch_id]

    def _create(self, raw: bytes) -> dict[str, Any]:
        try:
            requests = json.loads(raw)["requests"]
        except (ValueError, KeyError, TypeError) as error:
            raise RefusedError("requests: Field required") from error
        if not isinstance(requests, list) or not 1 <= len(requests) <= MAX_REQUESTS:
            raise RefusedError(f"requests: between 1 and {MAX_REQUESTS} requests are required")
        seen = set()
        for index, request in enumerate(requests):
            custom_id = request.get("custom_id") if isinstance(request, dict) else None
            if not isinstance(custom_id, str) or not CUSTOM_ID.match(custom_id):
                raise RefusedError(f"requests.{index}.custom_id: must match ^[a-zA-Z0-9_-]{{1,64}}$")
            if custom_id in seen:
                raise RefusedError(f"requests.{index}.custom_id: {custom_id} is not unique")
            if not isinstance(request.get("params"), dict):
                raise RefusedError(f"requests.{index}.params: Field required")
            seen.add(custom_id)
        batch = Batch(f"msgbatch_sandbox_{next(self._serial):06d}", requests, datetime.now(UTC))
        self._batches[batch.batch_id] = batch
        task = asyncio.get_running_loop().create_task(self._work(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return self._body(batch, None)

    async def _work(self, batch: Batch) -> None:
        plans = self._plans
        await asyncio.sleep(plans.delay_s)
        for index, request in enumerate(batch.requests):
            custom_id = request["custom_id"]
            if batch.status == "canceling" or index in plans.canceled:
                batch.results[custom_id] = {"type": "canceled"}
            elif index in plans.expired:
                batch.results[custom_id] = {"type": "expired"}
            elif index in plans.errored:
                error = {"type": "api_error", "message": "Internal server error"}
                batch.results[custom_id] = {"type": "errored", "error": {"type": "error", "error": error}}
            else:
                batch.results[custom_id] = self._work_off(batch, index, request["params"])
            # the loop must stay responsive while a large batch is worked off
            await asyncio.sleep(0)
        batch.status = "ended"
        batch.ended_at = datetime.now(UTC)

    def _work_off(self, batch: Batch, index: int, parameters: dict[str, Any]) -> dict[str, Any]:
        misses = self._plans.miss_share > 0 and index % max(round(1 / self._plans.miss_share), 1) == 0
        # entries of synchronous calls are not reliably read by batches, and not every entry of the batch's own
        scope = f"{batch.batch_id}|{index}" if misses else "batch"
        answer = self._answer(parameters, scope)
        if answer.get("type") == "error":
            return {"type": "errored", "error": answer}
        return {"type": "succeeded", "message": answer}

    def _cancel(self, batch: Batch) -> Batch:
        if batch.status == "in_progress":
            batch.status = "canceling"
            batch.cancel_at = datetime.now(UTC)
        return batch

    def _delete(self, batch: Batch) -> dict[str, Any]:
        if batch.status != "ended":
            raise RefusedError(f"batch {batch.batch_id} cannot be deleted while it is {batch.status}")
        del self._batches[batch.batch_id]
        return {"id": batch.batch_id, "type": "message_batch_deleted"}

    def _list(self, query: dict[str, list[str]]) -> dict[str, Any]:
        newest_first = sorted(self._batches.values(), key=lambda batch: batch.batch_id, reverse=True)
        ids = [batch.batch_id for batch in newest_first]
        after, before = query.get("after_id", [None])[0], query.get("before_id", [None])[0]
        limit = min(int(query.get("limit", [str(DEFAULT_PAGE)])[0]), 1000)
        if after in ids:
            newest_first = newest_first[ids.index(after) + 1 :]
        if before in ids:
            newest_first = newest_first[: ids.index(before)]
        page = newest_first[:limit]
        return {
            "data": [self._body(batch, None) for batch in page],
            "has_more": len(newest_first) > limit,
            "first_id": page[0].batch_id if page else None,
            "last_id": page[-1].batch_id if page else None,
        }

    def _body(self, batch: Batch, scope: MutableMapping[str, Any] | None) -> dict[str, Any]:
        kinds = Counter(result["type"] for result in batch.results.values())
        has_ended = batch.status == "ended"
        return {
            "id": batch.batch_id,
            "type": "message_batch",
            "processing_status": batch.status,
            "request_counts": {
                # only an ended batch has final counts
                "processing": 0 if has_ended else len(batch.requests),
                **{kind: kinds[kind] if has_ended else 0 for kind in ("succeeded", "errored", "canceled", "expired")},
            },
            "created_at": batch.created_at.isoformat(),
            "expires_at": (batch.created_at + LIFETIME).isoformat(),
            "ended_at": batch.ended_at.isoformat() if batch.ended_at else None,
            "archived_at": None,
            "cancel_initiated_at": batch.cancel_at.isoformat() if batch.cancel_at else None,
            "results_url": f"{origin_of(scope)}/v1/messages/batches/{batch.batch_id}/results" if has_ended else None,
        }

    async def _results(self, batch: Batch, send: Send, request_id: str) -> None:
        if batch.ended_at is None:
            raise RefusedError(f"batch {batch.batch_id} has no results yet")
        if datetime.now(UTC) - batch.created_at > RESULTS_KEPT:
            raise ApiError(404, "not_found_error", f"the results of batch {batch.batch_id} are no longer kept")
        items = list(batch.results.items())
        if self._plans.is_reversed:
            items.reverse()
        lines = "".join(json.dumps({"custom_id": custom_id, "result": result}) + "\n" for custom_id, result in items)
        await self._reply(send, "application/x-jsonl", lines.encode(), request_id)

    async def _reply(self, send: Send, content_type: str, body: bytes, request_id: str) -> None:
        headers = [(b"content-type", content_type.encode()), (b"request-id", request_id.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def origin_of(scope: MutableMapping[str, Any] | None) -> str:
    """The address the caller used: the SDK fetches results from the URL it is given."""
    if scope is None:
        return ""
    host = next((value.decode() for name, value in scope["headers"] if name == b"host"), "127.0.0.1")
    return f"http://{host}"
