"""How the warehouse stands: fresh, covered, queued, paid, failed. Read in one transaction, from what exists so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row

Row = TypeVar("Row")


@dataclass(frozen=True)
class Coverage:
    """Calls of the 28 days up to the newest one, and how far each came."""

    calls: int
    with_transcript: int
    eligible: int
    scored: int
    latest_day: date
    loaded_at: datetime | None


@dataclass(frozen=True)
class Queue:
    """Work that waits: `oldest_at` is when its oldest piece arrived."""

    queue: str
    state: str
    n: int
    oldest_at: datetime | None


@dataclass(frozen=True)
class Spend:
    """What a span of days cost at list prices; `is_sandbox` when a stand-in answered, which bills nothing."""

    span: str
    is_sandbox: bool
    requests: int
    failed: int
    cost_usd: float
    saved_usd: float


@dataclass(frozen=True)
class Failure:
    """Calls without a score under the current rubric, by why."""

    dimension: str
    status: str
    reason: str
    n: int


@dataclass(frozen=True)
class Run:
    """One of the newest runs."""

    run_id: str
    status: str
    started_at: datetime | None
    seconds: float | None


@dataclass(frozen=True)
class Status:
    coverage: Coverage | None
    queues: tuple[Queue, ...]
    spend: tuple[Spend, ...]
    failures: tuple[Failure, ...]
    runs: tuple[Run, ...]


def read_status(database_url: str) -> Status:
    """One look at the warehouse; parts whose tables do not exist yet are empty."""
    with psycopg.connect(database_url) as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        return Status(
            coverage=next(iter(_rows(connection, Coverage, COVERAGE, ["marts.mart_pipeline_health"])), None),
            queues=(
                *_rows(connection, Queue, INBOX, ["ops.webhook_inbox"]),
                *_rows(connection, Queue, REQUESTS, ["ops.analysis_requests"]),
                *_rows(connection, Queue, OWED, ["raw_gong._owed"]),
                *_rows(connection, Queue, BATCHES, ["analysis.batches"]),
                *_rows(connection, Queue, DEAD_LETTERS, ["ops.dead_letters"]),
            ),
            spend=_rows(connection, Spend, SPEND, ["analysis.requests"]),
            failures=_rows(connection, Failure, FAILURES, ["analysis.call_results", "knowledge.rubrics"]),
            runs=_rows(connection, Run, RUNS, ["dagster.runs"]),
        )


# the mart that the health page shows
COVERAGE = """
with newest as (
    select max(day) filter (where n_calls > 0) as latest_day, max(last_loaded_at) as loaded_at
    from marts.mart_pipeline_health
)

select
    sum(days.n_calls)::int as calls,
    sum(days.n_calls - days.n_without_transcript)::int as with_transcript,
    sum(days.n_eligible_calls)::int as eligible,
    sum(days.n_scored_calls)::int as scored,
    newest.latest_day,
    newest.loaded_at
from newest
inner join marts.mart_pipeline_health as days on days.day > newest.latest_day - 28
group by newest.latest_day, newest.loaded_at
"""

INBOX = """
select 'webhooks' as queue, status as state, count(*) as n, min(received_at) as oldest_at
from ops.webhook_inbox
where status <> 'completed'
group by status
order by status
"""

REQUESTS = """
select 'requested analyses' as queue, status as state, count(*) as n, min(requested_at) as oldest_at
from ops.analysis_requests
where status <> 'completed'
group by status
order by status
"""

OWED = """
select
    kind || ' owed by Gong' as queue,
    case when gave_up_at is null then 'waiting' else 'given up' end as state,
    count(*) as n,
    min(first_seen_at) as oldest_at
from raw_gong._owed
group by 1, 2
order by 1, 2
"""

BATCHES = """
select 'Claude batches' as queue, status as state, count(*) as n, min(submitted_at) as oldest_at
from analysis.batches
where status in ('submitted', 'ended')
group by status
order by status
"""

DEAD_LETTERS = """
select 'dead letters' as queue, source || ' ' || stream as state, count(*) as n, min(first_seen_at) as oldest_at
from ops.dead_letters
where status = 'open'
group by source, stream
order by source, stream
"""

SPEND = """
with spans (span, place, since) as (
    values
        ('today', 1, date_trunc('day', now() at time zone 'utc')),
        ('this week', 2, date_trunc('week', now() at time zone 'utc')),
        ('28 days', 3, date_trunc('day', now() at time zone 'utc') - interval '27 days')
)

select
    spans.span,
    requests.is_sandbox,
    count(*) filter (where requests.kind <> 'cache') as requests,
    count(*) filter (where requests.error_kind is not null) as failed,
    sum(requests.cost_usd)::float as cost_usd,
    sum(requests.saved_usd)::float as saved_usd
from spans
inner join analysis.requests as requests on requests.started_at >= spans.since at time zone 'utc'
group by spans.span, spans.place, requests.is_sandbox
order by spans.place, requests.is_sandbox
"""

FAILURES = """
select results.dimension, results.status, coalesce(results.reason, 'no reason was kept') as reason, count(*) as n
from analysis.call_results as results
left join knowledge.rubrics as rubrics
    on results.dimension = rubrics.dimension and results.rubric_version = rubrics.rubric_version
where results.status in ('failed', 'refused', 'over_budget') and coalesce(rubrics.is_current, true)
group by results.dimension, results.status, coalesce(results.reason, 'no reason was kept')
order by n desc, results.dimension, reason
limit 10
"""

RUNS = """
select
    run_id,
    lower(status) as status,
    to_timestamp(start_time) as started_at,
    end_time - start_time as seconds
from dagster.runs
order by id desc
limit 3
"""


def _rows(connection: psycopg.Connection, row: type[Row], query: str, needs: Sequence[str]) -> tuple[Row, ...]:
    for relation in needs:
        found: Any = connection.execute("select to_regclass(%s)", [relation]).fetchone()
        if found[0] is None:
            return ()
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return tuple(cursor.execute(query.encode()).fetchall())
