"""A warehouse in a test: rows are written as the loader and the analysis engine write them, dbt runs in process."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

PROJECT = Path(__file__).parents[2] / "dbt"

RAW_GONG = """
create schema if not exists raw_gong;
create table if not exists raw_gong.calls (
    id text primary key, url text, title text, scheduled timestamptz, started timestamptz, duration bigint,
    primary_user_id text, direction text, system text, scope text, media text, language text, workspace_id text,
    sdr_disposition text, client_unique_id text, custom_data text, purpose text, meeting_url text,
    is_private boolean, calendar_event_id text, parties jsonb, context jsonb, content jsonb, interaction jsonb,
    collaboration jsonb, content_hash text, is_deleted boolean, loaded_at timestamptz
);
create table if not exists raw_gong.transcripts (
    call_id text primary key, started timestamptz, transcript jsonb, content_hash text, loaded_at timestamptz
);
create table if not exists raw_gong.users (
    id text, email_address text, created timestamptz, active boolean, first_name text, last_name text, title text,
    manager_id text, _dlt_valid_from timestamptz, _dlt_valid_to timestamptz
);
"""

# One criterion of each kind: dc1 can reach a 5 (it has a confirming marker), dc2 can be capped at 2 (a negative one).
DISCOVERY = {
    "dimension": "discovery",
    "title": "Discovery",
    "question": "Does the rep find out what the customer needs?",
    "criteria": [
        {
            "criterion_id": "dc1",
            "title": "Problem",
            "source": "a test",
            "weights": {"AE": 70, "SE": 40, "CSM": 50},
            "markers": [
                {"marker_id": "dc1_asks", "kind": "positive", "question": "Asks?", "evidence_side": "rep"},
                {"marker_id": "dc1_cost", "kind": "positive", "question": "Costs?", "evidence_side": "rep"},
                {"marker_id": "dc1_confirms", "kind": "confirming", "question": "Yes?", "evidence_side": "customer"},
            ],
        },
        {
            "criterion_id": "dc2",
            "title": "Listening",
            "source": "a test",
            "weights": {"AE": 30, "SE": 60, "CSM": 50},
            "markers": [
                {"marker_id": "dc2_reflects", "kind": "positive", "question": "Reflects?", "evidence_side": "rep"},
                {"marker_id": "dc2_argues", "kind": "negative", "question": "Argues?", "evidence_side": "rep"},
            ],
        },
    ],
}

MONDAY = date(2026, 9, 7)


def at(day: date, hour: int = 15) -> datetime:
    """That day, in UTC."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def monologues(*lines: tuple[str | None, int | None, int | None, str]) -> list[dict[str, Any]]:
    """Gong's transcript from (speaker, start, end, text) lines, one monologue per line."""
    return [
        {"speakerId": speaker, "topic": None, "sentences": [{"start": start, "end": end, "text": text}]}
        for speaker, start, end, text in lines
    ]


SMALL_TALK = monologues(
    ("s-rep", 0, 4000, "What does a failed night cost you?"),
    ("s-cus", 4500, 9000, "Two people, every morning, until ten."),
    ("s-rep", 9000, 12000, "So two people lose their mornings."),
    ("s-cus", 12100, 14000, "Exactly, and nobody knows why."),
)


FIRST_CALL = at(MONDAY)
FIRST_ANSWER = at(MONDAY, 20)


def evidence(
    turn_id: int, quote: str, *, side: str = "rep", start_ms: int = 0, is_verified: bool = True
) -> dict[str, Any]:
    return {"turn_id": turn_id, "quote": quote, "side": side, "start_ms": start_ms, "quote_verified": is_verified}


@dataclass
class Warehouse:
    """One test's database, and how rows get into and out of it."""

    url: str
    target: Path
    today: date | None = None
    # names the database it was parsed for, so it is this warehouse's alone
    _manifest: Any = None
    _sequence: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000_000)))

    def execute(self, query: str, *values: Any) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(query, values or None)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return connection.execute(query, values or None).fetchall()

    def one(self, query: str, *values: Any) -> dict[str, Any]:
        [row] = self.rows(query, *values)
        return row

    def value(self, query: str, *values: Any) -> Any:
        [value] = self.one(query, *values).values()
        return value

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        values = [Jsonb(value) if isinstance(value, dict | list) else value for value in row.values()]
        columns = ", ".join(f'"{name}"' for name in row)
        self.execute(f"insert into {table} ({columns}) values ({', '.join(['%s'] * len(row))})", *values)

    def user(
        self,
        user_id: str,
        *,
        title: str = "Account Executive",
        manager_id: str | None = None,
        valid_from: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        valid_to: datetime | None = None,
        is_active: bool = True,
    ) -> str:
        self.insert(
            "raw_gong.users",
            {
                "id": user_id,
                "email_address": f"{user_id}@example.com",
                "created": valid_from,
                "active": is_active,
                "first_name": user_id.title(),
                "last_name": "Testperson",
                "title": title,
                "manager_id": manager_id,
                "_dlt_valid_from": valid_from,
                "_dlt_valid_to": valid_to,
            },
        )
        return user_id

    def call(
        self,
        call_id: str,
        *,
        rep_id: str = "ada",
        started_at: datetime = FIRST_CALL,
        transcript: list[dict[str, Any]] | None = SMALL_TALK,
        parties: Sequence[Mapping[str, Any]] | None = None,
        context: Sequence[Mapping[str, Any]] = (),
        **columns: Any,
    ) -> str:
        if parties is None:
            parties = [
                {
                    "id": "p1",
                    "name": rep_id.title(),
                    "userId": rep_id,
                    "speakerId": "s-rep",
                    "affiliation": "Internal",
                    "title": "Account Executive",
                },
                {"id": "p2", "name": "Casey Customer", "speakerId": "s-cus", "affiliation": "External"},
            ]
        row = {
            "id": call_id,
            "url": f"https://gong.example.com/call?id={call_id}",
            "title": f"Discovery {call_id}",
            "started": started_at,
            "duration": 1800,
            "primary_user_id": rep_id,
            "direction": "Conference",
            "scope": "External",
            "language": "eng",
            "is_private": False,
            "parties": list(parties),
            "context": list(context),
            "content_hash": call_id,
            "is_deleted": False,
            "loaded_at": started_at + timedelta(hours=2),
        }
        self.insert("raw_gong.calls", row | columns)
        if transcript is not None:
            self.transcript(call_id, transcript, started_at=started_at)
        return call_id

    def transcript(self, call_id: str, transcript: list[dict[str, Any]], *, started_at: datetime = FIRST_CALL) -> None:
        self.execute("delete from raw_gong.transcripts where call_id = %s", call_id)
        self.insert(
            "raw_gong.transcripts",
            {
                "call_id": call_id,
                "started": started_at,
                "transcript": transcript,
                "content_hash": hashlib.sha256(json.dumps(transcript).encode()).hexdigest(),
                "loaded_at": started_at + timedelta(hours=3),
            },
        )

    def rubric(
        self,
        body: Mapping[str, Any] = DISCOVERY,
        *,
        version: str = "v1",
        loaded_at: datetime = datetime(2026, 1, 1, tzinfo=UTC),
    ) -> None:
        self.execute("update knowledge.rubrics set is_current = false where dimension = %s", body["dimension"])
        self.insert(
            "knowledge.rubrics",
            {
                "dimension": body["dimension"],
                "rubric_version": version,
                "title": body["title"],
                "body": dict(body),
                "source_text": "",
                "is_current": True,
                "loaded_at": loaded_at,
            },
        )

    def answer(
        self,
        call_id: str,
        *,
        verdicts: Mapping[str, str] | None = None,
        rep_id: str = "ada",
        dimension: str = "discovery",
        version: str = "v1",
        status: str = "scored",
        reason: str | None = None,
        quotes: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
        suggestions: Sequence[Mapping[str, Any]] = (),
        statements: Sequence[Mapping[str, Any]] = (),
        brief: Mapping[str, Any] | None = None,
        model: str = "claude-sonnet-5-5",
        scored_at: datetime = FIRST_ANSWER,
        quote_counts: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> None:
        """A stored answer and the call_results row that points at it, replacing an earlier one of that version."""
        result_key = None
        if status == "scored":
            result_key = f"key-{next(self._sequence)}"
            markers = [
                {
                    "marker_id": marker_id,
                    "criterion_id": marker_id.split("_")[0],
                    "verdict": verdict,
                    "why": f"because of {marker_id}",
                    "evidence": [dict(item) for item in (quotes or {}).get(marker_id, ())],
                }
                for marker_id, verdict in (verdicts or {}).items()
            ]
            checked, verified, repaired, dropped = quote_counts
            self.insert(
                "analysis.results",
                {
                    "result_key": result_key,
                    "dimension": dimension,
                    "rubric_version": version,
                    "knowledge_version": "k1",
                    "prompt_version": "p1",
                    "transcript_hash": call_id,
                    "model": model,
                    "is_sandbox": model == "sandbox",
                    "answer": {
                        "markers": markers,
                        "suggestions": [dict(item) for item in suggestions],
                        "statements": [dict(item) for item in statements],
                        "brief": brief,
                    },
                    "n_quotes": checked,
                    "n_quotes_verified": verified,
                    "n_quotes_repaired": repaired,
                    "n_quotes_dropped": dropped,
                    "cost_usd": Decimal("0.01"),
                    "created_at": scored_at,
                    "expires_at": scored_at + timedelta(days=90),
                },
            )
        started_at = self.value("select started from raw_gong.calls where id = %s", call_id)
        self.execute(
            "delete from analysis.call_results"
            " where call_id = %s and rep_id = %s and dimension = %s and rubric_version = %s",
            call_id,
            rep_id,
            dimension,
            version,
        )
        self.insert(
            "analysis.call_results",
            {
                "call_id": call_id,
                "rep_id": rep_id,
                "dimension": dimension,
                "week_start": started_at.date() - timedelta(days=started_at.weekday()),
                "result_key": result_key,
                "result_created_at": scored_at if result_key else None,
                "rubric_version": version,
                "status": status,
                "reason": reason,
                "updated_at": scored_at,
            },
        )

    def request(self, **columns: Any) -> None:
        row = {
            "dimension": "discovery",
            "requested_model": "claude-sonnet-5-5",
            "model": "claude-sonnet-5-5",
            "is_sandbox": False,
            "kind": "live",
            "status": "ok",
            "cache_outcome": "miss",
            "started_at": at(MONDAY, 20),
        }
        self.insert("analysis.requests", row | columns)

    def dbt(self, *arguments: str, expect_success: bool = True) -> Any:
        """Run dbt in this process against this database; fails with dbt's own messages."""
        # dbt is slow to import, and only the tests that run it should pay
        from dbt.cli.main import dbtRunner

        self.target.mkdir(parents=True, exist_ok=True)
        options = [
            *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
            *("--target-path", str(self.target), "--log-path", str(self.target)),
        ]
        if self.today:
            options += ["--vars", json.dumps({"today": self.today.isoformat()})]
        with connection_in_environment(self.url):
            if self._manifest is None:
                parsed = dbtRunner().invoke(["--quiet", "parse", *options])
                assert parsed.success, failures(parsed)
                self._manifest = parsed.result
            result = dbtRunner(manifest=self._manifest).invoke(["--quiet", *arguments, *options])
        if expect_success and not result.success:
            raise AssertionError(failures(result))
        return result

    def build(self, *arguments: str, **options: Any) -> Any:
        return self.dbt("build", "--exclude-resource-type", "unit_test", *arguments, **options)


def failures(result: Any) -> str:
    if result.exception:
        return str(result.exception)
    return "\n".join(
        f"{item.node.unique_id}: {item.message}" for item in result.result if item.status not in ("success", "pass")
    )


@contextmanager
def connection_in_environment(url: str) -> Iterator[None]:
    """The profile reads its connection from the environment, and from nowhere else."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    wanted = {
        "CALL_COACH_DB_HOST": str(parts.get("host", "127.0.0.1")),
        "CALL_COACH_DB_PORT": str(parts.get("port", 5432)),
        "CALL_COACH_DB_NAME": str(parts["dbname"]),
        "CALL_COACH_DB_USER": str(parts.get("user", "postgres")),
        "CALL_COACH_DB_PASSWORD": str(parts.get("password") or "none"),
        "CALL_COACH_DB_SSLMODE": "disable",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def prepare(url: str, target: Path, today: date | None = None) -> Warehouse:
    warehouse = Warehouse(url, target, today)
    warehouse.execute(RAW_GONG)
    warehouse.execute("select analysis.ensure_partitions('2026-01-01')")
    return warehouse


@pytest.fixture(scope="session")
def dbt_target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One target folder for the session: the second parse reuses the first one's."""
    return tmp_path_factory.mktemp("dbt_target")


@pytest.fixture
def warehouse(database_url: str, dbt_target: Path) -> Warehouse:
    """An empty warehouse of this test's own, on Friday 20 November 2026."""
    return prepare(database_url, dbt_target, date(2026, 11, 20))


@pytest.fixture(scope="module")
def shared_warehouse(module_database_url: str, dbt_target: Path) -> Warehouse:
    """An empty warehouse that a module's tests fill and build once."""
    return prepare(module_database_url, dbt_target, date(2026, 11, 20))
