"""Completeness: what comes late, disappears, turns private or was erased."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from dlt_pipelines.bookkeeping import subject_sha256
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.gong.simulator.faults import Fault
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant
from dlt_pipelines.report import LoadReport

Load = Callable[..., LoadReport]
Rows = Callable[..., list[dict[str, Any]]]


def ids(tenant: Tenant) -> list[str]:
    return [call["metaData"]["id"] for call in tenant.calls]


def execute(database_url: str, statement: str, parameters: Any = None) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statement, parameters)


def test_a_call_that_gong_counts_but_does_not_show_is_remembered_by_its_day(
    load_gong: Load, rows: Rows, tenant: Tenant, simulator: Simulator
) -> None:
    simulator.faults.append(Fault("late-call", strikes=100, every=1))
    report = load_gong()
    day = tenant.calls[-1]["metaData"]["started"][:10]
    assert rows("select kind, key, detail from raw_gong._owed where kind = 'day'") == [
        {"kind": "day", "key": day, "detail": {"missing": 1}}
    ]
    assert [(problem.stream, problem.key) for problem in report.problems] == [("calls", day)]

    simulator.faults.clear()
    report = load_gong()
    assert report.problems == ()
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 5}]
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 5}]
    assert rows("select count(*) as n from raw_gong._owed") == [{"n": 0}]


def test_a_call_missing_before_the_look_back_is_still_asked_for(
    load_gong: Load, rows: Rows, tenant: Tenant, simulator: Simulator, database_url: str
) -> None:
    old = datetime.now(UTC) - timedelta(days=60)
    tenant.calls[4]["metaData"]["started"] = old.isoformat()
    simulator.faults.append(Fault("late-call", strikes=100, every=1))
    load_gong()
    simulator.faults.clear()
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 4}]
    execute(database_url, "update raw_gong._owed set last_asked_at = now() - interval '1 day'")

    load_gong()

    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 5}]
    assert rows("select count(*) as n from raw_gong._owed") == [{"n": 0}]


def test_what_never_comes_is_given_up_with_a_record(
    load_gong: Load, rows: Rows, tenant: Tenant, simulator: Simulator, database_url: str
) -> None:
    silent = ids(tenant)[0]
    del tenant.transcripts[silent]
    simulator.faults.append(Fault("late-call", strikes=100, every=1))
    load_gong()
    execute(database_url, "update raw_gong._owed set first_seen_at = now() - interval '15 days'")

    report = load_gong()

    assert {(problem.stream, problem.what.split(":")[0]) for problem in report.problems} == {
        ("calls", "given up"),
        ("transcripts", "given up"),
    }
    letters = rows("select stream, key, status from ops.dead_letters order by stream")
    assert [(letter["stream"], letter["status"]) for letter in letters] == [
        ("calls", "given_up"),
        ("transcripts", "given_up"),
    ]
    assert load_gong().problems == ()


def test_a_transcript_given_up_on_is_taken_when_it_comes_after_all(
    load_gong: Load, rows: Rows, tenant: Tenant, database_url: str
) -> None:
    silent = ids(tenant)[0]
    transcript = tenant.transcripts.pop(silent)
    load_gong()
    execute(database_url, "update raw_gong._owed set first_seen_at = now() - interval '15 days'")
    load_gong()
    tenant.transcripts[silent] = transcript

    load_gong()

    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 5}]
    assert rows("select status from ops.dead_letters") == [{"status": "resolved"}]


def test_a_call_asked_for_by_id_before_it_exists_arrives_with_a_later_run(
    load_gong: Load, rows: Rows, tenant: Tenant, database_url: str
) -> None:
    call = tenant.calls.pop(0)
    call["metaData"]["started"] = (datetime.now(UTC) - timedelta(days=300)).isoformat()
    report = load_gong(call_ids=[call["metaData"]["id"]])
    assert [problem.key for problem in report.problems] == [call["metaData"]["id"]]
    tenant.calls.append(call)
    load_gong()
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 4}]
    execute(database_url, "update raw_gong._owed set last_asked_at = now() - interval '1 day'")

    load_gong()

    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 5}]
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 5}]
    assert rows("select count(*) as n from raw_gong._owed") == [{"n": 0}]


def test_only_a_full_load_marks_deleted_calls_and_keeps_their_rows(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    load_gong()
    deleted = tenant.calls.pop(2)["metaData"]["id"]
    load_gong()
    assert rows("select count(*) as n from raw_gong.calls where is_deleted") == [{"n": 0}]

    report = load_gong(mode="full")

    assert rows("select id from raw_gong.calls where is_deleted") == [{"id": deleted}]
    assert report.streams["calls"].rows_written == 1
    assert len(report.changed_weeks) == 1
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 5}]
    assert load_gong(mode="full").rows_written == 0


def test_a_call_that_comes_back_is_no_longer_deleted(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    load_gong()
    call = tenant.calls.pop(2)
    load_gong(mode="full")
    tenant.calls.append(call)
    load_gong()
    assert rows("select count(*) as n from raw_gong.calls where is_deleted") == [{"n": 0}]


def test_a_full_load_that_sees_nothing_deletes_nothing(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    load_gong()
    tenant.calls.clear()
    report = load_gong(mode="full")
    assert rows("select count(*) as n from raw_gong.calls where is_deleted") == [{"n": 0}]
    assert any("lost sight" in problem.what_to_do for problem in report.problems)


def test_private_calls_stay_out_unless_the_setting_lets_them_in(
    load_gong: Load, rows: Rows, tenant: Tenant, settings: GongSettings, simulator: Simulator
) -> None:
    tenant.calls[1]["metaData"]["isPrivate"] = True
    private = ids(tenant)[1]
    load_gong()
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 4}]
    asked = [record.body["filter"]["callIds"] for record in simulator.log if record.path == "/v2/calls/transcript"]
    assert all(private not in batch for batch in asked)
    (kept_out,) = rows("select call_sha256, reason from raw_gong._kept_out")
    assert kept_out == {"call_sha256": subject_sha256(private), "reason": "it is private"}

    load_gong(settings=settings.model_copy(update={"include_private_calls": True}))
    assert rows("select id from raw_gong.calls where is_private") == [{"id": private}]
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 5}]
    assert rows("select * from raw_gong._kept_out") == []


def test_a_call_that_turns_private_loses_its_content(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    load_gong()
    tenant.calls[1]["metaData"]["isPrivate"] = True
    report = load_gong()
    call = rows("select * from raw_gong.calls where id = %s", [ids(tenant)[1]])[0]
    assert (call["is_deleted"], call["is_private"], call["title"], call["parties"]) == (True, True, None, None)
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 4}]
    assert [problem.key for problem in report.problems] == [ids(tenant)[1]]
    assert load_gong().rows_written == 0


def test_what_was_erased_does_not_come_back(load_gong: Load, rows: Rows, tenant: Tenant, database_url: str) -> None:
    tenant.calls[0]["metaData"]["primaryUserId"] = tenant.users[1]["id"]
    subjects = [("call", ids(tenant)[1]), ("rep", tenant.users[1]["id"]), ("account", "acc2")]
    for kind, subject in subjects:
        execute(
            database_url,
            "insert into ops.tombstones (subject_kind, subject_sha256, erased_by) values (%s, %s, 'test')",
            [kind, subject_sha256(subject)],
        )
    load_gong()
    # call 0 is the erased rep's, call 1 is erased itself, call 2 belongs to the erased account
    assert rows("select id from raw_gong.calls order by id") == [{"id": call_id} for call_id in ids(tenant)[3:]]
    assert rows("select call_id as id from raw_gong.transcripts order by 1") == [
        {"id": call_id} for call_id in ids(tenant)[3:]
    ]
    assert rows("select id from raw_gong.users") == [{"id": tenant.users[0]["id"]}]


def test_an_expired_cursor_starts_the_window_again(load_gong: Load, rows: Rows, simulator: Simulator) -> None:
    simulator.page_size = 2
    simulator.faults.append(Fault("cursor-expired", strikes=1, every=2))
    report = load_gong(streams=["calls", "transcripts"])
    assert report.problems == ()
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 5}]


def test_a_gap_found_again_costs_no_search(load_gong: Load, simulator: Simulator) -> None:
    simulator.faults.append(Fault("late-call", strikes=100, every=1))
    first = load_gong().streams["calls"].requests
    # calls in the running window only: the same look-back, so the same gap
    second = load_gong().streams["calls"].requests
    assert first > 1
    assert second == 1


def test_an_interrupted_backfill_goes_on_where_it_stopped(
    load_gong: Load, rows: Rows, tenant: Tenant, settings: GongSettings, simulator: Simulator
) -> None:
    now = datetime.now(UTC)
    window = (now - timedelta(days=400), now)
    tenant.calls[0]["metaData"]["started"] = (now - timedelta(days=390)).isoformat()
    small = settings.model_copy(update={"window_days": 5, "patience_s": 0})
    simulator.faults.append(Fault("429-for-hours", strikes=1, every=4))
    report = load_gong(mode="backfill", window=window, settings=small, streams=["calls", "transcripts"])
    assert report.is_partial
    assert any("resumes" in problem.what_to_do for problem in report.problems)

    simulator.log.clear()
    report = load_gong(mode="backfill", window=window, settings=small, streams=["calls", "transcripts"])
    assert not report.is_partial
    first = next(record.body["filter"]["fromDateTime"] for record in simulator.log if "filter" in record.body)
    assert datetime.fromisoformat(first) > window[0]
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 5}]
    assert rows("select job from raw_gong._progress where job like 'backfill%%'") == []


def test_two_hundred_calls_cost_four_requests(load_gong: Load, tenant: Tenant) -> None:
    call, transcript = tenant.calls[0], tenant.transcripts[tenant.calls[0]["metaData"]["id"]]
    for number in range(195):
        call_id = f"88{number:017d}"
        tenant.calls.append({**call, "metaData": {**call["metaData"], "id": call_id}})
        tenant.transcripts[call_id] = {**transcript, "callId": call_id}
    report = load_gong(streams=["calls", "transcripts"])
    assert report.streams["calls"].rows_written == 200
    assert report.requests == 4
