"""HubSpot's CRM API on localhost: lists, searches with their limit, associations, and the ways it says no."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dlt_pipelines.gong.simulator.server import base_url, in_thread

KINDS = ("companies", "contacts", "deals")
MODIFIED = {"companies": "hs_lastmodifieddate", "contacts": "lastmodifieddate", "deals": "hs_lastmodifieddate"}
SEARCH_LIMIT = 10_000


class RefusalError(Exception):
    """An error answer."""

    def __init__(self, status: int, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


@dataclass
class Account:
    """What a simulated HubSpot account holds. Mutable on purpose: tests change it between loads."""

    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    associations: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict)

    def put(self, kind: str, object_id: str, *, modified: datetime | None = None, **properties: Any) -> None:
        """Add an object or change some of its properties."""
        at = (modified or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        known = self.objects[kind].get(object_id, {"createdAt": at, "properties": {}})
        self.objects[kind][object_id] = {
            "id": object_id,
            "properties": {**known["properties"], **properties, MODIFIED[kind]: at, "hs_object_id": object_id},
            "createdAt": known["createdAt"],
            "updatedAt": at,
            "archived": False,
        }

    def associate(self, kind: str, object_id: str, target: str, target_id: str) -> None:
        """Associate two objects in both directions."""
        self.associations.setdefault((kind, target), {}).setdefault(object_id, []).append(target_id)
        self.associations.setdefault((target, kind), {}).setdefault(target_id, []).append(object_id)


@dataclass
class Simulator:
    """The application and what it can be told to refuse."""

    account: Account = field(default_factory=Account)
    missing_scopes: set[str] = field(default_factory=set)
    refusals: list[RefusalError] = field(default_factory=list)
    """Answered one after the other before anything else is."""
    search_limit: int = SEARCH_LIMIT
    n_requests: int = 0
    hang_s: float = 0.0

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/crm/v3/objects/{kind}", self._endpoint, methods=["GET"], name="list"),
                Route("/crm/v3/objects/{kind}/search", self._endpoint, methods=["POST"], name="search"),
                Route(
                    "/crm/v4/associations/{kind}/{target}/batch/read", self._endpoint, methods=["POST"], name="batch"
                ),
                Route(
                    "/crm/v4/objects/{kind}/{object_id}/associations/{target}",
                    self._endpoint,
                    methods=["GET"],
                    name="associations",
                ),
            ]
        )

    @contextmanager
    def serve(self, *, port: int = 0) -> Iterator[str]:
        """Serve from a thread of this process and hand out the base URL."""
        config = uvicorn.Config(self.app(), host="127.0.0.1", port=port, log_level="critical", access_log=False)
        with in_thread(config) as server:
            yield base_url(server)

    async def _endpoint(self, request: Request) -> Response:
        self.n_requests += 1
        if self.hang_s:
            await asyncio.sleep(self.hang_s)
        status, headers = 200, {}
        try:
            self._check(request)
            body = orjson.loads(await request.body()) if request.method == "POST" else {}
            answer = self._answer(request, body)
        except RefusalError as refusal:
            status, answer, headers = refusal.status, dict(refusal.body), refusal.headers
        return Response(orjson.dumps(answer), status_code=status, headers=headers, media_type="application/json")

    def _check(self, request: Request) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        if not request.headers.get("authorization", "").startswith("Bearer "):
            raise RefusalError(
                401,
                {
                    "status": "error",
                    "message": "Authentication credentials not found.",
                    "category": "INVALID_AUTHENTICATION",
                },
            )
        scope = f"crm.objects.{request.path_params['kind']}.read"
        if scope in self.missing_scopes:
            raise RefusalError(
                403,
                {
                    "status": "error",
                    "message": "This app hasn't been granted all required scopes to make this call.",
                    "errors": [{"message": "required scopes", "context": {"requiredGranularScopes": [scope]}}],
                    "category": "MISSING_SCOPES",
                },
            )

    def _answer(self, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        kind = request.path_params["kind"]
        if kind not in KINDS:
            raise RefusalError(400, {"status": "error", "message": f"Unable to infer object type from: {kind}"})
        if request.url.path.endswith("/search"):
            return self._search(kind, body)
        if "target" not in request.path_params:
            wanted = request.query_params.get("properties", "").split(",")
            return self._list(kind, wanted, request.query_params)
        found = self.account.associations.get((kind, request.path_params["target"]), {})
        if request.method == "GET":
            return {"results": [{"toObjectId": int(target)} for target in found[request.path_params["object_id"]]]}
        return {
            "status": "COMPLETE",
            "results": [
                {"from": {"id": item["id"]}, "to": [{"toObjectId": int(target)} for target in found[item["id"]]]}
                for item in body["inputs"]
                if item["id"] in found
            ],
        }

    def _list(self, kind: str, wanted: list[str], query: Mapping[str, str]) -> dict[str, Any]:
        items = sorted(self.account.objects[kind].values(), key=lambda item: int(item["id"]))
        after, limit = int(query.get("after", 0)), min(100, int(query.get("limit", 10)))
        chosen = [item for item in items if int(item["id"]) > after]
        answer: dict[str, Any] = {"results": [_with(item, wanted) for item in chosen[:limit]]}
        if len(chosen) > limit:
            answer["paging"] = {"next": {"after": chosen[limit - 1]["id"]}}
        return answer

    def _search(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        after, limit = int(body.get("after", 0)), int(body.get("limit", 10))
        if after + limit > self.search_limit:
            raise RefusalError(400, {"status": "error", "message": "The search may return at most 10,000 results"})
        condition = body["filterGroups"][0]["filters"][0]
        name = condition["propertyName"]
        since = datetime.fromtimestamp(int(condition["value"]) / 1000, tz=UTC)
        chosen = sorted(
            (
                item
                for item in self.account.objects[kind].values()
                if datetime.fromisoformat(item["properties"][name]) >= since
            ),
            key=lambda item: (item["properties"][name], int(item["id"])),
        )
        answer: dict[str, Any] = {
            "total": len(chosen),
            "results": [_with(item, body["properties"]) for item in chosen[after : after + limit]],
        }
        if after + limit < len(chosen):
            answer["paging"] = {"next": {"after": str(after + limit)}}
        return answer


def _with(item: Mapping[str, Any], wanted: list[str]) -> dict[str, Any]:
    properties = item["properties"]
    return {**item, "properties": {name: properties.get(name) for name in [*wanted, "hs_object_id"]}}
