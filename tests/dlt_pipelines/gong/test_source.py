import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dlt_pipelines.destination import TableFiles, TableWriter, load_package
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant
from dlt_pipelines.gong.source import load
from dlt_pipelines.gong.tables import LIBRARY_FOLDERS
from dlt_pipelines.report import LoadReport

Load = Callable[..., LoadReport]
Rows = Callable[..., list[dict[str, Any]]]

ROW_VERSIONS = """
    select 'calls' as name, id, xmin::text, ctid::text from raw_gong.calls
    union all select 'transcripts', call_id, xmin::text, ctid::text from raw_gong.transcripts
    union all select 'users', id, xmin::text, ctid::text from raw_gong.users
    union all select 'loads', load_id, xmin::text, ctid::text from raw_gong._dlt_loads
    order by 1, 2
"""


def test_everything_arrives_with_its_types(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    report = load_gong()

    assert not report.is_partial
    assert report.problems == ()
    assert {name: stream.rows_written for name, stream in report.streams.items() if stream.rows_read} == {
        "workspaces": 1,
        "users": 2,
        "calls": 5,
        "transcripts": 5,
    }
    call = rows("select * from raw_gong.calls order by id limit 1")[0]
    source = tenant.calls[0]
    assert call["id"] == source["metaData"]["id"]
    assert call["started"] == datetime.fromisoformat(source["metaData"]["started"])
    assert (call["duration"], call["is_private"], call["is_deleted"]) == (1800, False, False)
    assert call["meeting_url"] == "https://meet.example.com/0"
    assert call["media"] == "Video"
    for block in ("context", "parties", "content", "interaction", "collaboration"):
        assert call[block] == source[block]
    transcript = rows("select * from raw_gong.transcripts order by call_id limit 1")[0]
    assert transcript["transcript"] == tenant.transcripts[call["id"]]["transcript"]
    assert transcript["started"] == call["started"]
    user = rows("select * from raw_gong.users order by id limit 1")[0]
    assert user["_dlt_valid_to"] is None
    assert user["personal_meeting_urls"] == ["https://meet.example.com/rep1"]
    assert user["created"] == datetime(2025, 1, 2, 6, 0, 0, 123456, tzinfo=UTC)


def test_the_documented_columns_have_the_documented_types(load_gong: Load, rows: Rows) -> None:
    load_gong()
    types = {
        (row["table_name"], row["column_name"]): row["data_type"]
        for row in rows("select * from information_schema.columns where table_schema = 'raw_gong'")
    }
    assert types["calls", "id"] in ("text", "character varying")
    assert types["calls", "started"] == "timestamp with time zone"
    assert types["calls", "duration"] == "bigint"
    assert types["calls", "parties"] == "jsonb"
    assert types["transcripts", "transcript"] == "jsonb"
    assert types["users", "_dlt_valid_from"] == "timestamp with time zone"


def test_a_second_run_with_nothing_new_writes_no_row(load_gong: Load, rows: Rows) -> None:
    load_gong()
    before = rows(ROW_VERSIONS)
    report = load_gong()
    assert report.rows_written == 0
    assert report.changed_weeks == ()
    assert rows(ROW_VERSIONS) == before


def test_a_changed_transcript_rewrites_only_its_row(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    load_gong()
    before = {(row["name"], row["id"]): row for row in rows(ROW_VERSIONS)}
    changed = tenant.calls[2]["metaData"]["id"]
    tenant.transcripts[changed]["transcript"][0]["sentences"][0]["text"] = "Good morning."

    report = load_gong()

    assert report.streams["transcripts"].rows_written == 1
    assert report.rows_written == 1
    after = {(row["name"], row["id"]): row for row in rows(ROW_VERSIONS) if row["name"] != "loads"}
    assert {key for key, row in after.items() if before[key] != row} == {("transcripts", changed)}
    text = rows(
        "select transcript #>> '{0,sentences,0,text}' as text from raw_gong.transcripts where call_id = %s", [changed]
    )
    assert text == [{"text": "Good morning."}]


def test_a_promoted_rep_gets_a_second_row_and_the_first_one_ends(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    load_gong()
    tenant.users[1]["title"] = "Sales Manager"
    report = load_gong()
    assert report.streams["users"].rows_written == 1
    history = rows(
        "select title, _dlt_valid_to is null as is_current from raw_gong.users where id = %s order by _dlt_valid_from",
        [tenant.users[1]["id"]],
    )
    assert history == [
        {"title": "Account Executive", "is_current": False},
        {"title": "Sales Manager", "is_current": True},
    ]


def test_a_call_without_a_transcript_is_reported_and_loaded_on_a_later_run(
    load_gong: Load, rows: Rows, tenant: Tenant
) -> None:
    late = tenant.calls[1]["metaData"]["id"]
    transcript = tenant.transcripts.pop(late)
    report = load_gong()
    assert [(problem.stream, problem.key) for problem in report.problems] == [("transcripts", late)]
    assert not report.is_partial
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 4}]

    tenant.transcripts[late] = transcript
    report = load_gong()
    assert report.problems == ()
    assert report.streams["transcripts"].rows_written == 1
    assert rows("select count(*) as n from raw_gong._owed") == [{"n": 0}]


def test_a_transcript_of_an_unknown_call_is_kept_aside(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    tenant.transcripts["999"] = {"callId": "999", "transcript": []}
    report = load_gong()
    assert [(problem.stream, problem.key, problem.what) for problem in report.problems] == [
        ("transcripts", "999", "its call is unknown")
    ]
    letters = rows("select source, stream, key, payload, status from ops.dead_letters")
    assert letters == [
        {
            "source": "gong",
            "stream": "transcripts",
            "key": "999",
            "payload": {"callId": "999", "transcript": []},
            "status": "open",
        }
    ]
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 5}]


def test_nul_characters_and_half_surrogates_do_not_stop_a_load(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    call_id = tenant.calls[0]["metaData"]["id"]
    tenant.transcripts[call_id]["transcript"][0]["sentences"][0]["text"] = 'a\x00b "quoted"\n\\. \\u0000 é 😀'
    tenant.calls[0]["metaData"]["title"] = "x\x00\n\\.\ny"
    load_gong()
    stored = rows(
        "select transcript #>> '{0,sentences,0,text}' as text from raw_gong.transcripts where call_id = %s", [call_id]
    )
    assert stored == [{"text": 'ab "quoted"\n\\. \\u0000 é 😀'}]
    assert rows("select title from raw_gong.calls where id = %s", [call_id]) == [{"title": "x\n \\.\ny"}]


def test_an_empty_week_loads_nothing_and_is_no_problem(load_gong: Load, rows: Rows) -> None:
    week = (datetime(2020, 1, 6, tzinfo=UTC), datetime(2020, 1, 13, tzinfo=UTC))
    report = load_gong(window=week)
    assert report.problems == ()
    assert not report.is_partial
    assert report.streams["calls"].rows_read == 0
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 0}]
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 0}]


def test_a_window_takes_its_first_moment_and_leaves_its_last(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    starts = [datetime.fromisoformat(call["metaData"]["started"]) for call in tenant.calls]
    load_gong(window=(starts[1], starts[3]))
    assert rows("select id from raw_gong.calls order by id") == [
        {"id": call["metaData"]["id"]} for call in tenant.calls[1:3]
    ]


def test_one_call_loads_alone(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    wanted = tenant.calls[3]["metaData"]["id"]
    report = load_gong(call_ids=[wanted, "404"], streams=["calls", "transcripts"])
    assert rows("select id from raw_gong.calls") == [{"id": wanted}]
    assert rows("select call_id from raw_gong.transcripts") == [{"call_id": wanted}]
    assert [problem.key for problem in report.problems] == ["404"]


def test_no_ids_at_all_load_nothing(load_gong: Load, simulator: Simulator) -> None:
    assert load_gong(call_ids=[]).rows_written == 0
    assert simulator.log == []


def test_a_call_without_an_id_is_kept_aside_and_the_rest_loads(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    del tenant.calls[0]["metaData"]["id"]
    report = load_gong()
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 4}]
    letters = rows("select stream, payload -> 'metaData' ->> 'title' as title from ops.dead_letters order by stream")
    assert letters[0] == {"stream": "calls", "title": "Call 0"}
    assert any("no metaData.id" in problem.what for problem in report.problems)


def test_a_new_field_becomes_a_column(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    load_gong()
    tenant.calls[0]["metaData"]["dealHealthScore"] = 71
    tenant.calls[1]["futureBlock"] = {"innerKey": [1, 2]}
    report = load_gong()
    assert report.streams["calls"].rows_written == 2
    assert rows("select deal_health_score from raw_gong.calls where deal_health_score is not null") == [
        {"deal_health_score": 71}
    ]
    assert rows("select future_block from raw_gong.calls where future_block is not null") == [
        {"future_block": {"innerKey": [1, 2]}}
    ]


def test_tables_of_an_older_loader_get_the_columns_they_lack(
    module_database_url: str, settings: GongSettings, tmp_path: Path
) -> None:
    columns = {name: kind for name, kind in LIBRARY_FOLDERS.columns.items() if name != "calls"}
    older = dataclasses.replace(LIBRARY_FOLDERS, columns=columns)
    files = TableWriter(older, tmp_path, existing={}).take_empty()
    load_package(
        database_url=module_database_url,
        dataset="raw_gong",
        pipeline="gong",
        tables=[TableFiles(table=older, columns=columns, files=files)],
    )
    assert not load(database_url=module_database_url, settings=settings).is_partial
    with psycopg.connect(module_database_url) as connection:
        assert connection.execute("select calls from raw_gong.library_folders").fetchall() == []


def test_a_field_that_changes_its_type_stops_the_stream_and_says_where(
    load_gong: Load, rows: Rows, tenant: Tenant
) -> None:
    load_gong()
    tenant.calls[4]["metaData"]["duration"] = "half an hour"
    report = load_gong()
    assert report.is_partial
    stopped = [problem for problem in report.problems if problem.stream == "calls"]
    assert tenant.calls[4]["metaData"]["id"] in stopped[0].what
    assert "duration" in stopped[0].what
    assert rows("select count(*) as n from raw_gong.calls where duration = 1800") == [{"n": 5}]

    tenant.calls[4]["metaData"]["duration"] = 1900
    assert not load_gong().is_partial
    assert rows("select count(*) as n from raw_gong.calls where duration = 1900") == [{"n": 1}]


def test_an_address_where_nobody_listens_ends_the_load_with_the_first_stream(
    database_url: str, settings: GongSettings
) -> None:
    nowhere = settings.model_copy(update={"api_base_url": "http://127.0.0.1:9", "max_attempts": 2})
    report = load(database_url=database_url, settings=nowhere)
    assert report.is_partial
    (problem,) = report.problems
    assert "http://127.0.0.1:9" in problem.what
    assert report.requests == 2


def test_signed_media_urls_never_reach_the_raw_tables(load_gong: Load, rows: Rows) -> None:
    load_gong()
    assert rows("select id from raw_gong.calls as c where c::text like '%%X-Amz%%' or c::text like '%%pwd=%%'") == []
    assert rows("select id from raw_gong.users as u where u::text like '%%pwd=%%'") == []


def test_a_missing_scope_is_named_and_the_other_streams_load(load_gong: Load, rows: Rows, simulator: Simulator) -> None:
    simulator.missing_scopes.add("api:calls:read:transcript")
    report = load_gong()
    assert [(problem.stream, problem.key) for problem in report.problems] == [
        ("transcripts", "api:calls:read:transcript")
    ]
    assert not report.is_partial
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 5}]

    simulator.missing_scopes.clear()
    load_gong(window=(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC)))
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 5}]


def test_an_empty_user_list_retires_nobody(load_gong: Load, rows: Rows, tenant: Tenant) -> None:
    load_gong()
    users = list(tenant.users)
    tenant.users.clear()
    report = load_gong()
    assert [problem.key for problem in report.problems] == ["snapshot"]
    assert rows("select count(*) as n from raw_gong.users where _dlt_valid_to is null") == [{"n": 2}]
    tenant.users.extend(users)
    assert load_gong().rows_written == 0


def test_real_meetings_load_from_their_folder(database_url: str, real_meetings: Path, rows: Rows) -> None:
    simulator = Simulator(Tenant.from_folder(real_meetings))
    with simulator.serve() as url:
        settings = GongSettings(
            api_key="k", api_secret="s", api_base_url=f"{url}/v2/", requests_per_second=1000, _env_file=None
        )
        window = (datetime(2026, 8, 31, tzinfo=UTC), datetime(2026, 12, 28, tzinfo=UTC))
        report = load(database_url=database_url, settings=settings, window=window)
    sentences = sum(
        len(monologue["sentences"])
        for item in json.loads((real_meetings / "transcripts.json").read_text())
        for monologue in item["transcript"]
    )
    assert report.streams["calls"].rows_written == 8
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 8}]
    assert rows(
        "select sum(jsonb_array_length(m -> 'sentences'))::int as n "
        "from raw_gong.transcripts, jsonb_array_elements(transcript) as m"
    ) == [{"n": sentences}]


def test_progress_moves_on_and_the_look_back_reads_again(load_gong: Load, rows: Rows, simulator: Simulator) -> None:
    load_gong()
    first = rows("select done_until from raw_gong._progress where job = 'incremental'")[0]["done_until"]
    simulator.log.clear()
    load_gong()
    asked = next(record for record in simulator.log if record.path == "/v2/calls/extensive")
    begin = datetime.fromisoformat(asked.body["filter"]["fromDateTime"])
    assert begin == first - timedelta(days=14)


@pytest.mark.parametrize("arguments", [{"mode": "backfill"}, {"streams": ["nonsense"]}])
def test_wrong_arguments_are_refused_before_anything_is_read(
    load_gong: Load, simulator: Simulator, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"window|unknown streams"):
        load_gong(**arguments)
    assert simulator.log == []


def test_gong_never_sees_more_than_three_requests_in_a_second(
    load_gong: Load,
    settings: GongSettings,
    simulator: Simulator,
    record_property: Callable[[str, object], None],
) -> None:
    polite = settings.model_copy(update={"requests_per_second": 3})
    for _ in range(2):
        load_gong(settings=polite, streams=["users", "workspaces", "calls", "transcripts"])
    times = [record.at for record in simulator.log]
    assert len(times) == 8
    most = max(sum(1 for other in times if at <= other < at + 1) for at in times)
    assert most <= 3
    record_property("figure", f"{len(times)} requests of two loads in a row, {most} within a second at most")
