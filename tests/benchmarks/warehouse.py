"""How long the warehouse takes to build, and what one more week costs, small and large.

    python tests/benchmarks/warehouse.py                    20,000 calls / 9 million sentences / 100,000 answers
    python tests/benchmarks/warehouse.py --calls 2000       a tenth of it
    python tests/benchmarks/warehouse.py --keep FOLDER      leaves the large warehouse running: for queries.py, desk.py

Starts a Postgres of its own in a temporary folder (or uses --server URL), fills one database per size, prints figures.
The calls end with this week, so that windows and pages have something to show.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from dagster_project.database.migrate import migrate
from dagster_project.local import postgres
from knowledge.documents import load_documents
from knowledge.publish import publish
from knowledge.rubrics import load_rubrics

PROJECT = Path(__file__).parents[2] / "dbt"
ROWS = Path(__file__).with_name("warehouse_rows.sql").read_text(encoding="utf-8")
SENTENCES_PER_CALL = 450
TRANSCRIPT_TEMPLATES = 300
ANSWER_TEMPLATES = 200
WEEK = 100
RAW_TABLES = """
create schema benchmark;
create schema raw_gong;
create table raw_gong.calls (
    id text primary key, url text, title text, scheduled timestamptz, started timestamptz, duration bigint,
    primary_user_id text, direction text, system text, scope text, media text, language text, workspace_id text,
    purpose text, is_private boolean, calendar_event_id text, parties jsonb, context jsonb, content jsonb,
    interaction jsonb, collaboration jsonb, content_hash text, is_deleted boolean, loaded_at timestamptz
);
create table raw_gong.transcripts (
    call_id text primary key, started timestamptz, transcript jsonb, content_hash text, loaded_at timestamptz
);
create table raw_gong.users (
    id text, email_address text, active boolean, first_name text, last_name text, title text, manager_id text,
    _dlt_valid_from timestamptz, _dlt_valid_to timestamptz
);
create table benchmark.transcripts (template integer primary key, transcript jsonb);
create table benchmark.answers (
    template integer, dimension text, rubric_version text, answer jsonb, primary key (template, dimension)
);
insert into raw_gong.users
select
    'rep-' || n, 'rep-' || n || '@example.com', true, 'Rep', n::text,
    (array['Account Executive', 'Solutions Engineer', 'Customer Success Manager'])[1 + n % 3],
    'manager-' || n % 5, timestamptz '2020-01-01', cast(null as timestamptz)
from generate_series(0, 49) as n
union all
select 'manager-' || n, null, true, 'Manager', n::text, 'Sales manager', null, timestamptz '2020-01-01', null
from generate_series(0, 4) as n;
"""


def vocabulary() -> list[str]:
    """Words as often as the knowledge base says them: few are common, most are rare, as a search meets them."""
    examples = [
        f"{marker.yes_example} {marker.no_example}"
        for rubric in load_rubrics()
        for criterion in rubric.criteria
        for marker in criterion.markers
    ]
    texts = [document.text for document in load_documents()] + examples
    return re.findall(r"[a-z']+", " ".join(texts).lower())


def transcript(rng: random.Random, words: list[str]) -> list[dict[str, object]]:
    """One call's monologues: overlaps, listener words and questions as in real speech."""
    clock = 0
    monologues: list[dict[str, object]] = []
    for _ in range(SENTENCES_PER_CALL):
        text = "Mm-hmm." if rng.random() < 0.15 else " ".join(rng.choices(words, k=rng.randint(4, 18)))
        length = rng.randint(500, 9000)
        sentence: dict[str, object] = {
            "start": clock,
            "end": clock + length,
            "text": text + rng.choice([".", ".", "?"]),
        }
        monologues.append({"speakerId": rng.choice(["s1", "s2", "s3"]), "topic": None, "sentences": [sentence]})
        clock += max(0, length + rng.randint(-400, 900))
    return monologues


def answers(rng: random.Random) -> list[tuple[str, str, dict[str, object]]]:
    found: list[tuple[str, str, dict[str, object]]] = []
    passages = [statement.id for document in load_documents() for statement in document.statements]
    for rubric in load_rubrics():
        markers = [
            {
                "marker_id": marker.marker_id,
                "criterion_id": criterion.criterion_id,
                "verdict": rng.choice(["yes", "no", "not_applicable"]),
                "why": "because the customer said so in the middle of the call",
                "evidence": [
                    {"turn_id": rng.randint(1, 60), "quote": "the a we run", "side": "rep", "start_ms": 1000,
                     "quote_verified": True}
                ],
            }
            for criterion in rubric.criteria
            for marker in criterion.markers
        ]  # fmt: skip
        suggestions = [
            {"marker_id": markers[0]["marker_id"], "turn_id": rng.randint(1, 60), "suggestion": "Ask what it costs.",
             "already_done_turn_id": None}
        ]  # fmt: skip
        statements = [
            {"verdict": rng.choice(["correct", "correct", "inaccurate", "missed_opportunity"]), "why": "by the page",
             "turn_id": rng.randint(1, 60), "start_ms": 1000, "quote": "the a we run", "knowledge_id": knowledge_id}
            for knowledge_id in rng.sample(passages, 4)
            if rubric.dimension == "product_knowledge"
        ]  # fmt: skip
        body = {"markers": markers, "suggestions": suggestions, "statements": statements, "brief": None}
        found.append((rubric.dimension, rubric.rubric_version, body))
    brief = {
        "summary": "They want their nights back.",
        "sentiment": [
            {"side": "customer", "sentiment": rng.choice(["positive", "negative"]), "turn_ids": [1], "why": "-"}
        ],
        "objections": [
            {"objection_type": "price", "turn_id": 4, "quote": "cost", "response_turn_id": 5, "outcome": "parked"}
        ],
        "next_steps": [{"turn_id": 9, "quote": "plan", "owner": "rep", "action": "Send a plan", "due": None}],
        "flags": [{"kind": rng.choice(["risk", "opportunity"]), "turn_id": 7, "quote": "late", "why": "They said so."}],
        "priority": rng.choice(["low", "high"]),
        "priority_reason": "The deal is late.",
    }
    found.append(("call_brief", "brief", {"markers": [], "suggestions": [], "statements": [], "brief": brief}))
    return found


def prepare(url: str, monday: date) -> None:
    migrate(url)
    rng = random.Random(7)
    words = vocabulary()
    with psycopg.connect(url) as connection:
        publish(connection)
        connection.execute(RAW_TABLES)
        connection.execute("select analysis.ensure_partitions(%s)", (monday,))
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into benchmark.transcripts values (%s, %s)",
                [(n, Jsonb(transcript(rng, words))) for n in range(TRANSCRIPT_TEMPLATES)],
            )
            cursor.executemany(
                "insert into benchmark.answers values (%s, %s, %s, %s)",
                [
                    (n, dimension, version, Jsonb(body))
                    for n in range(ANSWER_TEMPLATES)
                    for dimension, version, body in answers(rng)
                ],
            )


def add_calls(url: str, monday: date, first: int, last: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():
            for statement in ROWS.split(";\n\n"):
                connection.execute(statement, {"first": first, "last": last, "monday": monday})
        connection.execute("analyze")


def build(url: str, target: Path, *arguments: str) -> float:
    parts = psycopg.conninfo.conninfo_to_dict(url)
    environment = {
        **os.environ,
        "CALL_COACH_DB_HOST": str(parts["host"]),
        "CALL_COACH_DB_PORT": str(parts["port"]),
        "CALL_COACH_DB_NAME": str(parts["dbname"]),
        "CALL_COACH_DB_USER": str(parts["user"]),
        "CALL_COACH_DB_PASSWORD": str(parts.get("password") or "none"),
        "CALL_COACH_DB_SSLMODE": "disable",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    command = [
        *(str(Path(sys.executable).with_name("dbt")), "--quiet", "build", "--exclude-resource-type", "unit_test"),
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
        *("--target-path", str(target), "--log-path", str(target), *arguments),
    ]
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True)
    return time.perf_counter() - started


def slowest_models(target: Path, count: int = 8) -> str:
    results = json.loads((target / "run_results.json").read_text())["results"]
    ranked = sorted(results, key=lambda item: -item["execution_time"])[:count]
    return ", ".join(f"{item['unique_id'].split('.')[2]} {item['execution_time']:.1f}" for item in ranked)


@dataclass(frozen=True)
class Measured:
    url: str
    calls: int
    sentences: int
    answers: int
    full_s: float
    unchanged_s: float
    week_s: float


def measure(server_url: str, calls: int, folder: Path, repeats: int) -> Measured:
    name = f"warehouse_benchmark_{calls}"
    base = psycopg.conninfo.conninfo_to_dict(server_url)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    url = f"postgresql://{base['user']}:{base.get('password') or 'none'}@{base['host']}:{base['port']}/{name}"
    started = time.perf_counter()
    # the last of the added weeks is the running one
    today = datetime.now(UTC).date()
    monday = today - timedelta(days=today.weekday(), weeks=calls // WEEK + repeats - 1)
    prepare(url, monday)
    add_calls(url, monday, 0, calls - 1)
    print(f"{calls:,} calls: rows written in {time.perf_counter() - started:.0f} s", flush=True)
    target = folder / name
    full_s = build(url, target)
    print(f"{calls:,} calls: full build {full_s:.1f} s ({slowest_models(target)})", flush=True)
    unchanged_s = min(build(url, target) for _ in range(repeats))
    print(f"{calls:,} calls: nothing new {unchanged_s:.1f} s ({slowest_models(target)})", flush=True)
    weeks = []
    for repeat in range(repeats):
        first = calls + repeat * WEEK
        add_calls(url, monday, first, first + WEEK - 1)
        weeks.append(build(url, target))
        print(f"{calls:,} calls: one more week {weeks[-1]:.1f} s ({slowest_models(target)})", flush=True)
    with psycopg.connect(url) as connection:
        [sentences, answered] = connection.execute(
            """
            select
                (select count(*) from intermediate.int_sentences_ordered),
                (select count(*) from intermediate.int_answers_counted)
            """
        ).fetchone() or (0, 0)
    return Measured(url, calls, sentences, answered, full_s, unchanged_s, min(weeks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--server", help="URL of a Postgres where databases may be made")
    parser.add_argument("--keep", type=Path, help="folder of a Postgres that is left running")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warehouse_benchmark_")))
        server_url = options.server
        if not server_url:
            cluster = options.keep or folder / "postgres"
            server_url = postgres.start(cluster).url()
            if not options.keep:
                stack.callback(postgres.stop, cluster)
        small = measure(server_url, options.small, folder, options.repeats)
        large = measure(server_url, options.calls, folder, options.repeats)
    for found in (small, large):
        print(
            f"{found.calls:,} calls, {found.sentences:,} sentences, {found.answers:,} answers: "
            f"full {found.full_s:.1f} s, nothing new {found.unchanged_s:.1f} s, one more week {found.week_s:.1f} s"
        )
    print(f"one more week costs {large.week_s / small.week_s:.2f} times as much in the large warehouse as in the small")
    if options.keep or options.server:
        print(f"kept: {large.url}")


if __name__ == "__main__":
    main()
