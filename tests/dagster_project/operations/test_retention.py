"""What is older than we keep goes; what is younger stays."""

from datetime import UTC, datetime

import psycopg
import pytest

from dagster_project.operations.retention import retire

NOW = datetime(2026, 11, 20, tzinfo=UTC)
HISTORY = """
create schema raw_gong;
create table raw_gong.calls (id text, started timestamptz);
create table raw_gong.transcripts (call_id text);
insert into raw_gong.calls values ('old', '2021-11-19'), ('just kept', '2021-11-21'), ('new', '2026-11-01');
insert into raw_gong.transcripts select id from raw_gong.calls;
select analysis.ensure_partitions('2021-01-01');
insert into analysis.requests (started_at, dimension, requested_model, model, is_sandbox, status, cache_outcome) values
    ('2021-09-30', 'd', 'm', 'm', false, 'ok', 'miss'), ('2021-10-01', 'd', 'm', 'm', false, 'ok', 'miss');
insert into ops.audit_log (viewer_id, surface, action, happened_at) values
    ('a', 'mcp', 'x', '2021-11-19'), ('a', 'mcp', 'x', '2021-11-21');
"""


@pytest.fixture
def warehouse(database_url: str) -> str:
    with psycopg.connect(database_url) as connection:
        connection.execute(HISTORY)
    return database_url


def counts(database_url: str) -> dict[str, int]:
    with psycopg.connect(database_url) as connection:
        return {
            table: connection.execute(f"select count(*) from {table}".encode()).fetchone()[0]  # type: ignore[index]
            for table in ("raw_gong.calls", "raw_gong.transcripts", "analysis.requests", "ops.audit_log")
        }


def test_what_is_older_than_five_years_goes(warehouse: str) -> None:
    retired = retire(database_url=warehouse, now=NOW)
    assert counts(warehouse) == {
        "raw_gong.calls": 2, "raw_gong.transcripts": 2, "analysis.requests": 1, "ops.audit_log": 1,
    }  # fmt: skip
    assert retired.calls == 1
    assert retired.partitions == tuple(
        f"analysis.{parent}_2021q{quarter}" for parent in ("requests", "results") for quarter in (1, 2, 3)
    )


def test_a_rehearsal_counts_and_leaves_everything(warehouse: str) -> None:
    before = counts(warehouse)
    rehearsal = retire(database_url=warehouse, now=NOW, is_rehearsal=True)
    assert counts(warehouse) == before
    assert (rehearsal.calls, len(rehearsal.partitions), rehearsal.rows) == (1, 6, {"ops.audit_log": 1})


def test_a_second_time_nothing_is_left_to_do(warehouse: str) -> None:
    retire(database_url=warehouse, now=NOW)
    again = retire(database_url=warehouse, now=NOW)
    assert (again.calls, again.partitions, again.rows) == (0, (), {})


def test_a_shorter_span_keeps_less(warehouse: str) -> None:
    assert retire(database_url=warehouse, years=1, now=NOW).calls == 2


def test_the_29th_of_february_has_a_cutoff(warehouse: str) -> None:
    retired = retire(database_url=warehouse, years=1, now=datetime(2024, 2, 29, tzinfo=UTC), is_rehearsal=True)
    assert retired.cutoff == datetime(2023, 2, 28, tzinfo=UTC)


def test_an_empty_database_has_nothing_to_retire(database_url: str) -> None:
    assert retire(database_url=database_url, now=NOW).calls == 0
