"""Requests from the command line, the dashboard and MCP: the same path as events, asked for by a person."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg.rows import dict_row

from dagster_project.intake.outcomes import call_states, outcome_of
from dagster_project.intake.queue import (
    CLAIM_WITHOUT_RUN,
    MAX_FAILURES,
    REQUESTS,
    Claimed,
    Connection,
    FindRun,
    RunState,
    Settled,
    ask_later,
    complete,
    in_work,
    park,
    record_dead_letter,
    release,
    take,
)

logger = logging.getLogger(__name__)

# a person waits for the answer: a call that is not there is reported within the hour
GIVE_UP_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class RequestBatch:
    """Requests that one run can serve: the same week, dimensions and force. Without `call_ids`: the whole week."""

    claim_id: str
    week_start: date
    dimensions: tuple[str, ...] | None
    is_forced: bool
    call_ids: tuple[str, ...] | None
    request_ids: tuple[str, ...]


def claim(connection: Connection, *, known_dimensions: Sequence[str], first_week: date) -> list[RequestBatch]:
    """Take due requests; those that one run can serve are one batch. Impossible ones are parked with the reason."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            select request_id, call_id, week_start, dimensions, is_forced
            from ops.analysis_requests
            where status in ('received', 'failed') and (next_attempt_at is null or next_attempt_at <= now())
            order by requested_at
            limit 1000
            for update skip locked
            """
        ).fetchall()
    states = call_states(connection, [row["call_id"] for row in rows if row["call_id"]])
    today = datetime.now(UTC).date()
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        unknown = sorted(set(row["dimensions"] or ()) - set(known_dimensions))
        if unknown:
            reason = f"unknown dimension {', '.join(unknown)}; choose from {', '.join(sorted(known_dimensions))}"
            park(connection, REQUESTS, [row["request_id"]], reason=reason)
            continue
        state = states.get(row["call_id"] or "")
        day = state.started_at.astimezone(UTC).date() if state and state.started_at else row["week_start"] or today
        week = day - timedelta(days=day.weekday())
        if not first_week <= week <= today:
            park(connection, REQUESTS, [row["request_id"]], reason=f"week {week} is not one of those kept here")
            continue
        dimensions = tuple(sorted(set(row["dimensions"]))) if row["dimensions"] else None
        groups.setdefault((week, dimensions, row["is_forced"], row["call_id"] is None), []).append(row)
    return [_batch(connection, group, members) for group, members in groups.items()]


def _batch(connection: Connection, group: tuple[Any, ...], members: Sequence[dict[str, Any]]) -> RequestBatch:
    week, dimensions, is_forced, is_whole_week = group
    keys = [row["request_id"] for row in members]
    return RequestBatch(
        claim_id=take(connection, REQUESTS, keys),
        week_start=week,
        dimensions=dimensions,
        is_forced=is_forced,
        call_ids=None if is_whole_week else tuple(dict.fromkeys(row["call_id"] for row in members)),
        request_ids=tuple(keys),
    )


def settle(connection: Connection, find_run: FindRun) -> Settled:
    """Look at what became of every claim's run, and move its requests on."""
    settled = Settled()
    for claim_id, rows in in_work(connection, REQUESTS).items():
        run = find_run(claim_id)
        if run is None:
            if rows[0].claim_age > CLAIM_WITHOUT_RUN:
                release(connection, REQUESTS, [row.key for row in rows])
                settled = replace(settled, released=settled.released + len(rows))
        elif run.state != "running":
            states = call_states(connection, [row.call_id for row in rows if row.call_id])
            for row in rows:
                moved = _move(connection, row, run, states)
                settled = replace(settled, **{moved: getattr(settled, moved) + 1})
    return settled


def _move(connection: Connection, row: Claimed, run: RunState, states: Any) -> str:
    outcome = outcome_of(states.get(row.call_id)) if row.call_id and run.state == "succeeded" else None
    if run.state == "succeeded" and (outcome is None or outcome.state == "done"):
        complete(connection, REQUESTS, [row.key], run_id=run.run_id, reason=outcome.reason if outcome else None)
        return "completed"
    is_failure = outcome is None or outcome.state == "failed"
    reason = (outcome.reason if outcome else run.reason) or "the run failed"
    is_over = row.failures + 1 >= MAX_FAILURES if is_failure else row.age >= GIVE_UP_AFTER
    if not is_over:
        ask_later(connection, REQUESTS, row, reason=reason, is_failure=is_failure, run_id=run.run_id)
        return "failed" if is_failure else "waiting"
    park(connection, REQUESTS, [row.key], reason=f"given up after {row.attempts} attempts: {reason}", run_id=run.run_id)
    record_dead_letter(
        connection, source="request", stream="analysis", key=row.key, error=reason, attempts=row.attempts
    )
    return "parked"
