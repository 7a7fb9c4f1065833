"""One more week of 100 calls, end to end, in a small warehouse and in one of 20,000: time, memory, requests, cost.

    uv run python tests/benchmarks/week.py                   1,000 and 20,000 calls, 8 million sentences; 20 minutes
    uv run python tests/benchmarks/week.py --calls 4000      a fifth of it

The history is loaded by the real loader; its oldest week is scored by the real engine, and every later call takes the
answers of the call whose words it repeats. What is measured is `call-coach run --week` of the week after it: Gong's
three requests a second, Claude's sandbox over HTTP, dbt, one process tree. Then the same again with nothing new.
"""

import argparse
import copy
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
from demo import SAMPLE_EVERY_S, children
from warehouse import build

from dagster_project.database.migrate import migrate
from dagster_project.local import postgres
from dagster_project.local.postgres import PostgresServer
from dagster_project.local.processes import Supervisor
from dagster_project.settings import ROOT, process_environment
from dlt_pipelines.gong.simulator.company import build_company
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant

CALLS_A_WEEK = 100
# the project's weeks begin with 2024
MOST_WEEKS = 145
# of Dagster's step keys; what is in none of them is start, summary and end
PHASES = {
    "load": ("company", "conversations", "crm"),
    "chunk": ("analysis__transcript_chunks",),
    "score": ("dimension_scores",),
    "build": ("marts",),
}
# calls of the oldest week, and for every later call the one whose words it repeats
PAIRS = """
create temporary table pairs as
with numbered as (
    select
        id,
        started,
        row_number() over (order by id) - 1 as n
    from raw_gong.calls
)

select
    later.id as call_id,
    later.started,
    date_trunc('week', later.started at time zone 'UTC')::date as week_start,
    oldest.id as template_id
from numbered as later
inner join numbered as oldest on oldest.n < %(week)s and later.n %% %(week)s = oldest.n
where later.n >= %(week)s
"""
COPIES = (
    """
insert into analysis.transcript_chunks (
    call_id, chunk_index, n_chunks, first_turn_id, last_turn_id, transcript_hash, redactor_version, text,
    estimated_tokens, flagged_turn_ids, rep_id, week_start, source_hash, turn_starts_ms, turn_ends_ms
)
select
    pairs.call_id, chunk_index, n_chunks, first_turn_id, last_turn_id, transcript_hash, redactor_version, text,
    estimated_tokens, flagged_turn_ids, rep_id, pairs.week_start, source_hash, turn_starts_ms, turn_ends_ms
from pairs
inner join analysis.transcript_chunks as chunks on pairs.template_id = chunks.call_id
""",
    """
insert into analysis.results (
    result_key, dimension, rubric_version, knowledge_version, prompt_version, transcript_hash, model, is_sandbox,
    answer, n_quotes, n_quotes_verified, n_quotes_repaired, n_quotes_dropped, cost_usd, created_at, expires_at,
    stand_in_origin
)
select
    md5(pairs.call_id || results.result_key), results.dimension, results.rubric_version, knowledge_version,
    prompt_version, results.transcript_hash, model, is_sandbox, answer, n_quotes, n_quotes_verified, n_quotes_repaired,
    n_quotes_dropped, cost_usd, pairs.started + interval '5 hours', pairs.started + interval '95 days', stand_in_origin
from pairs
inner join analysis.call_results as standing on pairs.template_id = standing.call_id
inner join analysis.results using (result_key)
""",
    """
insert into analysis.call_results (
    call_id, rep_id, dimension, week_start, result_key, result_created_at, rubric_version, status, updated_at,
    attempted_key, transcript_hash, attempted_status
)
select
    pairs.call_id, rep_id, dimension, pairs.week_start, md5(pairs.call_id || result_key),
    pairs.started + interval '5 hours', rubric_version, status, pairs.started + interval '5 hours',
    md5(pairs.call_id || attempted_key), transcript_hash, attempted_status
from pairs
inner join analysis.call_results as standing on pairs.template_id = standing.call_id
""",
    """
insert into analysis.requests (
    call_id, rep_id, dimension, result_key, requested_model, model, is_sandbox, kind, position, attempt, status,
    stop_reason, error_kind, error, cache_outcome, input_tokens, cache_read_tokens, cache_write_5m_tokens,
    cache_write_1h_tokens, output_tokens, thinking_tokens, cost_usd, saved_usd, latency_ms, first_event_ms, started_at
)
select
    pairs.call_id, rep_id, dimension, md5(pairs.call_id || result_key), requested_model, model, is_sandbox, kind,
    position, attempt, status, stop_reason, error_kind, error, cache_outcome, input_tokens, cache_read_tokens,
    cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, thinking_tokens, cost_usd, saved_usd, latency_ms,
    first_event_ms, pairs.started + interval '5 hours'
from pairs
inner join analysis.requests as asked on pairs.template_id = asked.call_id
""",
)
SIZE = """
select
    (select count(*) from marts.fct_calls where is_scored),
    (select sum(n) from (select count(*) as n from intermediate.int_sentences_ordered) as counted)::bigint,
    pg_database_size(current_database()) / 1e9
"""
STEPS = """
select
    step_key,
    extract(epoch from max(timestamp) filter (where dagster_event_type = 'STEP_SUCCESS')
    - min(timestamp) filter (where dagster_event_type = 'STEP_START'))::float
from dagster.event_logs
where step_key is not null and timestamp >= %s
group by step_key
"""
SPENT = """
select
    (select coalesce(sum(requests), 0)::int from raw_gong._requests),
    count(*) filter (where kind <> 'cache'),
    coalesce(sum(cost_usd), 0)::float,
    (select count(distinct call_id) from analysis.call_results where week_start = %s and status = 'scored')
from analysis.requests
where started_at >= %s
"""


def new_week() -> date:
    """Monday of the last week that is over."""
    today = datetime.now(UTC).date()
    return today - timedelta(days=today.weekday() + 7)


def monday_of(number: int, n_calls: int) -> date:
    """The week of a call: a hundred in the oldest and in the new one, the rest spread evenly between."""
    n_weeks = min(n_calls // CALLS_A_WEEK, MOST_WEEKS)
    if number < CALLS_A_WEEK:
        return new_week() - timedelta(weeks=n_weeks)
    if number >= n_calls:
        return new_week()
    return new_week() - timedelta(
        weeks=n_weeks - 1 - (number - CALLS_A_WEEK) * (n_weeks - 1) // (n_calls - CALLS_A_WEEK)
    )


def company_of(n_calls: int) -> Tenant:
    """The history and the new week after it; the history repeats the hundred talks of its oldest week.

    Talks share their sentences in memory, every one is sent in full.
    """
    company = build_company(until=new_week(), seed=7)
    spoken = [
        call
        for call in company.calls
        if call["metaData"]["id"] in company.transcripts
        and call["metaData"]["scope"] == "External"
        and not call["metaData"]["isPrivate"]
    ][:CALLS_A_WEEK]
    calls: list[dict[str, Any]] = []
    transcripts: dict[str, dict[str, Any]] = {}
    for number in range(n_calls + CALLS_A_WEEK):
        source = spoken[number % CALLS_A_WEEK]
        talk = company.transcripts[source["metaData"]["id"]]["transcript"]
        started = datetime.combine(monday_of(number, n_calls), datetime.min.time(), UTC)
        started += timedelta(minutes=30 * (number % (2 * CALLS_A_WEEK)))
        if number >= n_calls:
            # words of its own, or the answers of the history would fit
            talk = copy.deepcopy(talk)
            talk[0]["sentences"][0]["text"] += f" This is conversation number {number}."
        call_id = f"77{number:017d}"
        times = {"id": call_id, "scheduled": started.isoformat(), "started": started.isoformat()}
        calls.append({**source, "metaData": {**source["metaData"], **times}})
        transcripts[call_id] = {"callId": call_id, "transcript": talk}
    return Tenant(users=company.users, calls=calls, transcripts=transcripts)


def serve(n_calls: int) -> None:
    stop = threading.Event()
    # whoever starts this in the background may have it ignore interrupts
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    with Simulator(company_of(n_calls)).serve() as url:
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
        stop.wait()


@dataclass(frozen=True)
class Week:
    """A run of the week: seconds by phase, peak gigabytes of the command's processes and of Postgres's."""

    seconds: float
    phases: dict[str, float]
    command_gb: float
    postgres_gb: float
    gong_requests: int
    claude_requests: int
    cost_usd: float
    calls_scored: int

    def row(self, name: str) -> str:
        other = self.seconds - sum(self.phases.values())
        figures = [f"{self.phases[phase]:.1f}" for phase in PHASES]
        return (
            f"| {name} | {self.seconds:.1f} | {' | '.join(figures)} | {other:.1f} | {self.command_gb:.2f} "
            f"| {self.postgres_gb:.2f} | {self.gong_requests} | {self.claude_requests} | {self.calls_scored} "
            f"| {self.cost_usd:.2f} |"
        )


def call_coach(arguments: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("call-coach")), *arguments],
            env={**os.environ, **environment},
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def prepare(url: str, environment: dict[str, str], n_calls: int, log: Path) -> None:
    """A warehouse of `n_calls` calls, loaded, scored and built."""
    oldest = monday_of(0, n_calls)
    with psycopg.connect(url) as connection:
        connection.execute("select analysis.ensure_partitions(%s)", (oldest,))
    began = time.monotonic()
    # the limit of three a second is Gong's, and kept in what is measured
    quick = {**environment, "GONG_REQUESTS_PER_SECOND": "1000"}
    if call_coach(["run", "--week", oldest.isoformat()], quick, log).wait():
        sys.exit(f"the oldest week could not be run:\n{log.read_text()[-2000:]}")
    print(f"{n_calls:,} calls: oldest week run in {time.monotonic() - began:.0f} s", flush=True)
    began = time.monotonic()
    loader = [sys.executable, "-m", "dlt_pipelines.gong", "--mode", "backfill", "--streams", "calls", "transcripts"]
    window = ["--from", oldest.isoformat(), "--to", new_week().isoformat()]
    subprocess.run([*loader, *window], env={**os.environ, **quick}, cwd=ROOT, check=True, capture_output=True)
    print(f"{n_calls:,} calls: loaded in {time.monotonic() - began:.0f} s", flush=True)
    began = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():
            connection.execute(PAIRS, {"week": CALLS_A_WEEK})
            for statement in COPIES:
                connection.execute(statement)
        connection.execute("analyze")
    print(f"{n_calls:,} calls: answers copied in {time.monotonic() - began:.0f} s", flush=True)
    # where runs have theirs, so that the run finds dbt's parse as any but the very first does
    seconds = build(url, Path(environment["CALL_COACH_HOME"]) / "dbt", "--full-refresh")
    with psycopg.connect(url) as connection:
        calls, sentences, gigabytes = connection.execute(SIZE).fetchone() or (0, 0, 0)
    print(
        f"{n_calls:,} calls: built in {seconds:.0f} s; {calls:,} scored calls, {sentences:,} sentences, "
        f"{gigabytes:.1f} GB",
        flush=True,
    )


def pss_gb(roots: list[psutil.Process]) -> float:
    """Proportional memory of the processes and all they started, so that shared pages count once."""
    total = 0
    for process in [process for root in roots for process in (root, *children(root))]:
        try:
            memory = process.memory_full_info()
        except psutil.Error:
            continue
        total += getattr(memory, "pss", memory.rss)
    return total / 1e9


def run_week(url: str, environment: dict[str, str], server: PostgresServer, log: Path) -> Week:
    pid = int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    database = psutil.Process(pid)
    with psycopg.connect(url) as connection:
        row = connection.execute("select sum(requests)::int from raw_gong._requests").fetchone()
    asked_before = row[0] if row else 0
    started, began = datetime.now(UTC), time.monotonic()
    process = call_coach(["run", "--week", new_week().isoformat()], environment, log)
    command, command_gb, postgres_gb = psutil.Process(process.pid), 0.0, 0.0
    while process.poll() is None:
        command_gb = max(command_gb, pss_gb([command]))
        postgres_gb = max(postgres_gb, pss_gb([database]))
        time.sleep(SAMPLE_EVERY_S)
    seconds = time.monotonic() - began
    if process.returncode:
        sys.exit(f"the week ended with exit code {process.returncode}:\n{log.read_text()[-2000:]}")
    with psycopg.connect(url) as connection:
        steps = dict(connection.execute(STEPS, [started.replace(tzinfo=None)]).fetchall())
        asked, claude, cost, scored = connection.execute(SPENT, [new_week(), started]).fetchone() or (0, 0, 0.0, 0)
    return Week(
        seconds=seconds,
        phases={phase: sum(steps.get(key) or 0.0 for key in keys) for phase, keys in PHASES.items()},
        command_gb=command_gb,
        postgres_gb=postgres_gb,
        gong_requests=asked - asked_before,
        claude_requests=claude,
        cost_usd=cost,
        calls_scored=scored,
    )


def measure(n_calls: int, server: PostgresServer, folder: Path) -> list[str]:
    """Rows of the table for a warehouse of this size."""
    url = postgres.ensure_database(server, f"week_{n_calls}")
    migrate(url)
    home = folder / f"home_{n_calls}"
    home.mkdir()
    with Supervisor(logs=folder / f"logs_{n_calls}") as supervisor:
        stand_ins = {
            "GONG_API_BASE_URL": supervisor.start_server(
                "gong", [sys.executable, __file__, "serve", "--calls", str(n_calls)]
            ),
            "ANTHROPIC_BASE_URL": supervisor.start_server(
                "claude", [sys.executable, "-m", "dagster_project.analysis.sandbox"]
            ),
        }
        environment = {
            **process_environment(database_url=url, home=home),
            **stand_ins,
            "GONG_API_KEY": "benchmark",
            "GONG_API_SECRET": "benchmark",
            "ANTHROPIC_API_KEY": "benchmark",
            "CALL_COACH_MODEL": "sandbox",
        }
        log = folder / f"run_{n_calls}.log"
        prepare(url, environment, n_calls, log)
        names = (f"{n_calls:,} calls", f"{n_calls:,} calls, nothing new")
        rows = [run_week(url, environment, server, log).row(name) for name in names]
    print("\n".join(rows), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", choices=("run", "serve"), default="run", help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--small", type=int, default=1_000)
    options = parser.parse_args()
    if options.task == "serve":
        serve(options.calls)
        return
    with tempfile.TemporaryDirectory(prefix="week_benchmark_") as name:
        folder = Path(name)
        server = postgres.start(folder / "postgres")
        try:
            rows = [row for size in (options.small, options.calls) for row in measure(size, server, folder)]
        finally:
            postgres.stop(folder / "postgres")
    print(f"\nload average {os.getloadavg()[0]:.1f}\n")
    print(
        f"| a week of {CALLS_A_WEEK} calls in a warehouse of | seconds | {' | '.join(PHASES)} | start and end "
        "| command, GB | Postgres, GB | requests to Gong | to Claude | calls scored | $ |"
    )
    print(f"|---|{'---|' * (len(PHASES) + 8)}")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
