"""The simulator answers as Gong does: envelope, paging, refusals, shapes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from dlt_pipelines.gong.simulator.company import build_company
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant, TenantError
from dlt_pipelines.gong.tables import CONTENT_SELECTOR

WIDE = {"filter": {"fromDateTime": "2000-01-01T00:00:00Z", "toDateTime": "2100-01-01T00:00:00Z"}}
META = {
    "id": str,
    "url": str,
    "title": str,
    "scheduled": str,
    "started": str,
    "duration": int,
    "primaryUserId": str,
    "direction": str,
    "system": str,
    "scope": str,
    "media": str,
    "language": str,
    "workspaceId": str,
    "isPrivate": bool,
}
LISTS = {
    "context": {"system", "objects"},
    "parties": {"id", "speakerId", "affiliation", "methods"},
}
CONTENT = {"structure", "topics", "trackers", "brief", "outline", "highlights", "callOutcome", "keyPoints"}
INTERACTION = {"speakers", "interactionStats", "video", "questions"}


@pytest.fixture
def http(gong_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gong_url, auth=("key", "secret")) as http:
        yield http


def test_faults_can_be_exchanged_while_it_serves_and_are_counted(http: httpx.Client) -> None:
    switched = http.post("/_control", json={"faults": [{"kind": "500", "strikes": 2, "every": 1}]}).json()
    assert switched == {"requests": 0, "most_in_a_second": 0, "struck": {}}
    assert [http.get("/v2/users").status_code for _ in range(3)] == [500, 500, 200]
    told = http.post("/_control", json={}).json()
    assert (told["requests"], told["struck"]["500"]) == (3, 2)
    assert told["most_in_a_second"] >= 1


def assert_gong_call(item: dict[str, Any]) -> None:
    for name, kind in META.items():
        assert isinstance(item["metaData"][name], kind), name
    assert datetime.fromisoformat(item["metaData"]["started"]).tzinfo is not None
    for block, fields in LISTS.items():
        for entry in item[block]:
            assert fields <= entry.keys(), block
    for system in item["context"]:
        for crm_object in system["objects"]:
            assert {"objectType", "objectId", "fields", "timing"} <= crm_object.keys()
    assert item["content"].keys() <= CONTENT
    assert item["interaction"].keys() <= INTERACTION
    parties = {party["id"] for party in item["parties"]}
    for speaker in item["interaction"].get("speakers", []):
        assert speaker["id"] in parties
    for party in item["parties"]:
        assert party["affiliation"] in ("Internal", "External", "Unknown")


def assert_gong_transcript(item: dict[str, Any], call: dict[str, Any]) -> None:
    speakers = {party["speakerId"] for party in call["parties"]} - {None}
    assert item.keys() == {"callId", "transcript"}
    # somebody may speak who is no party of the call, but not everybody
    assert speakers & {monologue["speakerId"] for monologue in item["transcript"]}
    for monologue in item["transcript"]:
        assert {"speakerId", "topic", "sentences"} <= monologue.keys()
        for sentence in monologue["sentences"]:
            assert isinstance(sentence.get("start"), int | None)
            assert isinstance(sentence.get("end"), int | None)
            assert isinstance(sentence["text"], str)


def test_the_seeded_company_has_gongs_shapes() -> None:
    company = build_company(until=date(2026, 11, 20))
    tenant = Tenant(users=company.users, calls=company.calls, transcripts=company.transcripts)
    with Simulator(tenant).serve() as url, httpx.Client(base_url=url, auth=("key", "secret"), timeout=60) as http:
        answer = http.post("/v2/calls/extensive", json={**WIDE, "contentSelector": CONTENT_SELECTOR}).json()
        ids = [call["metaData"]["id"] for call in answer["calls"]]
        said = http.post("/v2/calls/transcript", json={"filter": {"callIds": ids}}).json()["callTranscripts"]
        users = http.get("/v2/users").json()["users"]
    calls = {call["metaData"]["id"]: call for call in answer["calls"]}
    assert len(calls) == 100
    assert {item["callId"] for item in said} <= calls.keys()
    for call in calls.values():
        assert_gong_call(call)
    for item in said:
        assert_gong_transcript(item, calls[item["callId"]])
    for user in users:
        assert {"id", "emailAddress", "created", "active", "firstName", "lastName", "title", "managerId"} <= user.keys()


def test_a_page_holds_at_most_a_hundred_and_a_cursor_only_when_there_is_more(
    http: httpx.Client, simulator: Simulator
) -> None:
    simulator.page_size = 3
    first = http.post("/v2/calls/extensive", json=WIDE).json()
    assert set(first) == {"requestId", "records", "calls"}
    assert {key: first["records"][key] for key in ("totalRecords", "currentPageSize", "currentPageNumber")} == {
        "totalRecords": 5,
        "currentPageSize": 3,
        "currentPageNumber": 0,
    }
    last = http.post("/v2/calls/extensive", json={**WIDE, "cursor": first["records"]["cursor"]}).json()
    assert "cursor" not in last["records"]
    assert [len(first["calls"]), len(last["calls"])] == [3, 2]


def test_a_cursor_in_the_query_of_a_post_is_ignored(http: httpx.Client, simulator: Simulator) -> None:
    simulator.page_size = 3
    first = http.post("/v2/calls/extensive", json=WIDE).json()
    again = http.post("/v2/calls/extensive", params={"cursor": first["records"]["cursor"]}, json=WIDE).json()
    assert again["calls"] == first["calls"]


def test_a_cursor_of_another_request_or_after_its_hour_is_refused(http: httpx.Client, simulator: Simulator) -> None:
    simulator.page_size = 3
    cursor = http.post("/v2/calls/extensive", json=WIDE).json()["records"]["cursor"]
    other = {"filter": {**WIDE["filter"], "toDateTime": "2099-01-01T00:00:00Z"}, "cursor": cursor}
    assert http.post("/v2/calls/extensive", json=other).status_code == 400
    simulator.cursor_life_s = -1
    expired = http.post("/v2/calls/extensive", json={**WIDE, "cursor": cursor})
    assert (expired.status_code, expired.json()["errors"]) == (400, ["The cursor has expired"])


def test_blocks_that_are_not_selected_are_absent(http: httpx.Client) -> None:
    bare = http.post("/v2/calls/extensive", json=WIDE).json()["calls"][0]
    assert bare.keys() == {"metaData"}
    parties = {**WIDE, "contentSelector": {"exposedFields": {"parties": True, "content": {"topics": True}}}}
    some = http.post("/v2/calls/extensive", json=parties).json()["calls"][0]
    assert some.keys() == {"metaData", "parties", "content"}
    assert some["content"].keys() == {"topics"}


def test_media_urls_are_signed_anew_on_every_request(http: httpx.Client) -> None:
    body = {**WIDE, "contentSelector": {"exposedFields": {"media": True}}}
    first, second = (http.post("/v2/calls/extensive", json=body).json()["calls"][0]["media"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("POST", "/v2/calls/extensive", {}, 400, "filter"),
        ("POST", "/v2/calls/extensive", {"filter": {"fromDateTime": "yesterday"}}, 400, "fromDateTime"),
        (
            "POST",
            "/v2/calls/extensive",
            {"filter": {"fromDateTime": "2026-01-02T00:00:00Z", "toDateTime": "2026-01-01T00:00:00Z"}},
            400,
            "must be before toDateTime",
        ),
        ("POST", "/v2/calls/transcript", {"filter": {"callIds": ["404"]}}, 404, "provided filters"),
        ("POST", "/v2/stats/interaction", {"filter": {"fromDate": "2026-01-01", "toDate": "2999-01-01"}}, 400, "today"),
        ("POST", "/v2/stats/activity/scorecards", {"filter": {}}, 404, "answered scorecards"),
        ("GET", "/v2/library/folders", None, 404, "No folders found for the specified period"),
    ],
)
def test_refusals_say_what_gong_says(
    http: httpx.Client, method: str, path: str, body: Any, status: int, text: str
) -> None:
    answer = http.request(method, path, json=body)
    assert answer.status_code == status
    assert text in answer.json()["errors"][0]
    assert answer.json()["requestId"]


def test_a_request_without_basic_auth_is_unauthorised_and_a_missing_scope_is_named(
    gong_url: str, http: httpx.Client, simulator: Simulator
) -> None:
    assert httpx.get(f"{gong_url}/v2/users").status_code == 401
    simulator.missing_scopes.add("api:users:read")
    answer = http.get("/v2/users")
    assert answer.status_code == 401
    assert answer.json()["errors"] == ["You don't have permission to use 'api:users:read' in your app."]


def test_settings_come_without_a_paging_envelope(http: httpx.Client) -> None:
    for path, key in (
        ("/v2/workspaces", "workspaces"),
        ("/v2/settings/trackers", "keywordTrackers"),
        ("/v2/settings/scorecards", "scorecards"),
    ):
        assert set(http.get(path).json()) == {"requestId", key}


def write(folder: Path, **files: Any) -> Path:
    for name, content in {"users": [], "calls": [], "transcripts": [], **files}.items():
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / f"{name}.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"calls": None}, "has no calls.json"),
        ({"users": "[{"}, "users.json is not JSON"),
        ({"calls": '"x"'}, "calls.json holds a str"),
        ({"calls": ["x"]}, "item 0 is a str"),
        ({"transcripts": [{"transcript": []}]}, "item 0 has no callId"),
    ],
)
def test_a_malformed_folder_is_refused_with_file_and_place(tmp_path: Path, files: dict[str, Any], text: str) -> None:
    with pytest.raises(TenantError, match=text):
        Tenant.from_folder(write(tmp_path, **files))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TenantError, match="not a folder"):
        Tenant.from_folder(tmp_path / "nowhere")


def test_calls_after_the_last_day_stay_out(tmp_path: Path, tenant: Tenant) -> None:
    write(tmp_path, users=tenant.users, calls=tenant.calls, transcripts=list(tenant.transcripts.values()))
    last = datetime.now(UTC).date() - timedelta(days=5)
    cut = Tenant.from_folder(tmp_path, until=last)
    assert 0 < len(cut.calls) < 5
    assert len(cut.transcripts) == len(cut.calls)
    assert cut.span()[1] <= last


def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path, tenant: Tenant) -> None:
    write(tmp_path, users=tenant.users, calls=tenant.calls, transcripts=[])
    process = subprocess.Popen(
        [sys.executable, "-m", "dlt_pipelines.gong.simulator", "--data", str(tmp_path), "--fault", "500:1:1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    statuses = [httpx.get(f"{url}/v2/users", auth=("a", "b")).status_code for _ in range(2)]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert statuses == [500, 200]


def test_the_command_explains_what_is_wrong_with_its_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dlt_pipelines.gong.simulator", "--data", str(tmp_path / "nowhere")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "nowhere is not a folder" in done.stderr
    assert "Traceback" not in done.stderr
