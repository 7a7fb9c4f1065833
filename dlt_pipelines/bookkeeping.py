"""What a loader remembers between runs, in tables beside the raw ones: progress, what is owed, what must stay out.

The tables start with an underscore and belong to the loader; nothing reads them but the loader and its tests.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

logger = logging.getLogger(__name__)

FIRST_RETRY = timedelta(minutes=5)
LONGEST_RETRY = timedelta(hours=12)


@dataclass(frozen=True)
class Owed:
    """Something the API has not delivered yet."""

    key: str
    detail: dict[str, Any]
    first_seen_at: datetime
    attempts: int
    has_given_up: bool = False


class Bookkeeping:
    """The bookkeeping of one dataset."""

    def __init__(self, connection: psycopg.Connection, *, schema: str, source: str) -> None:
        self._connection = connection
        self._schema = schema
        self._source = source
        for statement in (
            f"create schema if not exists {schema}",
            f"create table if not exists {schema}._progress "
            "(job text primary key, done_until timestamptz not null, updated_at timestamptz not null default now())",
            f"create table if not exists {schema}._owed (kind text, key text, detail jsonb not null default '{{}}', "
            "first_seen_at timestamptz not null default now(), last_asked_at timestamptz not null default now(), "
            "attempts integer not null default 1, gave_up_at timestamptz, primary key (kind, key))",
            f"create table if not exists {schema}._days "
            "(stream text, day date, read_at timestamptz not null, primary key (stream, day))",
            f"create table if not exists {schema}._imports (kind text, key text, path text not null, "
            "imported_at timestamptz not null default now(), primary key (kind, key))",
            # a digest, so that a call that must stay out leaves no trace of itself
            f"create table if not exists {schema}._kept_out (call_sha256 text primary key, reason text not null, "
            "noted_at timestamptz not null default now())",
        ):
            connection.execute(statement)
        row = connection.execute("select to_regclass('ops.dead_letters'), to_regclass('ops.tombstones')").fetchone()
        self._has_dead_letters, self._has_tombstones = (bool(row and row[0]), bool(row and row[1]))

    def done_until(self, job: str) -> datetime | None:
        row = self._connection.execute(
            f"select done_until from {self._schema}._progress where job = %s",  # noqa: S608
            [job],
        ).fetchone()
        return row[0] if row else None

    def set_done_until(self, job: str, at: datetime) -> None:
        self._connection.execute(
            f"insert into {self._schema}._progress (job, done_until) values (%s, %s) "  # noqa: S608
            "on conflict (job) do update set done_until = excluded.done_until, updated_at = now()",
            [job, at],
        )

    def forget_progress(self, job: str) -> None:
        self._connection.execute(f"delete from {self._schema}._progress where job = %s", [job])  # noqa: S608

    def owe(self, kind: str, key: str, detail: dict[str, Any], *, first_seen_at: datetime | None = None) -> Owed:
        """Remember, or count one more fruitless attempt."""
        row = self._connection.execute(
            f"insert into {self._schema}._owed as known (kind, key, detail, first_seen_at) "  # noqa: S608
            "values (%s, %s, %s, coalesce(%s, now())) "
            "on conflict (kind, key) do update set attempts = known.attempts + 1, last_asked_at = now(), "
            "detail = excluded.detail returning key, detail, first_seen_at, attempts, gave_up_at is not null",
            [kind, key, Jsonb(detail), first_seen_at],
        ).fetchone()
        assert row is not None  # noqa: S101 (an upsert returns its row)
        return Owed(*row)

    def owed(self, kind: str, *, is_due: bool = True, with_given_up: bool = False) -> list[Owed]:
        """What is still owed; with `is_due` only what has waited long enough since it was last asked for."""
        rows = self._connection.execute(
            "select key, detail, first_seen_at, attempts, gave_up_at is not null "  # noqa: S608
            f"from {self._schema}._owed where kind = %s and (gave_up_at is null or %s) "
            "and (not %s or last_asked_at + least(%s, %s * power(2, least(attempts - 1, 12))) <= now()) "
            "order by first_seen_at, key",
            [kind, with_given_up, is_due, LONGEST_RETRY, FIRST_RETRY],
        ).fetchall()
        return [Owed(*row) for row in rows]

    def paid(self, kind: str, keys: Iterable[str]) -> None:
        self._connection.execute(
            f"delete from {self._schema}._owed where kind = %s and key = any(%s)",  # noqa: S608
            [kind, list(keys)],
        )

    def keep_out(self, reasons: Mapping[str, str]) -> None:
        """Remember calls that Gong shows and that are not loaded, each with its reason."""
        self._connection.execute(
            f"insert into {self._schema}._kept_out (call_sha256, reason) "  # noqa: S608
            "select * from unnest(%s::text[], %s::text[]) "
            "on conflict (call_sha256) do update set reason = excluded.reason, noted_at = now()",
            [[subject_sha256(key) for key in reasons], list(reasons.values())],
        )

    def let_in(self, call_ids: Iterable[str]) -> None:
        """These calls are loaded now, whatever was said of them before."""
        self._connection.execute(
            f"delete from {self._schema}._kept_out where call_sha256 = any(%s)",  # noqa: S608
            [[subject_sha256(key) for key in call_ids]],
        )

    def give_up(self, kind: str, key: str) -> bool:
        """Stop asking on its own account; False when that was decided before."""
        row = self._connection.execute(
            f"update {self._schema}._owed set gave_up_at = now() "  # noqa: S608
            "where kind = %s and key = %s and gave_up_at is null returning key",
            [kind, key],
        ).fetchone()
        return row is not None

    def days_read(self, stream: str) -> dict[date, datetime]:
        """When each day of a stream was last read."""
        rows = self._connection.execute(
            f"select day, read_at from {self._schema}._days where stream = %s",  # noqa: S608
            [stream],
        ).fetchall()
        return dict(rows)

    def set_day_read(self, stream: str, day: date, at: datetime) -> None:
        self._connection.execute(
            f"insert into {self._schema}._days values (%s, %s, %s) "  # noqa: S608
            "on conflict (stream, day) do update set read_at = excluded.read_at",
            [stream, day, at],
        )

    def imported(self, kind: str, key: str, path: str) -> None:
        """Remember what came from a file: that the API does not show it means nothing."""
        self._connection.execute(
            f"insert into {self._schema}._imports (kind, key, path) values (%s, %s, %s) "  # noqa: S608
            "on conflict (kind, key) do update set path = excluded.path, imported_at = now()",
            [kind, key, path],
        )

    def imported_users(self) -> frozenset[str]:
        rows = self._connection.execute(
            f"select key from {self._schema}._imports where kind = 'user'"  # noqa: S608
        ).fetchall()
        return frozenset(row[0] for row in rows)

    def forget_imports(self, kind: str, keys: Sequence[str]) -> None:
        """What the API shows too is the API's from now on."""
        self._connection.execute(
            f"delete from {self._schema}._imports where kind = %s and key = any(%s)",  # noqa: S608
            [kind, list(keys)],
        )

    def dead_letter(self, *, stream: str, key: str, payload: Any, error: str, status: str = "open") -> bool:
        """Keep what could not be loaded; the same key again counts an attempt. False where there is no such table."""
        if not self._has_dead_letters:
            logger.warning("%s %s is not kept: the database has no ops.dead_letters (%s)", stream, key, error)
            return False
        self._connection.execute(
            "insert into ops.dead_letters as known (source, stream, key, payload, error, status) "
            "values (%s, %s, %s, %s, %s, %s) on conflict (source, stream, key) do update set "
            "payload = excluded.payload, error = excluded.error, status = excluded.status, "
            "attempts = known.attempts + 1, last_seen_at = now(), resolved_at = null",
            [self._source, stream, key, Jsonb(payload), error, status],
        )
        return True

    def resolve_dead_letters(self, *, stream: str, keys: Sequence[str]) -> None:
        """Close the dead letters of keys that have loaded since."""
        if self._has_dead_letters and keys:
            self._connection.execute(
                "update ops.dead_letters set status = 'resolved', resolved_at = now() "
                "where source = %s and stream = %s and key = any(%s) and status <> 'resolved'",
                [self._source, stream, list(keys)],
            )

    def tombstones(self, subject_kind: str) -> frozenset[str]:
        """SHA-256 digests of the erased subjects of one kind."""
        if not self._has_tombstones:
            return frozenset()
        rows = self._connection.execute(
            "select subject_sha256 from ops.tombstones where subject_kind = %s", [subject_kind]
        ).fetchall()
        return frozenset(row[0] for row in rows)


def subject_sha256(subject_id: str) -> str:
    """How a subject is named in `ops.tombstones`: the id itself must not survive its erasure."""
    return hashlib.sha256(subject_id.encode()).hexdigest()
