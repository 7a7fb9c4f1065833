"""Where the faults happen: a Postgres, a Gong simulator, a Claude sandbox, and the real command run against them."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import psycopg
from psycopg import sql

from dagster_project.cli import main
from dagster_project.database.migrate import migrate
from dagster_project.definitions import defs
from dagster_project.local import postgres
from dagster_project.local.postgres import PostgresServer
from dagster_project.local.processes import Supervisor
from dagster_project.settings import ROOT
from dlt_pipelines.gong.simulator.company import build_company

# a fixed day, so that every machine and every day sees the same calls
LAST_DAY = date(2026, 11, 19)
FIRST_WEEK = LAST_DAY - timedelta(days=LAST_DAY.weekday() + 7)
# what says when or by which process a row was made, and so differs between any two runs
MADE_BY = ("loaded_at", "scored_at", "run_id", "request_id", "source_hash", "valid_from", "last_request_at")
# attempts and dollars of a run that was killed are counted honestly, so they differ; the ledger is checked by itself
MONEY_AND_HEALTH = frozenset(
    {
        *("fct_llm_requests", "mart_llm_costs", "mart_call_costs", "mart_month_costs", "mart_cache_savings"),
        *("mart_pipeline_health", "fct_webhook_events"),
    }
)


@dataclass
class History:
    """Everything that was done and seen, one JSON object per line, for the checker."""

    path: Path
    started: float = field(default_factory=time.monotonic)

    def add(self, scenario: str, event: str, **facts: Any) -> None:
        line = {"at_s": round(time.monotonic() - self.started, 2), "scenario": scenario, "event": event, **facts}
        with self.path.open("a") as file:
            file.write(json.dumps(line, default=str) + "\n")


@dataclass
class Stage:
    folder: Path
    server: PostgresServer
    gong_url: str
    claude_url: str
    rng: random.Random
    history: History
    n_calls: int
    n_databases: int = 0
    # of an undisturbed run, once one was seen: faults are spread over it
    length_s: float = 30.0
    runs: list["Run"] = field(default_factory=list)

    def new_database(self) -> str:
        """An empty, migrated database."""
        self.n_databases += 1
        name = f"round_{self.n_databases}"
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {} template migrated").format(sql.Identifier(name)))
        return self.server.url(name)

    def drop(self, database_url: str) -> None:
        name = database_url.rsplit("/", 1)[1]
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def environment(self, database_url: str) -> dict[str, str]:
        home = self.folder / "homes" / database_url.rsplit("/", 1)[1]
        temporary = home / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": database_url,
            "CALL_COACH_HOME": str(home),
            "TMPDIR": str(temporary),
            "GONG_API_BASE_URL": self.gong_url,
            "GONG_API_KEY": "stage",
            "GONG_API_SECRET": "stage",
            "GONG_REQUESTS_PER_SECOND": "100",
            "ANTHROPIC_BASE_URL": self.claude_url,
            "ANTHROPIC_API_KEY": "stage",
            "CALL_COACH_MODEL": "sandbox",
        }

    def start_run(self, database_url: str, changes: Mapping[str, str] | None = None) -> "Run":
        """`call-coach run` over the two weeks, in a process group of its own."""
        environment = {**self.environment(database_url), **(changes or {})}
        log = Path(environment["CALL_COACH_HOME"]) / f"run_{time.monotonic_ns()}.log"
        arguments = ["run", "--from", FIRST_WEEK.isoformat(), "--to", LAST_DAY.isoformat()]
        self.runs.append(start_command(arguments, environment=environment, log=log))
        return self.runs[-1]

    def complete_run(
        self, database_url: str, changes: Mapping[str, str] | None = None, *, timeout_s: float = 1200
    ) -> tuple[int, float]:
        """(exit code, seconds) of an undisturbed run; a run that hangs counts as exit code 124."""
        began = time.monotonic()
        run = self.start_run(database_url, changes)
        try:
            code = run.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            kill_group(run.pid)
            run.wait()
            code = 124
        return code, round(time.monotonic() - began, 1)

    def last_log(self, database_url: str) -> str:
        home = Path(self.environment(database_url)["CALL_COACH_HOME"])
        newest = max(home.glob("run_*.log"), key=lambda path: path.stat().st_mtime)
        return newest.read_text(errors="replace")[-2000:]

    def claude(self, **wanted: Any) -> dict[str, Any]:
        """Switch the sandbox's faults and behaviour; returns its statistics."""
        request = Request(f"{self.claude_url}/_control", data=json.dumps(wanted).encode(), method="POST")
        with urlopen(request, timeout=60) as answer:
            return dict(json.load(answer))

    def observe(self, scenario: str, database_url: str, **facts: Any) -> None:
        """Write down what stands in the marts and in the ledger now."""
        self.history.add(
            scenario,
            "observed",
            marts=marts(database_url),
            ledger=ledger(database_url),
            left=left_behind(self, database_url),
            **facts,
        )


@dataclass
class Run:
    """A forked `call-coach`: what we need of Popen."""

    pid: int
    code: int | None = None

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def wait(self, timeout: float = 600) -> int:
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("call-coach", timeout)
            time.sleep(0.02)
        return code


def start_command(arguments: Sequence[str], *, environment: Mapping[str, str], log: Path) -> Run:
    """Fork and run the command line's own entry point: loading its tools anew takes longer than all else."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return Run(pid)
    code = 70
    try:
        os.setsid()
        os.chdir(ROOT)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None
        sys.argv = ["call-coach", *arguments]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def phase(run: Run, log: str) -> str:
    """How far a run has come: "start", "load and score" or "marts"."""
    children = psutil.Process(run.pid).children(recursive=True) if run.poll() is None else []
    if any("dbt" in command(child) for child in children):
        return "marts"
    return "load and score" if "known" in log or "read" in log else "start"


def command(process: psutil.Process) -> str:
    """The first words of a process's command line; nothing of one that has ended."""
    try:
        return " ".join(process.cmdline()[:3])[-60:]
    except psutil.Error:
        return ""


def kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def kill_something(run: Run, rng: random.Random) -> str:
    """SIGKILL the whole group, the main process alone, or one of its children; says which."""
    choice = rng.choices(("group", "main process", "child"), weights=(60, 20, 20))[0]
    children = psutil.Process(run.pid).children(recursive=True) if run.poll() is None else []
    living = [(child, words) for child in children if (words := command(child).split())]
    if choice == "child" and living:
        victim, words = rng.choice(living)
        with suppress(psutil.NoSuchProcess):
            victim.kill()
        return f"child ({Path(words[0]).name})"
    if choice == "main process":
        os.kill(run.pid, signal.SIGKILL)
        return choice
    kill_group(run.pid)
    return "group"


def marts(database_url: str) -> dict[str, dict[str, Any]]:
    """Rows and digest of every mart, whatever the order of its rows, without what says who made a row and when."""
    found = {}
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "select relname from pg_class where relnamespace = 'marts'::regnamespace and relkind = 'r' order by 1"
        ).fetchall()
        for (table,) in tables:
            if table in MONEY_AND_HEALTH:
                continue
            row = connection.execute(
                sql.SQL(
                    "select count(*), md5(string_agg(line, '' order by line)) "
                    "from (select md5((to_jsonb(mart) - %s::text[])::text) as line from {} as mart) as lines"
                ).format(sql.Identifier("marts", table)),
                [list(MADE_BY)],
            ).fetchone()
            assert row is not None
            found[table] = {"rows": row[0], "digest": row[1]}
    return found


def ledger(database_url: str) -> dict[str, Any]:
    """What the ledger says was asked and paid, and how often a question was paid for twice."""
    with psycopg.connect(database_url) as connection:
        counted = connection.execute(
            "select count(*) filter (where kind <> 'cache'), "
            "count(*) filter (where kind <> 'cache' and error_kind is null), "
            "count(*) filter (where error_kind is not null), count(*) filter (where status = 'sent'), "
            "coalesce(sum(cost_usd), 0)::text from analysis.requests"
        ).fetchone()
        assert counted is not None
        twice = connection.execute(
            "select coalesce(sum(n - 1), 0)::int from (select count(*) as n from analysis.requests "
            "where kind <> 'cache' and error_kind is null group by result_key, kind having count(*) > 1) as repeated"
        ).fetchone()
        states = connection.execute(
            "select status, count(*) from analysis.call_results group by status order by status"
        ).fetchall()
    return {
        "attempts": counted[0],
        "answered": counted[1],
        "failed": counted[2],
        "open": counted[3],
        "cost_usd": counted[4],
        "paid_twice": twice[0] if twice else 0,
        "states": dict(states),
    }


def left_behind(stage: Stage, database_url: str) -> dict[str, int]:
    """Locks and temporary files that outlived their process."""
    with psycopg.connect(database_url) as connection:
        locks = connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory' "
            "and database = (select oid from pg_database where datname = current_database())"
        ).fetchone()
    home = Path(stage.environment(database_url)["CALL_COACH_HOME"])
    folders = [path for path in (home / "dlt" / "scratch").glob("*") if path.is_dir()]
    processes = [process for process in psutil.process_iter(["cmdline"]) if _belongs(process, home)]
    return {"locks": locks[0] if locks else 0, "temporary_folders": len(folders), "processes": len(processes)}


def _belongs(process: psutil.Process, home: Path) -> bool:
    try:
        is_ours = process.environ().get("CALL_COACH_HOME") == str(home) or str(home) in " ".join(process.cmdline())
        return is_ours and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def write_company(folder: Path, *, n_calls: int) -> int:
    """The company's newest calls as a folder of Gong-shaped JSON."""
    company = build_company(until=LAST_DAY, seed=7)
    first = FIRST_WEEK.isoformat()
    calls = sorted(
        (call for call in company.calls if call["metaData"]["started"] >= first),
        key=lambda call: hashlib.sha256(call["metaData"]["id"].encode()).hexdigest(),
    )[:n_calls]
    ids = [call["metaData"]["id"] for call in calls]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users.json").write_text(json.dumps(company.users))
    (folder / "calls.json").write_text(json.dumps(calls))
    (folder / "transcripts.json").write_text(
        json.dumps([company.transcripts[call_id] for call_id in ids if call_id in company.transcripts])
    )
    return len(calls)


def halve(source: Path, folder: Path) -> None:
    """The company as it was when half of its calls had been held."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "users.json", folder / "users.json")
    calls = sorted(json.loads((source / "calls.json").read_text()), key=lambda call: call["metaData"]["started"])
    calls = calls[: len(calls) // 2]
    ids = {call["metaData"]["id"] for call in calls}
    transcripts = json.loads((source / "transcripts.json").read_text())
    (folder / "calls.json").write_text(json.dumps(calls))
    (folder / "transcripts.json").write_text(json.dumps([item for item in transcripts if item["callId"] in ids]))


@contextmanager
def stage_for(folder: Path, *, seed: int, n_calls: int = 12) -> Iterator[Stage]:
    """Everything up; everything down and its data gone at the end."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    history = History(folder / "history.jsonl")
    # loaded once, before the first fork
    defs()
    n = write_company(folder / "company", n_calls=n_calls)
    server = postgres.start(folder / "postgres")
    try:
        migrate(postgres.ensure_database(server, "migrated"))
        with Supervisor(logs=folder / "logs") as supervisor:
            gong = supervisor.start_server(
                "gong",
                [sys.executable, "-m", "dlt_pipelines.gong.simulator", "--data", str(folder / "company")],
                environment={"PYTHONPATH": str(ROOT)},
            )
            claude = supervisor.start_server(
                "claude",
                [sys.executable, "-m", "dagster_project.analysis.sandbox"],
                environment={"PYTHONPATH": str(ROOT)},
            )
            history.add("stage", "started", seed=seed, calls=n)
            stage = Stage(
                folder=folder,
                server=server,
                gong_url=gong,
                claude_url=claude,
                rng=random.Random(seed),
                history=history,
                n_calls=n,
            )
            try:
                yield stage
            finally:
                for run in stage.runs:
                    if run.poll() is None:
                        kill_group(run.pid)
    finally:
        postgres.stop(folder / "postgres")
        shutil.rmtree(folder / "postgres", ignore_errors=True)
