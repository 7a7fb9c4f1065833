import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

# the columns of the loader's and the engine's tables that an outcome rests on
SOURCE_TABLES = """
create schema if not exists raw_gong;
create table raw_gong.calls (
    id text primary key, started timestamptz, primary_user_id text, is_deleted boolean,
    loaded_at timestamptz default now()
);
create table raw_gong.transcripts (call_id text primary key, transcript jsonb);
create table raw_gong._kept_out (call_sha256 text primary key, reason text not null);
"""


class Warehouse:
    """A migrated database as loading and scoring leave it, one call at a time."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def deliver(self, body: bytes, *, endpoint: str = "gong", key: str | None = None) -> int:
        digest = hashlib.sha256(body).hexdigest()
        row = self.connection.execute(
            "insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256) "
            "values (%s, %s, 'hmac', %s, %s) returning inbox_id",
            (endpoint, key or f"{endpoint}:{digest}", body, digest),
        ).fetchone()
        assert row
        return int(row[0])

    def announce(self, call_id: str, *, started: str = "2026-11-10T10:00:00Z", **extra: Any) -> int:
        meta = {"id": call_id, "started": started}
        return self.deliver(json.dumps({"callData": {"metaData": meta}, "isTest": False, **extra}).encode())

    def load(self, call_id: str, *, started: str = "2026-11-10T10:00:00Z", transcript: bool = True) -> None:
        self.connection.execute(
            "insert into raw_gong.calls (id, started, primary_user_id) values (%s, %s, 'rep-1') on conflict do nothing",
            (call_id, started),
        )
        if transcript:
            self.connection.execute(
                "insert into raw_gong.transcripts (call_id) values (%s) on conflict do nothing", (call_id,)
            )

    def score(self, call_id: str, *, status: str = "scored", reason: str | None = None) -> None:
        self.connection.execute(
            "insert into analysis.call_results "
            "(call_id, rep_id, dimension, week_start, rubric_version, status, reason) "
            "values (%s, 'rep-1', 'discovery', '2026-11-09', 'v1', %s, %s) "
            "on conflict (call_id, rep_id, dimension, rubric_version) "
            "do update set status = excluded.status, reason = excluded.reason, updated_at = now()",
            (call_id, status, reason),
        )

    def state(self, inbox_id: int) -> tuple[str, str | None]:
        row = self.connection.execute(
            "select status, reason from ops.webhook_inbox where inbox_id = %s", (inbox_id,)
        ).fetchone()
        assert row
        return row[0], row[1]

    def states(self, table: str = "ops.webhook_inbox") -> dict[str, int]:
        return dict(self.connection.execute(f"select status, count(*) from {table} group by status").fetchall())

    def make_due(self, table: str = "ops.webhook_inbox") -> None:
        self.connection.execute(f"update {table} set next_attempt_at = now() where next_attempt_at is not null")


@pytest.fixture
def warehouse(module_database_url: str) -> Iterator[Warehouse]:
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute("drop schema if exists raw_gong cascade")
        connection.execute("truncate ops.webhook_inbox, ops.analysis_requests, ops.dead_letters, analysis.call_results")
        connection.execute(SOURCE_TABLES)
        yield Warehouse(connection)


@pytest.fixture(scope="session")
def call_event() -> Callable[..., bytes]:
    def make(call_id: str, **extra: Any) -> bytes:
        meta = {"id": call_id, "started": "2026-11-10T10:00:00Z"}
        return json.dumps({"callData": {"metaData": meta}, **extra}).encode()

    return make
