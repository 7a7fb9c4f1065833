from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant
from dlt_pipelines.report import LoadReport

Load = Callable[..., LoadReport]
Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def tenant(tenant: Tenant) -> Tenant:
    now = datetime.now(UTC)
    tenant.trackers = [
        {
            "trackerId": "71",
            "trackerName": "Pricing",
            "workspaceId": "6600001000000001",
            "languageKeywords": [{"language": "eng", "keywords": ["price"], "includeRelatedForms": True}],
            "affiliation": "Anyone",
            "partOfQuestion": False,
            "saidAt": "Anytime",
            "saidAtInterval": None,
            "saidAtUnit": None,
            "saidInTopics": [],
            "filterQuery": "{}",
            "created": "2024-01-02T08:00:00.123Z",
            "creatorUserId": None,
            "updated": "2024-02-02T08:00:00Z",
            "updaterUserId": None,
        }
    ]
    tenant.scorecards = [
        {
            "scorecardId": "81",
            "scorecardName": "Discovery",
            "workspaceId": None,
            "enabled": True,
            "reviewMethod": "MANUAL",
            "updaterUserId": "-1",
            "created": "2024-01-02T08:00:00Z",
            "updated": "2024-01-02T08:00:00Z",
            "questions": [{"questionId": "1", "questionText": "Pain found?", "minRange": "1", "maxRange": "5"}],
        }
    ]
    tenant.answered_scorecards = [
        {
            "answeredScorecardId": 91234567890123456,
            "scorecardId": 81,
            "scorecardName": "Discovery",
            "callId": tenant.calls[0]["metaData"]["id"],
            "callStartTime": (now - timedelta(days=80)).isoformat(),
            "reviewedUserId": tenant.users[0]["id"],
            "reviewerUserId": tenant.users[1]["id"],
            "reviewTime": (now - timedelta(days=1)).isoformat(),
            "visibilityType": "PUBLIC",
            "answers": [{"questionId": "1", "isOverall": True, "score": 4, "notApplicable": False}],
        }
    ]
    tenant.interaction_stats = [
        {
            "userId": tenant.users[0]["id"],
            "userEmailAddress": "rep1@seller.example",
            "personInteractionStats": [{"name": "Talk Ratio", "value": 0.4 + number / 100}],
            "day": (now - timedelta(days=number)).date().isoformat(),
        }
        for number in range(4)
    ]
    tenant.library_folders = [
        {"id": "61", "name": "Best of", "parentFolderId": None, "createdBy": None, "updated": "2024-01-02T08:00:00Z"}
    ]
    tenant.library_folders[0]["calls"] = [{"id": tenant.calls[0]["metaData"]["id"], "note": "Listen to minute 3"}]
    return tenant


def test_every_stream_arrives_and_a_second_load_writes_nothing(load_gong: Load, rows: Rows) -> None:
    report = load_gong()
    assert report.problems == ()
    written = {name: stream.rows_written for name, stream in report.streams.items()}
    assert written == {
        "workspaces": 1,
        "users": 2,
        "calls": 5,
        "transcripts": 5,
        "trackers": 1,
        "scorecards": 1,
        "answered_scorecards": 1,
        "interaction_stats": 3,
        "library_folders": 1,
    }
    answer = rows("select answered_scorecard_id, scorecard_id, review_time, answers from raw_gong.answered_scorecards")
    assert (answer[0]["answered_scorecard_id"], answer[0]["scorecard_id"]) == ("91234567890123456", "81")
    assert answer[0]["answers"][0]["score"] == 4
    folder = rows("select workspace_id, calls -> 0 ->> 'note' as note from raw_gong.library_folders")
    assert folder == [{"workspace_id": "6600001000000001", "note": "Listen to minute 3"}]
    assert rows("select filter_query, created from raw_gong.trackers") == [
        {"filter_query": "{}", "created": datetime(2024, 1, 2, 8, 0, 0, 123000, tzinfo=UTC)}
    ]
    assert load_gong().rows_written == 0


def test_daily_statistics_have_a_row_per_user_and_day_and_leave_out_today(load_gong: Load, rows: Rows) -> None:
    load_gong()
    today = datetime.now(UTC).date()
    assert rows("select day from raw_gong.interaction_stats order by day desc") == [
        {"day": today - timedelta(days=number)} for number in (1, 2, 3)
    ]


def test_a_settled_day_is_not_asked_for_again(load_gong: Load, simulator: Simulator) -> None:
    load_gong()
    simulator.log.clear()
    load_gong()
    assert [record for record in simulator.log if record.path == "/v2/stats/interaction"] == []


def test_a_folder_is_opened_once_a_day_or_when_it_says_that_it_changed(
    load_gong: Load, rows: Rows, tenant: Tenant, simulator: Simulator
) -> None:
    load_gong()
    simulator.log.clear()
    load_gong()
    assert [record for record in simulator.log if record.path == "/v2/library/folder-content"] == []
    tenant.library_folders[0]["calls"] = []
    tenant.library_folders[0]["updated"] = "2024-03-02T08:00:00Z"
    load_gong()
    assert rows("select calls from raw_gong.library_folders") == [{"calls": []}]


def test_a_removed_tracker_is_marked_and_a_removed_user_ends(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    tenant.trackers.append({**tenant.trackers[0], "trackerId": "72"})
    load_gong()
    tenant.trackers.pop(0)
    tenant.users.pop(0)
    load_gong()
    assert rows("select tracker_id, is_deleted from raw_gong.trackers order by 1") == [
        {"tracker_id": "71", "is_deleted": True},
        {"tracker_id": "72", "is_deleted": False},
    ]
    assert rows("select count(*) as n from raw_gong.users where _dlt_valid_to is null") == [{"n": 1}]


def test_a_user_who_comes_back_unchanged_is_current_again(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    load_gong()
    gone = tenant.users.pop(0)
    load_gong()
    tenant.users.append(gone)
    load_gong()
    assert rows(
        "select _dlt_valid_to is null as is_current from raw_gong.users where id = %s order by 1", [gone["id"]]
    ) == [
        {"is_current": False},
        {"is_current": True},
    ]


def test_a_short_snapshot_retires_nobody(load_gong: Load, rows: Rows, tenant: Tenant, simulator: Simulator) -> None:
    load_gong()
    # a page that holds an entry without id: fewer usable users than announced
    tenant.users[0] = {key: value for key, value in tenant.users[0].items() if key != "id"}
    report = load_gong()
    assert report.is_partial
    assert rows("select count(*) as n from raw_gong.users where _dlt_valid_to is null") == [{"n": 2}]


SCOPES = {
    # first, because days that were read once are not asked for again
    "api:stats:interaction": "interaction_stats",
    "api:workspaces:read": "workspaces",
    "api:users:read": "users",
    "api:settings:trackers:read": "trackers",
    "api:settings:scorecards:read": "scorecards",
    "api:stats:scorecards": "answered_scorecards",
    "api:library:read": "library_folders",
}


def test_a_stream_without_its_scope_is_skipped_by_name(load_gong: Load, rows: Rows, simulator: Simulator) -> None:
    for scope, stream in SCOPES.items():
        simulator.missing_scopes = {scope}
        report = load_gong()
        assert (stream, scope) in {(problem.stream, problem.key) for problem in report.problems}
        assert not report.is_partial
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 5}]
    assert {stream: report_rows(rows, stream) > 0 for stream in SCOPES.values()} == dict.fromkeys(SCOPES.values(), True)


def report_rows(rows: Rows, stream: str) -> int:
    return rows(f"select count(*) as n from raw_gong.{stream}")[0]["n"]
