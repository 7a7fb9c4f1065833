"""HTTP to HubSpot's CRM API: lists by cursor, searches around their 10,000-result limit, associations in batches."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import httpx

from dlt_pipelines import answers
from dlt_pipelines.api import HttpApi, Patience, error_text
from dlt_pipelines.errors import (
    ApiError,
    BadAnswerError,
    CursorLostError,
    KeyRejectedError,
    QuotaExhaustedError,
    ScopeMissingError,
)
from dlt_pipelines.hubspot.settings import HubSpotSettings
from dlt_pipelines.quota import Quota

PAGE_SIZE = 100


class BearerAuth(httpx.Auth):
    """A private app's access token."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request


class HubSpotClient(HttpApi):
    """A session with one HubSpot account."""

    name = "HubSpot"

    def __init__(self, settings: HubSpotSettings, quota: Quota) -> None:
        token = settings.access_token.get_secret_value()
        if not token:
            raise KeyRejectedError(
                "HUBSPOT_ACCESS_TOKEN is not set. Create a private app in HubSpot's settings with the scopes "
                "crm.objects.deals.read, crm.objects.companies.read and crm.objects.contacts.read"
            )
        self._search_limit = settings.search_limit
        super().__init__(
            base_url=settings.base_url,
            auth=BearerAuth(token),
            quota=quota,
            patience=Patience(
                retry_after_s=settings.patience_s,
                timeout_s=settings.timeout_s,
                max_attempts=settings.max_attempts,
                setting="HUBSPOT_PATIENCE_S",
            ),
        )

    def all_objects(self, kind: str, properties: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        """Every object that is not archived, page by page."""
        params = {"limit": str(PAGE_SIZE), "properties": ",".join(properties), "archived": "false"}
        after: str | None = None
        seen: set[str] = set()
        while True:
            extra = {"after": after} if after else {}
            answer = self.send("GET", f"/crm/v3/objects/{kind}", stream=kind, params={**params, **extra})
            yield _results(answer, kind)
            after = _next(answer)
            if after is None:
                return
            if after in seen:
                raise CursorLostError(f"{kind}: HubSpot handed out the same cursor twice. Run again")
            seen.add(after)

    def modified_since(
        self, kind: str, properties: Sequence[str], *, modified_property: str, since_ms: int
    ) -> Iterator[list[dict[str, Any]]]:
        """Objects modified at or after a moment, oldest change first.

        A search ends after 10,000 results; this one then starts again at the last change, whose objects come twice.
        """
        start_ms, after = since_ms, None
        while True:
            body: dict[str, Any] = {
                "filterGroups": [
                    {"filters": [{"propertyName": modified_property, "operator": "GTE", "value": str(start_ms)}]}
                ],
                "sorts": [{"propertyName": modified_property, "direction": "ASCENDING"}],
                "properties": [*properties, modified_property],
                "limit": PAGE_SIZE,
            }
            if after is not None:
                body["after"] = after
            where = f"modified since {start_ms}"
            answer = self.send("POST", f"/crm/v3/objects/{kind}/search", stream=kind, where=where, json=body)
            results = _results(answer, kind)
            yield results
            after = _next(answer)
            if after is None:
                return
            if int(after) + PAGE_SIZE > self._search_limit:
                last_ms = max(_modified_ms(result, modified_property, kind) for result in results)
                if last_ms <= start_ms:
                    raise BadAnswerError(
                        f"{kind} ({where}): more than {self._search_limit} objects changed in one millisecond, "
                        "which a search cannot page through. Run a full load"
                    )
                start_ms, after = last_ms, None

    def associations(self, kind: str, target: str, ids: Sequence[str]) -> dict[str, list[str]]:
        """Object id -> ids of the associated objects of another kind."""
        found: dict[str, list[str]] = {}
        if not ids:
            return found
        answer = self.send(
            "POST",
            f"/crm/v4/associations/{kind}/{target}/batch/read",
            stream=kind,
            where=f"{target} of {len(ids)} {kind}",
            json={"inputs": [{"id": object_id} for object_id in ids]},
        )
        for result in _results(answer, kind):
            object_id = str(result["from"]["id"])
            found[object_id] = [str(item["toObjectId"]) for item in result.get("to") or []]
            after = _next(result)
            while after is not None:
                more = self.send(
                    "GET",
                    f"/crm/v4/objects/{kind}/{object_id}/associations/{target}",
                    stream=kind,
                    where=f"{target} of {object_id}",
                    params={"limit": "500", "after": after},
                )
                found[object_id].extend(str(item["toObjectId"]) for item in _results(more, kind))
                after = _next(more)
        return found

    def refusal(self, response: httpx.Response, *, label: str, path: str) -> ApiError:
        text = error_text(response)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            return KeyRejectedError(f"{label}: HubSpot refused the token ({text}). Check HUBSPOT_ACCESS_TOKEN")
        if response.status_code == httpx.codes.FORBIDDEN:
            scope = _missing_scope(response)
            return ScopeMissingError(
                f"{label}: the token lacks the scope {scope}. Add it to the private app; until then it is skipped",
                scope=scope,
            )
        return super().refusal(response, label=label, path=path)

    def _wait_as_told(self, response: httpx.Response, *, label: str, attempt: int, waited_s: float) -> float:
        """A spent day says so in its policy name and, unlike other limits, without a time to wait."""
        try:
            policy = answers.parse(response.content).get("policyName")
        except (ValueError, AttributeError):
            policy = None
        if policy == "DAILY":
            raise QuotaExhaustedError(
                f"{label}: HubSpot's daily limit is used up ({error_text(response)}). "
                "What was read is saved; run again tomorrow"
            )
        return super()._wait_as_told(response, label=label, attempt=attempt, waited_s=waited_s)


def _results(answer: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    results = answer.get("results")
    if not isinstance(results, list):
        raise BadAnswerError(f"{kind}: the answer has no list under 'results'. Check that HUBSPOT_BASE_URL is HubSpot")
    return results


def _next(answer: Mapping[str, Any]) -> str | None:
    after = ((answer.get("paging") or {}).get("next") or {}).get("after")
    return str(after) if after is not None else None


def _modified_ms(result: Mapping[str, Any], modified_property: str, kind: str) -> int:
    at = answers.moment((result.get("properties") or {}).get(modified_property) or result.get("updatedAt"))
    if at is None:
        raise BadAnswerError(f"{kind} {result.get('id')}: {modified_property} is missing, so the search cannot go on")
    return int(at.timestamp() * 1000)


def _missing_scope(response: httpx.Response) -> str:
    try:
        errors = answers.parse(response.content).get("errors") or [{}]
        scopes = (errors[0].get("context") or {}).get("requiredGranularScopes") or []
    except (ValueError, AttributeError, IndexError):
        scopes = []
    return ", ".join(map(str, scopes)) or "it needs (see the private app's scopes)"
