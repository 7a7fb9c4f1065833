import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from dagster_project.analysis.engine import score_weeks
from dagster_project.analysis.report import ScoreReport
from dagster_project.analysis.settings import AnalysisSettings
from dagster_project.analysis.store import ChunkReport, build_chunks

MONDAY = date(2026, 11, 2)
DIMENSIONS = ("product_knowledge", "discovery", "objections", "engagement", "call_brief")

RAW_TABLES = """
    create schema if not exists raw_gong;
    create table if not exists raw_gong.calls (
        id text primary key, url text, title text, scheduled timestamptz, started timestamptz, duration bigint,
        primary_user_id text, direction text, system text, scope text, media text, language text, workspace_id text,
        is_private boolean, parties jsonb, context jsonb, content jsonb, interaction jsonb, collaboration jsonb,
        content_hash text, is_deleted boolean, loaded_at timestamptz default now()
    );
    create table if not exists raw_gong.transcripts (
        call_id text primary key, started timestamptz, transcript jsonb, content_hash text,
        loaded_at timestamptz default now()
    );
"""

# who says what: R the rep, C a customer, T a colleague of the rep
GOOD_CALL = (
    ("R", "Hi Dorothea, thanks for taking the time. My plan for today is to hear about your Mondays first."),
    ("C", "Sure, sounds good to me."),
    ("R", "What is the hardest part of a normal Monday for your data team?"),
    ("C", "The nightly load blocks everyone until nine, and we lose roughly two days a month to failed loads."),
    ("R", "So what I am hearing is that the nightly load blocks everyone until nine."),
    ("C", "Exactly, and the finance people only find out at month end."),
    ("R", "And what happens when that job is late, who feels it first?"),
    ("C", "Finance feels it first. To be honest this is more than we budgeted for this year."),
    ("R", "That is a fair concern, thanks for raising that. Help me understand what you would compare it to."),
    ("C", "We compare it with the hours we spend on repairs today."),
    ("T", "A team of your size saw the repairs drop by half within a quarter."),
    ("R", "Does that settle it for now? I will send you the numbers by Friday."),
    ("C", "Okay, that helps. That is settled for me, let us meet again next week."),
)


@dataclass
class Warehouse:
    database_url: str
    n_calls: int = 0
    messages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = psycopg.connect(self.database_url, row_factory=dict_row, autocommit=True)

    def add_call(
        self,
        lines: tuple[tuple[str, str], ...] = GOOD_CALL,
        *,
        call_id: str | None = None,
        week: date = MONDAY,
        rep: str = "rep-1",
        **columns: Any,
    ) -> str:
        self.n_calls += 1
        call_id = call_id or f"call-{self.n_calls:04d}"
        started = datetime(week.year, week.month, week.day, 9, tzinfo=UTC) + timedelta(minutes=self.n_calls)
        speakers = {"R": "s-rep", "C": "s-customer", "T": "s-team"}
        parties = [
            {"speakerId": "s-rep", "userId": rep, "affiliation": "Internal", "name": "Quillon Reppington"},
            {"speakerId": "s-customer", "affiliation": "External", "name": "Dorothea Buyerly"},
            {"speakerId": "s-team", "userId": "user-2", "affiliation": "Internal", "name": "Tamsin Teamworth"},
        ]
        values = {
            "id": call_id,
            "started": started,
            "duration": 1800,
            "primary_user_id": rep,
            "scope": "External",
            "language": "eng",
            "is_private": False,
            "is_deleted": False,
            "parties": Jsonb(parties),
            "content_hash": "h",
            **columns,
        }
        names = ", ".join(values)
        holes = ", ".join(["%s"] * len(values))
        self.connection.execute(f"insert into raw_gong.calls ({names}) values ({holes})", list(values.values()))
        self.set_transcript(call_id, [(speakers[who], text) for who, text in lines], started=started)
        return call_id

    def set_transcript(self, call_id: str, lines: list[tuple[str, str]], *, started: datetime | None = None) -> None:
        monologues = [
            {
                "speakerId": speaker,
                "topic": None,
                "sentences": [{"start": index * 7_000, "end": index * 7_000 + 6_000, "text": text}],
            }
            for index, (speaker, text) in enumerate(lines)
        ]
        self.set_monologues(call_id, monologues, started=started)

    def set_monologues(
        self, call_id: str, monologues: list[dict[str, Any]], *, started: datetime | None = None
    ) -> None:
        self.connection.execute(
            """
            insert into raw_gong.transcripts (call_id, started, transcript, content_hash)
            values (%s, %s, %s, md5(%s))
            on conflict (call_id) do update
            set transcript = excluded.transcript, content_hash = excluded.content_hash
            """,
            (call_id, started, Jsonb(monologues), json.dumps(monologues)),
        )

    def rows(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        cursor = self.connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def one(self, statement: str, *values: Any) -> Any:
        (row,) = self.rows(statement, *values)
        (value,) = row.values()
        return value

    def answers(self) -> dict[tuple[str, str], dict[str, Any]]:
        rows = self.rows(
            """
            select call_results.call_id, call_results.dimension, results.answer
            from analysis.call_results as call_results
            inner join analysis.results as results
                on call_results.result_key = results.result_key
                and call_results.result_created_at = results.created_at
            """
        )
        return {(row["call_id"], row["dimension"]): row["answer"] for row in rows}


@dataclass
class Sandbox:
    url: str
    process: subprocess.Popen[str]

    def control(self, **wanted: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/_control",
            data=json.dumps(wanted).encode(),
            method="POST",
            headers={"content-type": "text/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def visits(self) -> list[dict[str, Any]]:
        """Every request in the order of arrival: when it came and went, and what the server billed for it."""
        with urllib.request.urlopen(f"{self.url}/_control/visits", timeout=10) as response:
            return json.load(response)

    def reset(self) -> None:
        self.control(
            faults=[],
            behaviour={
                "first_event_s": 0.0,
                "answer_s": 0.0,
                "output_tokens": 0,
                "obeys_injections": False,
                "flip_share": 0.0,
            },
            batches={},
            clear_batches=True,
            clear_cache=True,
            clear_statistics=True,
        )

    @property
    def requests(self) -> int:
        return self.control()["requests"].get("messages", 0)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)


def start_sandbox(*arguments: str) -> Sandbox:
    process = subprocess.Popen(
        [sys.executable, "-m", "dagster_project.analysis.sandbox", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return Sandbox(url=json.loads(process.stdout.readline())["url"], process=process)


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    running = start_sandbox()
    yield running
    running.stop()


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Sandbox:
    """One server for the session, as new for every test."""
    sandbox_process.reset()
    return sandbox_process


@pytest.fixture(scope="session")
def sandbox_with() -> Callable[..., Sandbox]:
    return start_sandbox


@pytest.fixture
def warehouse(module_database_url: str) -> Iterator[Warehouse]:
    """Emptied for every test: cloning a database for each of a hundred tests takes longer than the tests."""
    with psycopg.connect(module_database_url) as connection:
        connection.execute(RAW_TABLES)
        connection.execute(
            """
            truncate
                raw_gong.calls, raw_gong.transcripts, analysis.transcript_chunks, analysis.results,
                analysis.call_results, analysis.requests, analysis.batches, analysis.batch_items
            """
        )
    opened = Warehouse(module_database_url)
    yield opened
    opened.connection.close()


@pytest.fixture
def settings_for() -> Callable[..., AnalysisSettings]:
    def build(base_url: str, **values: Any) -> AnalysisSettings:
        return AnalysisSettings(
            **{"base_url": base_url, "api_key": "test-key", "model": "sandbox", "min_call_s": 0, **values},
            _env_file=None,
        )

    return build


@dataclass
class Analysis:
    """The two steps a week takes, as the orchestrator takes them."""

    warehouse: Warehouse
    sandbox: Sandbox
    settings: AnalysisSettings

    def chunk(self, **options: Any) -> ChunkReport:
        wanted = {"weeks": [MONDAY], **options}
        return build_chunks(database_url=self.warehouse.database_url, settings=self.settings, **wanted)

    async def score(self, *, dimensions: tuple[str, ...] = DIMENSIONS, **options: Any) -> ScoreReport:
        return await score_weeks(
            **{
                "database_url": self.warehouse.database_url,
                "settings": self.settings,
                "weeks": [MONDAY],
                "dimensions": dimensions,
                "on_progress": self.warehouse.messages.append,
                **options,
            }
        )

    def with_settings(self, **values: Any) -> "Analysis":
        return Analysis(self.warehouse, self.sandbox, self.settings.model_copy(update=values))


@pytest.fixture
def analysis(warehouse: Warehouse, sandbox: Sandbox, settings_for: Callable[..., AnalysisSettings]) -> Analysis:
    return Analysis(warehouse, sandbox, settings_for(sandbox.url))


@pytest.fixture
def monday() -> date:
    return MONDAY


@pytest.fixture
def dimensions() -> tuple[str, ...]:
    return DIMENSIONS
