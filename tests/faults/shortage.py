"""Too little of something: a disk that fills up, and a memory limit under a very long call."""

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import psycopg
from stage import FIRST_WEEK, LAST_DAY, Stage, kill_group

from dagster_project.database.migrate import migrate
from dagster_project.local import postgres
from dagster_project.local.processes import Supervisor
from dagster_project.settings import ROOT

DISK = "1g"
# a cluster, a database and two weeks of six calls need about a fifth of it
MEMORY_LIMIT = 768 * 1024 * 1024
CGROUP = Path("/sys/fs/cgroup/memory")
FOUR_HOURS_MS = 4 * 3600 * 1000


def disk_full(stage: Stage, n: int) -> None:
    """Database and working folder share a small disk; something else fills it at a random moment and goes again."""
    for _ in range(n):
        try:
            with _small_disk(stage.folder / "small_disk") as disk:
                _fill_and_free(stage, disk)
        except (PermissionError, subprocess.CalledProcessError) as error:
            stage.history.add("disk full", "not run", reason=f"a small disk needs root: {error}")
            return


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _fill_and_free(stage: Stage, disk: Path) -> None:
    server = postgres.start(disk / "postgres")
    url = postgres.ensure_database(server, "crowded")
    migrate(url)
    home = {"CALL_COACH_HOME": str(disk / "home"), "TMPDIR": str(disk / "tmp")}
    (disk / "tmp").mkdir()
    (disk / "home").mkdir()
    sender = Sender(url)
    try:
        with sender.at_work(stage.folder / "logs"):
            run = stage.start_run(url, home)
            time.sleep(stage.rng.uniform(0.1, 0.8) * stage.length_s)
            was_running = run.poll() is None
            filled = _fill(disk / "ballast")
            stage.history.add("disk full", "filled", megabytes=round(filled / 1e6), was_running=was_running)
            try:
                code = run.wait(timeout=600)
            except subprocess.TimeoutExpired:
                kill_group(run.pid)
                code = 124
            log = _last_log(disk / "home")
            (disk / "ballast").unlink()
            is_up = postgres.is_running(disk / "postgres")
            postgres.start(disk / "postgres")
            time.sleep(3)
        stage.history.add("disk full", "disturbed run ended", code=code, postgres_was_up=is_up, log=log[-1500:])
        codes = [stage.complete_run(url, home)[0] for _ in range(2)]
        stage.observe(
            "disk full", url, code=codes[-1], codes=codes, **sender.counted(), end=_last_log(disk / "home")[-400:]
        )
    finally:
        postgres.stop(disk / "postgres")


def _fill(path: Path) -> int:
    """Write until the disk has nothing left."""
    block = b"\0" * (1 << 20)
    written = 0
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    written += file.write(block[:size])
            except OSError:
                continue
    return written


def _last_log(home: Path) -> str:
    logs = sorted(home.glob("run_*.log"), key=lambda path: path.stat().st_mtime)
    return logs[-1].read_text(errors="replace") if logs else ""


class Sender:
    """Sends signed events to a receiver of its own and remembers which were acknowledged."""

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url
        self.secret = b"stage-secret"
        self.acked: list[str] = []
        self.refused = 0
        self.slowest_s = 0.0

    @contextmanager
    def at_work(self, logs: Path) -> Iterator[None]:
        is_over = threading.Event()
        environment = {
            "DATABASE_URL": self.database_url,
            "GONG_WEBHOOK_SECRET": self.secret.decode(),
            "PYTHONPATH": str(ROOT),
        }
        with Supervisor(logs=logs) as supervisor:
            url = supervisor.start_server(
                "receiver", [sys.executable, "-m", "dlt_pipelines.webhooks", "--port", "0"], environment=environment
            )
            thread = threading.Thread(target=self._send, args=(url, is_over))
            thread.start()
            try:
                yield
            finally:
                is_over.set()
                thread.join()

    def _send(self, url: str, is_over: threading.Event) -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            event_id = f"event-{number}"
            body = json.dumps({"callData": {"metaData": {"id": event_id}}}).encode()
            headers = {
                "Content-Type": "application/json",
                "X-Gong-Signature": hmac.new(self.secret, body, hashlib.sha256).hexdigest(),
                "X-Gong-Webhook-Id": event_id,
            }
            began = time.monotonic()
            try:
                with urlopen(Request(url + "/webhooks/gong", data=body, headers=headers), timeout=30):
                    self.acked.append(event_id)
            except (HTTPError, URLError, OSError):
                self.refused += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            time.sleep(0.1)

    def counted(self) -> dict[str, Any]:
        with psycopg.connect(self.database_url) as connection:
            stored = [key for (key,) in connection.execute("select event_key from ops.webhook_inbox")]
        # an event id ends its key, and no id ends another one because of the hyphen before its number
        ends = {key[key.rfind("event-") :] for key in stored}
        return {
            "acked": len(self.acked),
            "refused": self.refused,
            "slowest_s": round(self.slowest_s, 1),
            "lost": sum(event_id not in ends for event_id in self.acked),
            "twice": len(stored) - len(set(stored)),
        }


def memory_limit(stage: Stage, n: int) -> None:
    """A four-hour call, loaded, scored and built by a run that may use no more than the limit, dbt included."""
    del n
    folder = stage.folder / "long_company"
    seconds_of_talk = write_long_call(stage.folder / "company", folder)
    group = CGROUP / f"call_coach_faults_{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(MEMORY_LIMIT))
    except OSError as error:
        stage.history.add("memory limit", "not run", reason=f"needs the right to make a memory cgroup: {error}")
        return
    url = stage.new_database()
    arguments = ["run", "--from", FIRST_WEEK.isoformat(), "--to", LAST_DAY.isoformat()]
    try:
        with Supervisor(logs=stage.folder / "logs") as supervisor:
            gong = supervisor.start_server(
                "long_gong",
                [sys.executable, "-m", "dlt_pipelines.gong.simulator", "--data", str(folder)],
                environment={"PYTHONPATH": str(ROOT)},
            )
            # a process that puts itself into the group before it does anything; a fork would bring its parent's memory
            began = time.monotonic()
            done = subprocess.run(
                [
                    *("/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', group),
                    *(sys.executable, "-c", "from dagster_project.cli import main; main()", *arguments),
                ],
                env={**stage.environment(url), "GONG_API_BASE_URL": gong, "CALL_COACH_CHUNK_TOKENS": "80000"},
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
        with psycopg.connect(url) as connection:
            scored = connection.execute(
                "select count(*) filter (where n_dimensions_scored > 0), max(n_turns) from marts.fct_calls"
            ).fetchone()
        stage.history.add(
            "memory limit",
            "counted",
            code=done.returncode,
            seconds=round(time.monotonic() - began, 1),
            limit=MEMORY_LIMIT,
            peak=int((group / "memory.max_usage_in_bytes").read_text()),
            killed=_oom_kills(group),
            hours=round(seconds_of_talk / 3600, 1),
            scored=scored,
            log=done.stderr[-500:],
        )
    finally:
        group.rmdir()
        stage.drop(url)


def _oom_kills(group: Path) -> int:
    lines = (group / "memory.oom_control").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def write_long_call(source: Path, folder: Path) -> float:
    """The company with its first call's talk repeated until it lasts four hours; returns that call's seconds."""
    calls = json.loads((source / "calls.json").read_text())
    transcripts = json.loads((source / "transcripts.json").read_text())
    long = transcripts[0]
    once = long["transcript"]
    length_ms = once[-1]["sentences"][-1]["end"] + 1000
    times = -(-FOUR_HOURS_MS // length_ms)
    long["transcript"] = [
        {
            **part,
            "sentences": [
                {**line, "start": line["start"] + lap * length_ms, "end": line["end"] + lap * length_ms}
                for line in part["sentences"]
            ],
        }
        for lap in range(times)
        for part in once
    ]
    for call in calls:
        if call["metaData"]["id"] == long["callId"]:
            call["metaData"]["duration"] = times * length_ms // 1000
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "users.json", folder / "users.json")
    (folder / "calls.json").write_text(json.dumps(calls))
    (folder / "transcripts.json").write_text(json.dumps(transcripts))
    return times * length_ms / 1000
