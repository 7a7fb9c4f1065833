"""Erasure, proven by a search for planted strings over a full dump of the database."""

import os
import re
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from dagster_project.local import postgres
from dagster_project.operations.erase import (
    LoadInProgressError,
    UnknownSubjectError,
    erase,
    erase_again,
    pattern_of,
)
from dlt_pipelines import destination
from dlt_pipelines.bookkeeping import Bookkeeping, subject_sha256

ZARA = "9001000000000000001"
# what only Zara's two calls hold; every string stands in several tables below
ZARAS = (
    "7001000000000000001",
    "7001000000000000002",
    "9001000000000000001",
    "zara.quill@example.com",
    "Zara Quill",
    "peacock-contract",
    "Discovery with Umbra Mills",
)
# what must survive: another rep's call, and an id that begins like hers
OTHERS = ("7001000000000000003", "9001000000000000002", "heron-contract", "70010000000000000011")

WAREHOUSE = """
create schema raw_gong;
create schema raw_gong_staging;
create table raw_gong.calls (
    id text, title text, started timestamptz, primary_user_id text, parties jsonb, context jsonb
);
create table raw_gong_staging.calls (like raw_gong.calls);
create table raw_gong.transcripts (call_id text, transcript jsonb);
create table raw_gong.users (id text, email_address text, first_name text, last_name text, manager_id text);
create table raw_gong._owed (kind text, key text, detail jsonb);
create table raw_gong.some_later_stream (call_id text, note text);
insert into raw_gong.users values
    ('9001000000000000001', 'zara.quill@example.com', 'Zara', 'Quill', null),
    ('9001000000000000002', 'omar.reed@example.com', 'Omar', 'Reed', '9001000000000000001');
insert into raw_gong.calls values
    ('7001000000000000001', 'Discovery with Umbra Mills', '2026-11-02', '9001000000000000001', '[]', '[]'),
    (
        '7001000000000000002', 'Joined later', '2026-11-03', '9001000000000000002',
        '[{"userId": "9001000000000000001", "emailAddress": "zara.quill@example.com"}]', null
    ),
    (
        '7001000000000000003', 'Omar alone', '2026-11-03', '9001000000000000002', '[]',
        '[{"objects": [{"objectType": "Account", "objectId": "acc-5"}]}]'
    );
insert into raw_gong_staging.calls select * from raw_gong.calls;
insert into raw_gong.transcripts values
    ('7001000000000000001', '[{"text": "peacock-contract"}]'),
    ('7001000000000000002', '[{"text": "peacock-contract too"}]'),
    ('7001000000000000003', '[{"text": "heron-contract"}]');
insert into raw_gong._owed values
    ('transcript', '7001000000000000002', '{}'), ('transcript', '70010000000000000011', '{}');
insert into raw_gong.some_later_stream values ('7001000000000000001', 'peacock-contract'), ('7001000000000000003', 'x');
insert into analysis.transcript_chunks
    (call_id, chunk_index, n_chunks, first_turn_id, last_turn_id, transcript_hash, redactor_version, text,
     estimated_tokens, week_start)
select id, 0, 1, 1, 2, 'hash ' || id, '1', case when primary_user_id like '%1' then 'peacock-contract' else 'x' end, 9,
    '2026-11-02' from raw_gong.calls;
insert into analysis.results
    (result_key, dimension, rubric_version, knowledge_version, prompt_version, transcript_hash, model, is_sandbox,
     answer, expires_at)
select 'key ' || id, 'discovery', 'r', 'k', 'p', 'hash ' || id, 'm', false,
    jsonb_build_object('quote', case when id like '%3' then 'heron-contract' else 'peacock-contract' end), now()
from raw_gong.calls;
insert into analysis.call_results (call_id, rep_id, dimension, week_start, result_key, rubric_version, status)
select id, primary_user_id, 'discovery', '2026-11-02', 'key ' || id, 'r', 'scored' from raw_gong.calls;
insert into analysis.requests
    (call_id, rep_id, dimension, result_key, requested_model, model, is_sandbox, status, cache_outcome, cost_usd, error)
select id, primary_user_id, 'discovery', 'key ' || id, 'm', 'm', false, 'ok', 'miss', 0.25, 'call ' || id || ' was odd'
from raw_gong.calls;
insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256, call_id)
select 'gong', 'event ' || row_number() over (), 's',
    convert_to('{"callData": {"metaData": {"id": "' || id || '"}}}', 'UTF8'), '',
    case when id like '%1' then id end from raw_gong.calls;
insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256)
values ('gong', 'odd', 's', '\\xff00fe', '');
insert into ops.dead_letters (source, stream, key, payload, error) values
    ('gong', 'calls', 'k1', '{"id": "7001000000000000001"}', 'e'), ('gong', 'calls', '7001000000000000003', '{}', 'e');
insert into ops.moment_reviews (evidence_id, call_id, viewer_id, verdict, note) values
    ('e1', '7001000000000000001', 'm', 'agree', 'peacock-contract'),
    ('e3', '7001000000000000003', 'm', 'agree', 'fine'),
    ('e3', '7001000000000000003', '9001000000000000001', 'disagree', 'said by Zara Quill');
insert into ops.queue_marks (moment_id, viewer_id, mark, note) values
    ('e1', 'm', 'done', 'peacock-contract'), ('e3', 'm', 'done', null);
insert into ops.audit_log (viewer_id, surface, action) values ('9001000000000000001', 'mcp', 'search_calls');
insert into ops.reviews (review_id, week_start, kind, recipient_id, version, subject, markdown, html, slack_blocks)
values
    ('r1', '2026-11-02', 'rep', '9001000000000000001', '1', 'Yours', 'x', 'x', '[]'),
    ('r2', '2026-11-02', 'team', 'm', '1', 'Team', 'Zara Quill said: the price is fair enough', 'x', '[]'),
    ('r3', '2026-11-02', 'rep', '9001000000000000002', '1', 'Yours', 'Omar had heron-contract', 'x', '[]');
insert into ops.review_deliveries (review_id, channel, address, status)
values ('r1', 'email', 'zara.quill@example.com', 'sent');
create table marts.fct_calls (call_id text, rep_id text, title text);
insert into marts.fct_calls select id, primary_user_id, title from raw_gong.calls;
create table marts.fct_evidence (evidence_id text, call_id text, quote text);
insert into marts.fct_evidence values
    ('e1', '7001000000000000001', 'the price is fair enough'), ('e3', '7001000000000000003', 'heron-contract');
create table marts.mart_leaderboard (rep_id text, rep_name text);
insert into marts.mart_leaderboard values ('9001000000000000001', 'Zara Quill'), ('9001000000000000002', 'Omar Reed');
create table marts.mart_team_weeks (team_name text);
insert into marts.mart_team_weeks values ('Team Zara Quill'), ('Team North');
create schema if not exists dagster;
create table dagster.event_logs (id serial, event text);
insert into dagster.event_logs (event) values
    ('{"message": "loaded\\\\n7001000000000000001 of Zara Quill"}'), ('{"message": "7001000000000000003"}');
create table dagster.runs (id serial, run_body text);
insert into dagster.runs (run_body) values
    ('{"config": {"call_ids": ["7001000000000000001", "70010000000000000011"]}}');
"""


@pytest.fixture
def warehouse(database_url: str) -> str:
    with psycopg.connect(database_url) as connection:
        connection.execute(WAREHOUSE.encode())
    dumped = dump(database_url)
    assert [text for text in (*ZARAS, *OTHERS) if not is_in(dumped, text)] == []
    return database_url


def dump(database_url: str) -> str:
    parts = urlsplit(database_url)
    dumped = subprocess.run(
        [
            *(postgres.binaries() / "pg_dump", "--inserts", "-h", parts.hostname, "-p", str(parts.port)),
            *("-U", parts.username, parts.path[1:]),
        ],
        env={**os.environ, "PGPASSWORD": parts.password or ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # a body of bytes is dumped as hex
    return dumped.lower()


def is_in(dumped: str, text: str) -> bool:
    plain = rf"(?<![0-9]){re.escape(text.lower())}(?![0-9])"
    return bool(re.search(plain, dumped)) or text.encode().hex() in dumped


def scalar(database_url: str, query: str) -> object:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def test_an_erased_rep_is_in_no_byte_of_a_full_dump(warehouse: str, tmp_path: Path) -> None:
    erasure = erase(database_url=warehouse, kind="rep", subject_id=ZARA, erased_by="ops", home=tmp_path)
    dumped = dump(warehouse)
    assert [text for text in (*ZARAS, "the price is fair enough") if is_in(dumped, text)] == []
    assert [text for text in OTHERS if not is_in(dumped, text)] == []
    assert erasure.calls == 2
    assert erasure.left_over == {}
    assert erasure.rows["raw_gong.calls"] == 2


def test_a_rep_can_be_named_by_address(warehouse: str) -> None:
    erase(database_url=warehouse, kind="rep", subject_id="Zara.Quill@example.com", erased_by="ops")
    dumped = dump(warehouse)
    assert [text for text in ZARAS if is_in(dumped, text)] == []
    assert subject_sha256("9001000000000000001") in dumped


def test_erasing_one_call_leaves_the_rep_and_their_other_calls(warehouse: str) -> None:
    erase(database_url=warehouse, kind="call", subject_id="7001000000000000001", erased_by="ops")
    dumped = dump(warehouse)
    assert not is_in(dumped, "7001000000000000001")
    assert not is_in(dumped, "Discovery with Umbra Mills")
    assert all(is_in(dumped, text) for text in ("Zara Quill", "7001000000000000002", "peacock-contract", *OTHERS))


def test_erasing_an_account_takes_its_calls(warehouse: str) -> None:
    erasure = erase(database_url=warehouse, kind="account", subject_id="acc-5", erased_by="ops")
    dumped = dump(warehouse)
    assert erasure.calls == 1
    assert not any(is_in(dumped, text) for text in ("7001000000000000003", "heron-contract", "acc-5"))
    assert all(is_in(dumped, text) for text in ZARAS)


def test_what_an_erased_call_cost_stays_counted(warehouse: str) -> None:
    erase(database_url=warehouse, kind="rep", subject_id=ZARA, erased_by="ops")
    assert scalar(warehouse, "select sum(cost_usd)::text from analysis.requests") == "0.75"
    assert scalar(warehouse, "select count(*) from analysis.requests where call_id is null") == 2


def test_the_record_of_an_erasure_holds_numbers_and_digests_only(warehouse: str) -> None:
    erase(database_url=warehouse, kind="rep", subject_id=ZARA, erased_by="ops")
    with psycopg.connect(warehouse) as connection:
        rows = connection.execute(
            "select subject_kind, subject_sha256, erased_by, counts from ops.tombstones"
        ).fetchall()
    assert sorted(row[0] for row in rows) == ["call", "call", "rep"]
    counts = next(row[3] for row in rows if row[0] == "rep")
    assert counts["raw_gong.transcripts"] == 2
    assert all(isinstance(value, int) for value in counts.values())


def test_the_loader_knows_what_was_erased(warehouse: str) -> None:
    erase(database_url=warehouse, kind="rep", subject_id=ZARA, erased_by="ops")
    with psycopg.connect(warehouse, autocommit=True) as connection:
        books = Bookkeeping(connection, schema="raw_gong", source="gong")
        assert subject_sha256("9001000000000000001") in books.tombstones("rep")
        assert subject_sha256("7001000000000000002") in books.tombstones("call")
        assert subject_sha256("7001000000000000003") not in books.tombstones("call")


def test_a_webhook_of_an_erased_call_is_not_taken_up_again(warehouse: str) -> None:
    erase(database_url=warehouse, kind="call", subject_id="7001000000000000002", erased_by="ops")
    with psycopg.connect(warehouse) as connection:
        rows = connection.execute("select status, body, event_key from ops.webhook_inbox where reason = 'erased'")
        assert rows.fetchall() == [("completed", b"", "event 2")]
    assert scalar(warehouse, "select count(*) from ops.webhook_inbox where status = 'received'") == 3


def test_an_unknown_subject_is_refused_unless_it_is_meant(warehouse: str) -> None:
    with pytest.raises(UnknownSubjectError, match="--unknown"):
        erase(database_url=warehouse, kind="call", subject_id="7001000000000000009", erased_by="ops")
    assert scalar(warehouse, "select count(*) from ops.tombstones") == 0
    erase(
        database_url=warehouse, kind="call", subject_id="7001000000000000009", erased_by="ops", is_unknown_allowed=True
    )
    assert scalar(warehouse, "select count(*) from ops.tombstones") == 1


def test_erasing_twice_removes_nothing_more(warehouse: str) -> None:
    erase(database_url=warehouse, kind="call", subject_id="7001000000000000001", erased_by="ops")
    again = erase(
        database_url=warehouse, kind="call", subject_id="7001000000000000001", erased_by="ops", is_unknown_allowed=True
    )
    assert again.total == 0


def test_what_comes_back_is_erased_again(warehouse: str) -> None:
    with psycopg.connect(warehouse) as connection:
        saved = connection.execute("select * from raw_gong.calls where id = '7001000000000000001'").fetchone()
    assert saved is not None
    erase(database_url=warehouse, kind="call", subject_id="7001000000000000001", erased_by="ops")
    assert erase_again(database_url=warehouse) == ()
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            "insert into raw_gong.calls (id, title, primary_user_id) values (%s, %s, %s)",
            [saved[0], saved[1], saved[3]],
        )
    (erasure,) = erase_again(database_url=warehouse)
    assert erasure.rows["raw_gong.calls"] == 1
    assert not is_in(dump(warehouse), "7001000000000000001")


def test_an_erasure_waits_for_a_load_that_is_under_way(warehouse: str) -> None:
    with (
        destination.connect(warehouse) as loader,
        destination.exclusive(loader, "raw_gong load", 0, print),
        pytest.raises(LoadInProgressError, match="Nothing was erased"),
    ):
        erase(database_url=warehouse, kind="call", subject_id="7001000000000000001", erased_by="ops", wait_s=0.2)
    with destination.connect(warehouse) as loader, destination.exclusive(loader, "raw_gong load", 0, print):
        waiting = threading.Thread(
            target=erase,
            kwargs={
                "database_url": warehouse,
                "kind": "call",
                "subject_id": "7001000000000000001",
                "erased_by": "ops",
            },
        )
        waiting.start()
        time.sleep(0.5)
        assert scalar(warehouse, "select count(*) from raw_gong.calls where id = '7001000000000000001'") == 1
    waiting.join()
    assert scalar(warehouse, "select count(*) from raw_gong.calls where id = '7001000000000000001'") == 0


def test_logs_and_written_reviews_are_cleaned_too(warehouse: str, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "reviews").mkdir()
    log, kept, review = tmp_path / "logs" / "a.log", tmp_path / "logs" / "b.log", tmp_path / "reviews" / "zara.html"
    log.write_text("call 7001000000000000001 of zara.quill@example.com took 3 s\n")
    kept.write_text("call 70010000000000000011 took 3 s\n")
    review.write_text("Zara Quill said")
    erasure = erase(database_url=warehouse, kind="rep", subject_id=ZARA, erased_by="ops", home=tmp_path)
    assert erasure.files == 2
    assert log.read_text() == "call [erased] of [erased] took 3 s\n"
    assert kept.read_text() == "call 70010000000000000011 took 3 s\n"
    assert not review.exists()


@pytest.mark.parametrize(
    ("trace", "text", "is_found"),
    [
        ("rep-1", "rep-1", True),
        ("rep-1", '{"id": "rep-1"}', True),
        ("rep-1", "rep-12", False),
        ("rep-1", "old-rep-1", False),
        ("a.b@x.com", "<a.b@x.com>", True),
        ("b@x.com", "a.b@x.com", False),
        ("123", "id=123&x", True),
        ("123", "1234", False),
        ("rep-1", r"\nrep-1", True),
        ("50% (off)", "for 50% (off)", True),
    ],
)
def test_a_trace_is_found_whole_never_inside_another(database_url: str, trace: str, text: str, is_found: bool) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select %s ~ %s", [text, pattern_of([trace])]).fetchone() == (is_found,)
