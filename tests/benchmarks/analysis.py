"""The analysis engine against its numbers: dollars a call, the schedule, CPU, memory, and a week that is finished.

    uv run python tests/benchmarks/analysis.py [cost] [schedule] [scale] [--latency S]

Everything runs against the sandbox with Claude's prices: tokens are estimates at 2.5 characters each, dollars follow
from them and from knowledge/models.yaml. Calls are made of random words and differ from each other.
"""

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.types.json import Jsonb

from dagster_project.analysis.batch_collection import collect_batches
from dagster_project.analysis.batch_submission import submit_weeks
from dagster_project.analysis.engine import score_weeks
from dagster_project.analysis.knowledge_base import load_knowledge_base
from dagster_project.analysis.prompts import system_text
from dagster_project.analysis.report import ScoreReport
from dagster_project.analysis.settings import AnalysisSettings
from dagster_project.analysis.store import build_chunks
from dagster_project.analysis.tokens import claude_tokens
from dagster_project.database.migrate import migrate
from dagster_project.local import postgres

WEEK = date(2026, 11, 2)
NOUNS = "load queue worker schedule budget Monday report table team really maybe pilot price night error retry"
WORDS = NOUNS.split()
DIMENSIONS = ("product_knowledge", "discovery", "objections", "engagement", "call_brief")
LIVE_LIMIT_USD, BATCH_LIMIT_USD, FOLLOWER_LIMIT = 0.20, 0.09, 0.98
SCHEDULE_LIMIT, CPU_LIMIT_MS, RERUN_LIMIT_S = 1.1, 15.0, 5.0
REFERENCE_TOKENS, REFERENCE_OUTPUT = 30_000, 1_500

RAW = """
    create schema if not exists raw_gong;
    create table if not exists raw_gong.calls (
        id text primary key, started timestamptz, duration bigint, primary_user_id text, scope text, language text,
        is_private boolean, parties jsonb, content_hash text, is_deleted boolean
    );
    create table if not exists raw_gong.transcripts (call_id text primary key, transcript jsonb, content_hash text);
    truncate raw_gong.calls, raw_gong.transcripts, analysis.transcript_chunks, analysis.results,
        analysis.call_results, analysis.requests, analysis.batches, analysis.batch_items;
"""


class Bench:
    """A warehouse and a sandbox of the benchmark's own."""

    def __init__(self, database_url: str, sandbox_url: str) -> None:
        self.database_url = database_url
        self.sandbox_url = sandbox_url
        self.settings = AnalysisSettings(
            base_url=sandbox_url, api_key="benchmark", model="claude-sonnet-5-5", min_call_s=0, _env_file=None
        )

    def control(self, **wanted: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.sandbox_url}/_control", data=json.dumps(wanted).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))

    def fill(self, n_calls: int, *, n_characters: int) -> None:
        rng = random.Random(5)
        parties = [
            {"speakerId": "r", "userId": "rep", "affiliation": "Internal"},
            {"speakerId": "c", "affiliation": "External"},
        ]
        with psycopg.connect(self.database_url) as connection:
            connection.execute(RAW)
            for number in range(n_calls):
                monologues = list(self._talk(rng, n_characters))
                started = datetime(WEEK.year, WEEK.month, WEEK.day, tzinfo=UTC) + timedelta(minutes=number)
                connection.execute(
                    "insert into raw_gong.calls values (%s, %s, 1800, 'rep', 'External', 'eng', false, %s, 'h', false)",
                    (f"call-{number:05d}", started, Jsonb(parties)),
                )
                connection.execute(
                    "insert into raw_gong.transcripts values (%s, %s, %s)",
                    (f"call-{number:05d}", Jsonb(monologues), str(number)),
                )
        build_chunks(database_url=self.database_url, weeks=[WEEK], settings=self.settings)

    def _talk(self, rng: random.Random, n_characters: int) -> Iterator[dict[str, Any]]:
        size = turn = 0
        while size < n_characters:
            text = " ".join(rng.choices(WORDS, k=24)).capitalize() + "."
            size += len(text) + len("[123|12:34|CUSTOMER_1] \n")
            yield {
                "speakerId": "rc"[turn % 2],
                "sentences": [{"start": turn * 9000, "end": turn * 9000 + 8000, "text": text}],
            }
            turn += 1

    def score(self) -> ScoreReport:
        return asyncio.run(
            score_weeks(
                database_url=self.database_url,
                settings=self.settings,
                weeks=[WEEK],
                dimensions=DIMENSIONS,
                on_progress=lambda _: None,
            )
        )


def judge(name: str, value: float, limit: float, unit: str, *, is_at_least: bool = False) -> bool:
    is_met = value >= limit if is_at_least else value <= limit
    relation = "at least" if is_at_least else "at most"
    print(f"{'ok  ' if is_met else 'MISS'} {name}: {value:.4g} {unit} ({relation} {limit:g})")
    return is_met


def measure_cost(bench: Bench) -> bool:
    n_calls = 20
    bench.fill(n_calls, n_characters=int(REFERENCE_TOKENS * 2.5))
    bench.control(behaviour={"output_tokens": REFERENCE_OUTPUT}, clear_cache=True)
    static = claude_tokens(len(system_text(load_knowledge_base())))
    print(f"    static {static} tokens, transcript {REFERENCE_TOKENS}, {REFERENCE_OUTPUT} out for each of 5 requests")
    report = bench.score()
    followers = sum(part.followers for part in report.dimensions.values())
    read = sum(part.followers_that_read for part in report.dimensions.values())
    is_met = [
        judge("live, a reference call with its brief", float(report.cost_usd) / n_calls, LIVE_LIMIT_USD, "USD"),
        judge("followers that read the leader's prefix", read / followers, FOLLOWER_LIMIT, "", is_at_least=True),
    ]
    with psycopg.connect(bench.database_url) as connection:
        connection.execute("truncate analysis.results, analysis.call_results, analysis.requests")
    bench.control(behaviour={"output_tokens": REFERENCE_OUTPUT * len(DIMENSIONS)}, clear_cache=True)
    cost = asyncio.run(in_batch(bench))
    is_met.append(judge("as a batch", cost / n_calls, BATCH_LIMIT_USD, "USD"))
    bench.control(behaviour={"output_tokens": 0})
    return all(is_met)


async def in_batch(bench: Bench) -> float:
    common = {"database_url": bench.database_url, "settings": bench.settings, "on_progress": lambda _: None}
    await submit_weeks(**common, weeks=[WEEK], dimensions=DIMENSIONS)
    while True:
        report = await collect_batches(**common)
        if report.batches_ended:
            return float(report.cost_usd)
        await asyncio.sleep(0.2)


def measure_schedule(bench: Bench, latency_s: float) -> bool:
    n_calls, slots = 200, bench.settings.concurrency
    bench.fill(n_calls, n_characters=4_000)
    # nothing comes before the whole latency: the worst case for those who wait for a first event
    bench.control(behaviour={"first_event_s": latency_s}, clear_cache=True)
    ideal_s = -(-n_calls * len(DIMENSIONS) // slots) * latency_s
    cpu_before = cpu_s()
    report = bench.score()
    used_ms = (cpu_s() - cpu_before) * 1000
    bench.control(behaviour={"first_event_s": 0.0})
    print(f"    {report.requests} requests in {report.duration_s:.1f} s, ideal {ideal_s:.1f} s")
    return all(
        [
            judge("time against the ideal schedule", report.duration_s / ideal_s, SCHEDULE_LIMIT, "x"),
            judge("engine CPU a request", used_ms / report.requests, CPU_LIMIT_MS, "ms"),
        ]
    )


def measure_scale(bench: Bench) -> bool:
    """Memory of few calls against memory of many, and a finished week."""
    process = psutil.Process()
    grown = []
    for n_calls in (200, 1_000):
        bench.fill(n_calls, n_characters=25_000)
        before = process.memory_info().rss
        cpu_before = cpu_s()
        report = bench.score()
        used_ms = (cpu_s() - cpu_before) * 1000 / report.requests
        grown.append((process.memory_info().rss - before) / 1e6)
        print(f"    {n_calls} calls: {report.duration_s:.1f} s, {used_ms:.1f} ms CPU a request, {grown[-1]:+.0f} MB")
    started = time.monotonic()
    again = bench.score()
    return all(
        [
            judge("memory of 1,000 calls beyond that of 200", grown[1] - grown[0], 50.0, "MB"),
            judge("a finished week of 1,000 calls", time.monotonic() - started, RERUN_LIMIT_S, "s"),
            judge("requests of a finished week", again.requests, 0, ""),
        ]
    )


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def opened() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = postgres.start(folder)
        sandbox = subprocess.Popen(
            [sys.executable, "-m", "dagster_project.analysis.sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        try:
            database_url = postgres.ensure_database(server, "benchmark")
            migrate(database_url)
            assert sandbox.stdout is not None
            yield Bench(database_url, json.loads(sandbox.stdout.readline())["url"])
        finally:
            sandbox.terminate()
            sandbox.wait(timeout=10)
            postgres.stop(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["cost", "schedule", "scale", []], default=[])
    parser.add_argument("--latency", type=float, default=10.0, help="seconds the sandbox takes in the schedule")
    options = parser.parse_args()
    wanted = options.parts or ["cost", "schedule", "scale"]
    with opened() as bench:
        outcomes = []
        if "cost" in wanted:
            outcomes.append(measure_cost(bench))
        if "schedule" in wanted:
            outcomes.append(measure_schedule(bench, options.latency))
        if "scale" in wanted:
            outcomes.append(measure_scale(bench))
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
