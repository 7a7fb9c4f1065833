"""Status and costs, read from what exists so far."""

from datetime import UTC, date, datetime

import psycopg
import pytest

from dagster_project.operations.costs import MartsNotBuiltError, read_costs
from dagster_project.operations.status import read_status

COST_MART = """
create table marts.mart_llm_costs (
    day date, model text, dimension text, is_sandbox boolean, requests int, failed_requests int, cache_hits int,
    input_tokens bigint, cache_read_tokens bigint, cache_write_tokens bigint, output_tokens bigint,
    cost_usd numeric, saved_usd numeric, calls_scored int
);
insert into marts.mart_llm_costs values
    ('2026-11-02', 'claude-sonnet-5-5', 'discovery', false, 10, 1, 5, 100, 700, 200, 50, 1.25, 0.75, 9),
    ('2026-11-03', 'claude-sonnet-5-5', 'discovery', false, 2, 0, 0, 10, 70, 20, 5, 0.25, 0, 2),
    ('2026-11-03', 'sandbox', 'objections', true, 4, 0, 0, 10, 70, 20, 5, 3, 0, 4)
"""


def test_an_empty_warehouse_has_a_status(database_url: str) -> None:
    status = read_status(database_url)
    assert status.coverage is None
    assert (status.queues, status.spend, status.failures, status.runs) == ((), (), (), ())


def test_coverage_is_that_of_the_health_page(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "create table marts.mart_pipeline_health (day date, n_calls int, n_without_transcript int, "
            "n_eligible_calls int, n_scored_calls int, last_loaded_at timestamptz);"
            "insert into marts.mart_pipeline_health values ('2026-10-01', 9, 9, 9, 9, null), "
            "('2026-10-31', 4, 1, 3, 2, '2026-11-01'), ('2026-11-01', 6, 0, 6, 6, null), "
            "('2026-11-03', 0, 0, 0, 0, null)"
        )
    coverage = read_status(database_url).coverage
    assert coverage is not None
    assert (coverage.calls, coverage.with_transcript, coverage.eligible, coverage.scored) == (10, 9, 9, 8)
    assert coverage.latest_day == date(2026, 11, 1)


def test_what_waits_is_counted_with_its_oldest(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into ops.webhook_inbox (event_key, status, received_at, endpoint, scheme, body, body_sha256) "
            "select *, 'gong', 's', '', '' from (values ('a', 'received', timestamptz '2026-11-01'), "
            "('b', 'received', '2026-11-02'), ('c', 'completed', '2026-11-02')) as deliveries"
        )
        connection.execute(
            "insert into ops.dead_letters (source, stream, key, error) values ('gong', 'calls', '1', 'odd')"
        )
    queues = {(queue.queue, queue.state): queue for queue in read_status(database_url).queues}
    assert queues["webhooks", "received"].n == 2
    assert queues["webhooks", "received"].oldest_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert queues["dead letters", "gong calls"].n == 1
    assert ("webhooks", "completed") not in queues


def test_spend_of_a_stand_in_is_never_added_to_claudes(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into analysis.requests "
            "(model, is_sandbox, cost_usd, dimension, requested_model, status, cache_outcome) values "
            "('m', false, 0.10, 'discovery', 'm', 'ok', 'miss'), ('sandbox', true, 9, 'discovery', 'm', 'ok', 'miss')"
        )
    today = {row.is_sandbox: row.cost_usd for row in read_status(database_url).spend if row.span == "today"}
    assert today == {False: 0.10, True: 9.0}


def test_costs_add_up_by_any_grouping(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(COST_MART)
    span = {"since": date(2026, 11, 1), "until": date(2026, 11, 30)}
    by_dimension = read_costs(database_url, by="dimension", **span)
    assert [(cost.what, cost.cost_usd, cost.is_sandbox) for cost in by_dimension] == [
        ("objections", 3.0, True),
        ("discovery", 1.5, False),
    ]
    assert by_dimension[1].prompt_tokens == 1100
    assert [cost.what for cost in read_costs(database_url, by="day", **span)] == [
        "2026-11-02", "2026-11-03", "2026-11-03",
    ]  # fmt: skip
    assert {cost.what for cost in read_costs(database_url, by="model", **span)} == {"claude-sonnet-5-5", "sandbox"}


def test_costs_before_the_first_run_say_what_to_do(database_url: str) -> None:
    with pytest.raises(MartsNotBuiltError, match="call-coach demo"):
        read_costs(database_url, since=date(2026, 11, 1), until=date(2026, 11, 2), by="day")
