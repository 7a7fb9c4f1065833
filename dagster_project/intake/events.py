"""Webhook events on their way to scores: read, grouped into batches by week, and followed until they are dealt with."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg.rows import dict_row
from structlog.contextvars import bound_contextvars

from dagster_project.intake.outcomes import CallState, Outcome, call_states, outcome_of
from dagster_project.intake.queue import (
    CLAIM_WITHOUT_RUN,
    INBOX,
    MAX_FAILURES,
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
from dlt_pipelines.webhooks.payload import Hint, OddEventError, read_hint

logger = logging.getLogger(__name__)

# the rows one look reads; a tick has a minute
ROWS_PER_LOOK = 5_000
# a body may have megabytes
BODIES_AT_ONCE = 100
CALLS_PER_BATCH = 500
POLL = "poll"


@dataclass(frozen=True)
class Batch:
    """The calls of one week that one run fetches and scores. `event_ids` says which events asked for it."""

    claim_id: str
    week_start: date
    call_ids: tuple[str, ...]
    event_ids: tuple[int, ...]


def unpack(connection: Connection) -> int:
    """Read what newly arrived events say. Tests, repetitions and odd ones end here. Returns the number read."""
    total = 0
    while total < ROWS_PER_LOOK and (count := _unpack_some(connection)):
        total += count
    return total


def _unpack_some(connection: Connection) -> int:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            select inbox_id, endpoint, event_key, body, body_sha256
            from ops.webhook_inbox
            where status = 'received' and call_id is null
            order by inbox_id
            limit %s
            for update skip locked
            """,
            (BODIES_AT_ONCE,),
        ).fetchall()
    for row in rows:
        try:
            hint = read_hint(row["body"])
        except OddEventError as error:
            park(connection, INBOX, [row["inbox_id"]], reason=str(error))
            continue
        _keep_hint(connection, row["inbox_id"], hint)
        with bound_contextvars(event_key=row["event_key"], call_id=hint.call_id):
            logger.info("event %s names its call", row["inbox_id"])
        if hint.is_test:
            complete(connection, INBOX, [row["inbox_id"]], reason="a test of the webhook rule: nothing is loaded")
        elif original := _same_bytes_before(connection, row):
            complete(connection, INBOX, [row["inbox_id"]], reason=f"the same bytes came as event {original}")
    return len(rows)


def _keep_hint(connection: Connection, inbox_id: int, hint: Hint) -> None:
    connection.execute(
        "update ops.webhook_inbox set call_id = %s, call_started_at = %s, is_test = %s where inbox_id = %s",
        (hint.call_id, hint.started_at, hint.is_test, inbox_id),
    )


def _same_bytes_before(connection: Connection, row: dict[str, Any]) -> int | None:
    """The event that a replay under a fresh id repeats, unless that one was given up on."""
    found = connection.execute(
        """
        select min(inbox_id)
        from ops.webhook_inbox
        where body_sha256 = %s and endpoint = %s and inbox_id < %s and status in ('received', 'processing', 'completed')
        """,
        (row["body_sha256"], row["endpoint"], row["inbox_id"]),
    ).fetchone()
    return found[0] if found else None


def claim(
    connection: Connection,
    *,
    first_week: date,
    now: datetime | None = None,
    calls_per_batch: int = CALLS_PER_BATCH,
) -> list[Batch]:
    """Take due events, one batch for every week that has no batch at work already.

    A burst for one week is therefore at most two runs: the one at work, and one with all that came meanwhile.
    """
    now = now or datetime.now(UTC)
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            select inbox_id, endpoint, call_id, call_started_at, received_at, attempts
            from ops.webhook_inbox
            where
                status in ('received', 'failed')
                and call_id is not null
                and (next_attempt_at is null or next_attempt_at <= now())
            order by inbox_id
            limit %s
            for update skip locked
            """,
            (ROWS_PER_LOOK,),
        ).fetchall()
    known = call_states(connection, [row["call_id"] for row in rows])
    by_week: dict[date, list[dict[str, Any]]] = {}
    for row in rows:
        if _is_done_meanwhile(row, known.get(row["call_id"])):
            reason = outcome_of(known[row["call_id"]]).reason or "the call was fetched after this event came"
            complete(connection, INBOX, [row["inbox_id"]], reason=reason)
            continue
        week = _week(row, known.get(row["call_id"]))
        if not first_week <= week <= _monday(now):
            park(
                connection,
                INBOX,
                [row["inbox_id"]],
                reason=f"the call's week {week} is outside those kept here ({first_week} to {_monday(now)})",
            )
            continue
        by_week.setdefault(week, []).append(row)
    busy = _busy_weeks(connection)
    return [
        _take_batch(connection, week, rows, calls_per_batch)
        for week, rows in sorted(by_week.items())
        if week not in busy
    ]


def _is_done_meanwhile(row: dict[str, Any], state: CallState | None) -> bool:
    # an event may announce a change of a known call: the warehouse is believed where it was filled after the event came
    is_newer = bool(state and state.loaded_at and state.loaded_at > row["received_at"])
    return (is_newer or row["attempts"] > 0 or row["endpoint"] == POLL) and outcome_of(state).state == "done"


def _week(row: dict[str, Any], state: CallState | None) -> date:
    """The call's week: by Gong's API where it is known, else by the event's word, else by its arrival."""
    started = (state.started_at if state else None) or row["call_started_at"] or row["received_at"]
    return _monday(started)


def _monday(moment: datetime) -> date:
    day = moment.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())


def _busy_weeks(connection: Connection) -> set[date]:
    rows = connection.execute(
        """
        select distinct batch_week from ops.webhook_inbox
        where status = 'processing' and batch_week is not null
        """
    )
    return {row[0] for row in rows}


def _take_batch(connection: Connection, week: date, rows: Sequence[dict[str, Any]], limit: int) -> Batch:
    call_ids = list(dict.fromkeys(row["call_id"] for row in rows))[:limit]
    taken = [row for row in rows if row["call_id"] in set(call_ids)]
    keys = [row["inbox_id"] for row in taken]
    claim_id = take(connection, INBOX, keys)
    connection.execute("update ops.webhook_inbox set batch_week = %s where claim_id = %s", (week, claim_id))
    with bound_contextvars(claim_id=claim_id):
        for row in taken:
            logger.info("event %s goes to the run of week %s: call %s", row["inbox_id"], week, row["call_id"])
    return Batch(claim_id=claim_id, week_start=week, call_ids=tuple(call_ids), event_ids=tuple(keys))


def settle(connection: Connection, find_run: FindRun, *, give_up_after: timedelta) -> Settled:
    """Look at what became of every claim's run, and move its events on."""
    settled = Settled()
    for claim_id, rows in in_work(connection, INBOX).items():
        run = find_run(claim_id)
        if run is None:
            if rows[0].claim_age > CLAIM_WITHOUT_RUN:
                release(connection, INBOX, [row.key for row in rows])
                settled = replace(settled, released=settled.released + len(rows))
        elif run.state != "running":
            settled = _settle_batch(connection, rows, run, give_up_after, settled)
    return settled


def _settle_batch(
    connection: Connection, rows: Sequence[Claimed], run: RunState, give_up_after: timedelta, settled: Settled
) -> Settled:
    states = call_states(connection, [row.call_id for row in rows if row.call_id])
    counts = {"completed": 0, "waiting": 0, "failed": 0, "parked": 0}
    for row in rows:
        if run.state == "failed":
            outcome = Outcome("failed", run.reason or "the run failed")
        else:
            outcome = outcome_of(states.get(row.call_id or ""))
        counts[_move(connection, row, run, outcome, give_up_after)] += 1
    return Settled(
        completed=settled.completed + counts["completed"],
        waiting=settled.waiting + counts["waiting"],
        failed=settled.failed + counts["failed"],
        parked=settled.parked + counts["parked"],
        released=settled.released,
    )


def _move(connection: Connection, row: Claimed, run: RunState, outcome: Outcome, give_up_after: timedelta) -> str:
    if outcome.state == "done":
        complete(connection, INBOX, [row.key], run_id=run.run_id, reason=outcome.reason)
        return "completed"
    is_failure = outcome.state == "failed"
    is_over = row.failures + 1 >= MAX_FAILURES if is_failure else row.age >= give_up_after
    if not is_over:
        ask_later(connection, INBOX, row, reason=outcome.reason or "", is_failure=is_failure, run_id=run.run_id)
        return "failed" if is_failure else "waiting"
    tried = f"after {row.attempts} attempts"
    reason = f"given up {tried}: {outcome.reason}"
    park(connection, INBOX, [row.key], reason=reason, run_id=run.run_id)
    record_dead_letter(
        connection,
        source="webhook",
        stream="events",
        key=row.call_id or str(row.key),
        error=reason,
        attempts=row.attempts,
    )
    logger.warning("the event of call %s is parked %s: %s", row.call_id, tried, outcome.reason)
    return "parked"


def add_missed(connection: Connection, *, look_back: timedelta, grace: timedelta) -> tuple[str, ...]:
    """Put calls that Gong shows, and no event announced, into the inbox as found by the poll; returns their ids.

    Counts from the first real event on: before it there was no rule in Gong that could have fired.
    """
    if connection.execute("select to_regclass('raw_gong.calls')").fetchone() == (None,):
        return ()
    rows = connection.execute(
        """
        with first_event as (
            select min(received_at) as received_at from ops.webhook_inbox where endpoint <> %(poll)s and not is_test
        )

        select calls.id, calls.started
        from raw_gong.calls as calls
        cross join first_event
        where
            first_event.received_at is not null
            and calls.started >= greatest(first_event.received_at, now() - %(look_back)s)
            and calls.loaded_at < now() - %(grace)s
            and not coalesce(calls.is_deleted, false)
            and not exists (select 1 from ops.webhook_inbox as events where events.call_id = calls.id)
        order by calls.started
        """,
        {"poll": POLL, "look_back": look_back, "grace": grace},
    ).fetchall()
    for call_id, started in rows:
        meta = {"id": call_id, "started": started.isoformat()}
        connection.execute(
            """
            insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256)
            values (%(poll)s, %(key)s, %(poll)s, %(body)s, encode(sha256(%(body)s), 'hex'))
            on conflict do nothing
            """,
            {
                "poll": POLL,
                "key": f"{POLL}:{call_id}",
                "body": json.dumps({"callData": {"metaData": meta}}).encode(),
            },
        )
    return tuple(call_id for call_id, _ in rows)


def has_events(connection: Connection) -> bool:
    """Whether a webhook ever arrived: without one there is nothing to reconcile with."""
    found = connection.execute(
        "select exists (select 1 from ops.webhook_inbox where endpoint <> %s)", (POLL,)
    ).fetchone()
    return bool(found and found[0])
