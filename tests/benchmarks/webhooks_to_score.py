"""From a webhook to the score in the marts, with everything real but Gong and Claude; and the same under kill -9.

uv run python tests/benchmarks/webhooks_to_score.py --single 10 --burst 500
uv run python tests/benchmarks/webhooks_to_score.py --single 0 --burst 60 --kills 30

Starts a Postgres, a Gong simulator, a Claude sandbox, the receiver and Dagster with its daemon in a folder of its own.
`--kills` ends receiver, Dagster, a run's process and a Postgres backend in turn, at random moments while events are at
work, and starts again what a supervisor would. Prints one JSON line per measurement.
"""

import argparse
import copy
import hashlib
import hmac
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from dagster_project.database.migrate import migrate
from dagster_project.local import postgres
from dagster_project.local.processes import Supervisor
from dagster_project.pipeline import prepare_instance
from dagster_project.settings import ROOT, apply, process_environment
from dlt_pipelines.gong.simulator.company import build_company
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant

SECRET = secrets.token_hex(24)
VICTIMS = ("receiver", "dagster", "run", "postgres")
FIRST_RUN = """
from datetime import date
import sys
from pathlib import Path
from dagster_project.pipeline import run_pipeline
week = date.fromisoformat(sys.argv[1])
run = run_pipeline(weeks=[week], log=Path(sys.argv[2]))
sys.exit("\\n".join(run.failures) if not run.succeeded else 0)
"""


class Company:
    """A tenant whose calls appear one by one, all in the week before this one."""

    def __init__(self, count: int) -> None:
        source = build_company(until=datetime.now(UTC).date() - timedelta(days=1))
        spoken = [call for call in source.calls if call["metaData"]["id"] in source.transcripts]
        self.week = date.today() - timedelta(days=date.today().weekday() + 7)  # noqa: DTZ011
        self.tenant = Tenant(users=source.users)
        self._coming = [self._variant(spoken[n % len(spoken)], source, n) for n in range(count)]

    def _variant(self, call: dict[str, Any], source: Any, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A call like `call` with an id, a start and a sentence of its own, so that no cached answer fits it."""
        new_call, transcript = copy.deepcopy(call), copy.deepcopy(source.transcripts[call["metaData"]["id"]])
        call_id = str(9_000_000_000_000_000_000 + number)
        start = datetime.combine(self.week, datetime.min.time(), tzinfo=UTC) + timedelta(minutes=10 * number % 6000)
        new_call["metaData"] |= {"id": call_id, "started": start.isoformat()}
        transcript["callId"] = call_id
        transcript["transcript"][0]["sentences"][0]["text"] += f" This is conversation number {number}."
        return new_call, transcript

    def appear(self) -> str:
        """The next call shows in Gong, with its transcript; returns its id."""
        call, transcript = self._coming.pop()
        self.tenant.calls.append(call)
        self.tenant.transcripts[transcript["callId"]] = transcript
        return str(transcript["callId"])


class House:
    """The running services, and the way to kill and replace them."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.home = home
        self.database_url = database_url
        self.supervisor = Supervisor(logs=home / "logs").__enter__()
        self.start_dagster()
        self.start_receiver()

    def start_dagster(self) -> None:
        command = [sys.executable, "-m", "dagster", "dev", "--workspace", str(ROOT / "workspace.yaml")]
        self.dagster = self.supervisor.start("dagster", [*command, "--host", "127.0.0.1", "--port", "0"])

    def start_receiver(self) -> None:
        self.receiver_url = self.supervisor.start_server(
            "webhooks",
            [sys.executable, "-m", "dlt_pipelines.webhooks", "--port", "0"],
            environment={"GONG_WEBHOOK_SECRET": SECRET},
        )
        self.receiver = self.supervisor.children[-1]

    def announce(self, call_id: str, *, note: str = "") -> bool:
        """Deliver an event; True once it is acknowledged."""
        meta = {"id": call_id, "started": f"{date.today() - timedelta(days=7)}T10:00:00Z", "note": note}  # noqa: DTZ011
        body = json.dumps({"callData": {"metaData": meta}, "isTest": False}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Gong-Signature": signature, "Content-Type": "application/json"}
        try:
            answer = httpx.post(f"{self.receiver_url}/webhooks/gong", content=body, headers=headers, timeout=10)
        except httpx.HTTPError:
            return False
        return answer.status_code in (200, 202)

    def kill(self, victim: str, rng: random.Random) -> bool:
        """kill -9 of one process, and what a supervisor would do next. False where there was none to kill."""
        if victim == "receiver":
            os.kill(self.receiver.process.pid, signal.SIGKILL)
            self.receiver.process.wait()
            self.start_receiver()
        elif victim == "dagster":
            os.killpg(self.dagster.process.pid, signal.SIGKILL)
            for child in _descendants("dagster", self.home):
                child.kill()
            self.dagster.process.wait()
            self.start_dagster()
        elif victim == "run":
            if not self._wait_for_run(timeout_s=120):
                return False
            time.sleep(rng.uniform(0, 20))
            if not (runs := self._runs()):
                return False
            rng.choice(runs).kill()
        else:
            with suppress(psycopg.Error), psycopg.connect(self.database_url, autocommit=True) as connection:
                pids = [
                    row[0] for row in connection.execute("select pid from pg_stat_activity where datname is not null")
                ]
                # the server restarts after a backend's crash and rolls forward from its log
                os.kill(rng.choice(pids), signal.SIGKILL)
                return True
            return False
        return True

    def _runs(self) -> list[psutil.Process]:
        return [p for p in psutil.Process(self.dagster.process.pid).children(recursive=True) if _is_run(p)]

    def _wait_for_run(self, *, timeout_s: float) -> bool:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if self._runs():
                return True
            time.sleep(0.2)
        return False

    def stop(self) -> None:
        self.supervisor.stop()


def _is_run(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "spawn_main" in " ".join(process.cmdline())
    return False


def _descendants(what: str, home: Path) -> Iterator[psutil.Process]:
    """Processes of this benchmark's Dagster that left their group."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_ours = process.environ().get("CALL_COACH_HOME") == str(home) and process.pid != os.getpid()
            if is_ours and what in " ".join(process.cmdline()):
                yield process


@contextmanager
def surroundings(company: Company) -> Iterator[tuple[Path, str, Simulator]]:
    with tempfile.TemporaryDirectory() as folder, Supervisor(logs=Path(folder) / "logs") as supervisor:
        home = Path(folder)
        server = postgres.start(home / "postgres")
        try:
            database_url = postgres.ensure_database(server, "bench")
            migrate(database_url)
            claude = supervisor.start_server(
                "claude", [sys.executable, "-m", "dagster_project.analysis.sandbox", "--port", "0"]
            )
            simulator = Simulator(company.tenant)
            with simulator.serve() as gong:
                apply(
                    {
                        **process_environment(database_url=database_url, home=home),
                        "GONG_API_BASE_URL": gong,
                        "GONG_API_KEY": "bench",
                        "GONG_API_SECRET": "bench",
                        "ANTHROPIC_BASE_URL": claude,
                        "ANTHROPIC_API_KEY": "bench",
                        "CALL_COACH_MODEL": "sandbox",
                    }
                )
                prepare_instance(home)
                yield home, database_url, simulator
        finally:
            postgres.stop(home / "postgres")


def with_outcome(database_url: str) -> set[str]:
    """Calls that the marts hold with a score, or the reason why there is none, in all four dimensions."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select call_id from marts.fct_scores where is_current "
            "group by call_id having count(distinct dimension) = 4"
        )
        return {row[0] for row in rows}


def ask_again_now(database_url: str) -> None:
    """End the waits of failed events: runs are killed more often here than the queue asks in half an hour."""
    with suppress(psycopg.Error), psycopg.connect(database_url) as connection:
        connection.execute("update ops.webhook_inbox set next_attempt_at = now() where status = 'failed'")


def wait_for(database_url: str, call_ids: set[str], *, timeout_s: float) -> float:
    """Seconds until all have their outcome in the marts; infinite when time runs out."""
    started = time.monotonic()
    while time.monotonic() - started < timeout_s:
        with suppress(psycopg.Error):
            if call_ids <= with_outcome(database_url):
                return time.monotonic() - started
        time.sleep(0.25)
    return float("inf")


def statuses(database_url: str) -> dict[str, int]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select status || coalesce(': ' || reason, '') from ops.webhook_inbox").fetchall()
    return dict(Counter(row[0][:120] for row in rows))


def transcript_fetches(simulator: Simulator) -> Counter[str]:
    return Counter(
        call_id
        for record in simulator.log
        if record.path == "/v2/calls/transcript" and record.status == 200
        for call_id in record.body.get("filter", {}).get("callIds", [])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--single", type=int, default=10)
    parser.add_argument("--burst", type=int, default=500)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=20_261_120)
    options = parser.parse_args()
    company = Company(options.single + options.burst + 3)
    for _ in range(3):
        company.appear()
    with surroundings(company) as (home, database_url, simulator):
        subprocess.run([sys.executable, "-c", FIRST_RUN, company.week.isoformat(), str(home / "first.log")], check=True)
        house = House(home, database_url)
        try:
            time.sleep(20)
            measure(house, company, simulator, options)
        finally:
            house.stop()


def report(name: str, **values: Any) -> None:
    print(json.dumps({"measurement": name, "load_average": round(os.getloadavg()[0], 1), **values}), flush=True)


def measure(house: House, company: Company, simulator: Simulator, options: argparse.Namespace) -> None:
    waits = []
    for _ in range(options.single):
        call_id = company.appear()
        assert house.announce(call_id)
        waits.append(wait_for(house.database_url, {call_id}, timeout_s=900))
    if waits:
        waits.sort()
        p95 = waits[min(len(waits) - 1, int(0.95 * len(waits)))]
        report("single", seconds=[round(wait, 1) for wait in waits], p95=round(p95, 1))
    if not options.burst:
        return
    rng = random.Random(options.seed)
    call_ids = {company.appear() for _ in range(options.burst)}
    before = transcript_fetches(simulator)
    started = time.monotonic()
    pending = {(call_id, copy) for call_id in call_ids for copy in ("first", "second")}
    killed: Counter[str] = Counter()
    next_kill = time.monotonic() + rng.uniform(1, 10)
    n_events, n_tries = len(pending), 0
    while True:
        # a burst comes at once; under kills there must be something to lose until the last of them
        n_due = n_events if not options.kills else n_events * (1 + n_tries) // (1 + options.kills)
        due = sorted(pending)[: min(50, max(0, n_due - (n_events - len(pending))))]
        pending -= {event for event in due if house.announce(event[0], note=event[1])}
        if sum(killed.values()) < options.kills and time.monotonic() > next_kill:
            victim = rng.choice([name for name in VICTIMS if killed[name] == min(killed[name] for name in VICTIMS)])
            killed[victim] += house.kill(victim, rng)
            n_tries += 1
            next_kill = time.monotonic() + rng.uniform(1, 15)
            ask_again_now(house.database_url)
        with suppress(psycopg.Error):
            waiting = statuses(house.database_url)
            is_quiet = not any(key.startswith(("received", "processing", "failed")) for key in waiting)
            if not pending and is_quiet and sum(killed.values()) >= options.kills:
                break
        if time.monotonic() - started > 3600:
            break
        time.sleep(0.5)
    seconds = time.monotonic() - started
    fetches = transcript_fetches(simulator) - before
    with psycopg.connect(house.database_url) as connection:
        doubles = connection.execute(
            "select count(*) from (select 1 from marts.fct_scores where is_current "
            "group by call_id, rep_id, dimension having count(*) > 1) as doubled"
        ).fetchone()
    report(
        "burst",
        events=2 * len(call_ids),
        seconds=round(seconds, 1),
        killed=dict(killed),
        with_outcome=len(call_ids & with_outcome(house.database_url)),
        statuses=statuses(house.database_url),
        transcript_fetches_per_call=dict(Counter(fetches[call] for call in call_ids)),
        doubled_scores=doubles[0] if doubles else None,
    )


if __name__ == "__main__":
    main()
