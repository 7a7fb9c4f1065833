"""What could not be loaded: look at it, and try again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.gong.source import load

# letters of these streams carry a call's id as their key, or in their payload
STREAMS_BY_CALL = ("calls", "transcripts")


@dataclass(frozen=True)
class DeadLetter:
    dead_letter_id: int
    source: str
    stream: str
    key: str
    error: str
    attempts: int
    status: str
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True)
class Retried:
    """How a retry went: `resolved` of `tried` are in the warehouse now."""

    tried: int
    resolved: int
    not_retryable: int


class NoSuchDeadLetterError(LookupError):
    """No dead letter has that number."""


def list_dead_letters(database_url: str, *, has_closed: bool = False) -> tuple[DeadLetter, ...]:
    """Open ones and those given up, newest first; with `has_closed` the resolved ones too."""
    with psycopg.connect(database_url) as connection, connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        return tuple(
            cursor.execute(
                "select dead_letter_id, source, stream, key, error, attempts, status, first_seen_at, last_seen_at "
                "from ops.dead_letters where %s or status <> 'resolved' order by last_seen_at desc, dead_letter_id",
                [has_closed],
            ).fetchall()
        )


def payload_of(database_url: str, dead_letter_id: int) -> Any:
    """What was set aside, as it came. Raises NoSuchDeadLetterError."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select payload from ops.dead_letters where dead_letter_id = %s", [dead_letter_id]
        ).fetchone()
    if row is None:
        raise NoSuchDeadLetterError(
            f"There is no dead letter {dead_letter_id}. `call-coach dead-letters list` shows all."
        )
    return row[0]


def retry(
    database_url: str, *, dead_letter_ids: Sequence[int] | None = None, on_progress: Callable[[str], None]
) -> Retried:
    """Ask Gong again for the calls behind the letters, all unresolved ones by default.

    Raises NoSuchDeadLetterError for a number that is not there.
    """
    letters = list_dead_letters(database_url)
    if dead_letter_ids is not None:
        known = {letter.dead_letter_id for letter in letters}
        for wanted in dead_letter_ids:
            if wanted not in known:
                raise NoSuchDeadLetterError(
                    f"There is no unresolved dead letter {wanted}. `call-coach dead-letters list` shows all."
                )
        letters = tuple(letter for letter in letters if letter.dead_letter_id in set(dead_letter_ids))
    by_call = {
        letter.dead_letter_id: call_id
        for letter in letters
        if letter.source == "gong" and letter.stream in STREAMS_BY_CALL
        for call_id in [_call_of(database_url, letter)]
        if call_id
    }
    if by_call:
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "update raw_gong._owed set gave_up_at = null, attempts = 1 where kind = 'transcript' and key = any(%s)",
                [list(by_call.values())],
            )
        load(
            database_url=database_url,
            settings=GongSettings(),
            streams=["calls", "transcripts"],
            call_ids=list(dict.fromkeys(by_call.values())),
            on_progress=on_progress,
        )
    open_now = {letter.dead_letter_id for letter in list_dead_letters(database_url)}
    return Retried(
        tried=len(by_call),
        resolved=len(by_call.keys() - open_now),
        not_retryable=len(letters) - len(by_call),
    )


def _call_of(database_url: str, letter: DeadLetter) -> str | None:
    payload = payload_of(database_url, letter.dead_letter_id)
    if isinstance(payload, dict):
        meta = payload.get("metaData")
        found = payload.get("callId") or (meta.get("id") if isinstance(meta, dict) else None)
        if isinstance(found, str):
            return found
    # Gong's call ids are numbers, written as text
    return letter.key if letter.key.isdigit() else None
