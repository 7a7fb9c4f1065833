"""Rows that ask for work: claimed in batches, finished, asked again later, or parked with the reason.

Two tables have this shape, `ops.webhook_inbox` and `ops.analysis_requests`. A batch carries a claim id; the Dagster run
it causes carries the same id as a tag, which is how a later look finds out what became of it.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

MAX_FAILURES = 5
FAILURE_BACKOFF = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))
# a call appears in Gong some minutes to hours after it ended, its transcript after that
WAITING_BACKOFF = (
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=12),
    timedelta(days=1),
)
# a tick that claimed rows hands them to a run within seconds; without a run after this the tick died
CLAIM_WITHOUT_RUN = timedelta(minutes=3)

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Queue:
    """A table of work."""

    table: str
    key: str
    arrived_at: str

    def statement(self, text: LiteralString) -> sql.Composed:
        return sql.SQL(text).format(
            table=sql.SQL(".").join(sql.Identifier(part) for part in self.table.split(".")),
            key=sql.Identifier(self.key),
            arrived_at=sql.Identifier(self.arrived_at),
        )


INBOX = Queue(table="ops.webhook_inbox", key="inbox_id", arrived_at="received_at")
REQUESTS = Queue(table="ops.analysis_requests", key="request_id", arrived_at="requested_at")


@dataclass(frozen=True)
class RunState:
    """The run that carries a claim, as far as it has come."""

    run_id: str
    state: Literal["running", "succeeded", "failed"]
    reason: str = ""


@dataclass(frozen=True)
class Claimed:
    """One row in work, with what is needed to judge its outcome."""

    key: Any
    claim_id: str
    call_id: str | None
    failures: int
    attempts: int
    age: timedelta
    claim_age: timedelta


@dataclass(frozen=True)
class Settled:
    """How many rows a look at the claims moved."""

    completed: int = 0
    waiting: int = 0
    failed: int = 0
    parked: int = 0
    released: int = 0


FindRun = Callable[[str], RunState | None]


def take(connection: Connection, queue: Queue, keys: Sequence[Any]) -> str:
    """Mark rows, locked by the caller, as being worked on; returns the claim's id."""
    claim_id = str(uuid.uuid4())
    connection.execute(
        queue.statement(
            """
            update {table}
            set status = 'processing', claim_id = %s, claimed_at = now(), attempts = attempts + 1, run_id = null,
                next_attempt_at = null
            where {key} = any(%s)
            """
        ),
        (claim_id, list(keys)),
    )
    return claim_id


def in_work(connection: Connection, queue: Queue) -> dict[str, list[Claimed]]:
    """The claimed rows by claim, locked against another looker."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            queue.statement(
                """
                select {key} as key, claim_id, call_id, failures, attempts, now() - {arrived_at} as age,
                    now() - claimed_at as claim_age
                from {table}
                where status = 'processing'
                order by {key}
                for update skip locked
                """
            )
        ).fetchall()
    claims: dict[str, list[Claimed]] = {}
    for row in rows:
        claims.setdefault(row["claim_id"], []).append(Claimed(**row))
    return claims


def complete(
    connection: Connection, queue: Queue, keys: Sequence[Any], *, run_id: str | None = None, reason: str | None = None
) -> None:
    """The work is done; `reason` says so where nothing came of it."""
    connection.execute(
        queue.statement(
            """
            update {table}
            set status = 'completed', finished_at = now(), run_id = coalesce(%s, run_id), reason = %s,
                next_attempt_at = null
            where {key} = any(%s)
            """
        ),
        (run_id, reason, list(keys)),
    )


def park(connection: Connection, queue: Queue, keys: Sequence[Any], *, reason: str, run_id: str | None = None) -> None:
    """Give up on rows, keeping them with the reason."""
    connection.execute(
        queue.statement(
            """
            update {table}
            set status = 'parked', finished_at = now(), run_id = coalesce(%s, run_id), reason = %s,
                next_attempt_at = null
            where {key} = any(%s)
            """
        ),
        (run_id, reason, list(keys)),
    )


def release(connection: Connection, queue: Queue, keys: Sequence[Any]) -> None:
    """Undo a claim that never became a run."""
    connection.execute(
        queue.statement(
            """
            update {table}
            set status = 'received', claim_id = null, claimed_at = null, attempts = greatest(attempts - 1, 0)
            where {key} = any(%s)
            """
        ),
        (list(keys),),
    )


def ask_later(
    connection: Connection, queue: Queue, row: Claimed, *, reason: str, is_failure: bool, run_id: str | None
) -> None:
    """Put a row back with the time of its next attempt: a failure soon, a call that is not there yet with patience."""
    steps = FAILURE_BACKOFF if is_failure else WAITING_BACKOFF
    done_before = row.failures if is_failure else row.attempts - 1
    connection.execute(
        queue.statement(
            """
            update {table}
            set status = %s, failures = %s, run_id = coalesce(%s, run_id), reason = %s,
                next_attempt_at = now() + %s, claim_id = null, claimed_at = null
            where {key} = %s
            """
        ),
        (
            "failed" if is_failure else "received",
            row.failures + 1 if is_failure else 0,
            run_id,
            reason,
            steps[min(max(done_before, 0), len(steps) - 1)],
            row.key,
        ),
    )


def record_dead_letter(
    connection: Connection, *, source: str, stream: str, key: str, error: str, attempts: int
) -> None:
    """Leave a record of something given up on, where `call-coach dead-letters` finds it."""
    connection.execute(
        """
        insert into ops.dead_letters as known (source, stream, key, error, attempts, status)
        values (%s, %s, %s, %s, %s, 'given_up')
        on conflict (source, stream, key) do update
        set error = excluded.error, attempts = excluded.attempts, status = 'given_up', last_seen_at = now()
        """,
        (source, stream, key, error, attempts),
    )
