"""What is done to the stage. Each scenario writes down what it did and what it saw; judging is the checker's part."""

import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psycopg
from stage import Stage, halve, kill_group, kill_something, phase

from dagster_project.local import postgres
from dagster_project.local.processes import Supervisor
from dagster_project.operations.backup import back_up, restore
from dagster_project.operations.erase import erase, erase_again
from dagster_project.settings import ROOT, dbt_environment

KILLS_PER_ROUND = 10


def baseline(stage: Stage, _: int) -> None:
    """An undisturbed run, and the same once more: what everything else is compared with."""
    url = stage.new_database()
    stage.claude(clear_statistics=True)
    code, seconds = stage.complete_run(url)
    stage.length_s = seconds
    if code:
        stage.history.add("baseline", "log", text=stage.last_log(url))
    stage.observe("baseline", url, code=code, seconds=seconds, served=stage.claude()["requests"].get("messages", 0))
    code, seconds = stage.complete_run(url)
    stage.observe("baseline again", url, code=code, seconds=seconds)
    stage.drop(url)


def pipeline_kills(stage: Stage, n: int) -> None:
    """SIGKILL at random moments of the whole run; every few kills a run is left alone and its marts are looked at."""
    length_s = stage.length_s
    done = 0
    while done < n:
        url = stage.new_database()
        stage.claude(clear_statistics=True)
        for _ in range(min(KILLS_PER_ROUND, n - done)):
            wait_s = stage.rng.uniform(0, length_s)
            run = stage.start_run(url)
            try:
                code = run.wait(timeout=wait_s)
                stage.history.add("pipeline kills", "ended before the kill", code=code, after_s=round(wait_s, 1))
                continue
            except subprocess.TimeoutExpired:
                during = phase(run, stage.last_log(url))
                victim = kill_something(run, stage.rng)
                done += 1
                stage.history.add("pipeline kills", "killed", victim=victim, during=during, after_s=round(wait_s, 1))
            if victim.startswith("child"):
                # the run lives on and must say what happened
                try:
                    code = run.wait(timeout=1200)
                    stage.history.add("pipeline kills", "survived a child", code=code)
                except subprocess.TimeoutExpired:
                    kill_group(run.pid)
                    stage.history.add("pipeline kills", "hung", log=stage.last_log(url))
            run.wait()
        code, seconds = stage.complete_run(url)
        length_s = 0.7 * length_s + 0.3 * seconds
        facts = {"code": code, "seconds": seconds, "served": stage.claude()["requests"].get("messages", 0)}
        if code:
            stage.history.add("pipeline kills", "first try failed", code=code, log=stage.last_log(url))
            code, seconds = stage.complete_run(url)
            facts |= {"code": code, "seconds": seconds, "second_try": True}
        stage.observe("pipeline kills", url, **facts)
        stage.drop(url)


def two_of_everything(stage: Stage, n: int) -> None:
    """Three runs of the same weeks started within two seconds, on one database."""
    for _ in range(n):
        url = stage.new_database()
        stage.claude(clear_statistics=True)
        began = time.monotonic()
        runs = []
        for _ in range(3):
            runs.append(stage.start_run(url))
            time.sleep(stage.rng.uniform(0, 1))
        codes = []
        for run in runs:
            try:
                codes.append(run.wait(timeout=1200))
            except subprocess.TimeoutExpired:
                kill_group(run.pid)
                codes.append(124)
        log = stage.last_log(url) if any(codes) else ""
        stage.observe(
            "two of everything",
            url,
            codes=codes,
            seconds=round(time.monotonic() - began, 1),
            served=stage.claude()["requests"].get("messages", 0),
            log=log,
        )
        stage.drop(url)


def postgres_faults(stage: Stage, n: int) -> None:
    """Connections cut, a backend killed, the server stopped as by a power cut: each at a random moment of a run."""
    for kind in ("connections cut", "backend killed", "server crashed")[: max(1, n)]:
        url = stage.new_database()
        name = url.rsplit("/", 1)[1]
        run = stage.start_run(url)
        for _ in range(3):
            time.sleep(stage.rng.uniform(0, 0.6 * stage.length_s))
            if run.poll() is not None:
                break
            _hurt(stage, kind, name)
            stage.history.add("postgres faults", "hurt", kind=kind)
        try:
            code = run.wait(timeout=1200)
        except subprocess.TimeoutExpired:
            kill_group(run.pid)
            run.wait()
            code = 124
        stage.history.add(
            "postgres faults", "disturbed run ended", kind=kind, code=code, log=stage.last_log(url)[-600:]
        )
        code, seconds = stage.complete_run(url)
        if code:
            stage.history.add("postgres faults", "log", text=stage.last_log(url))
        stage.observe("postgres faults", url, kind=kind, code=code, seconds=seconds)
        stage.drop(url)


def _hurt(stage: Stage, kind: str, name: str) -> None:
    if kind == "server crashed":
        pid = int((stage.server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        # SIGQUIT makes Postgres stop without writing anything more, as if the power had gone
        os.kill(pid, signal.SIGQUIT)
        time.sleep(1)
        postgres.start(stage.server.folder)
        return
    with psycopg.connect(stage.server.url(), autocommit=True) as connection:
        pids = [pid for (pid,) in connection.execute("select pid from pg_stat_activity where datname = %s", [name])]
        if kind == "connections cut":
            connection.execute("select pg_terminate_backend(pid) from unnest(%s::int[]) as pid", [pids])
    if kind == "backend killed" and pids:
        os.kill(stage.rng.choice(pids), signal.SIGKILL)


def erasures(stage: Stage, n: int) -> None:
    """A call is erased at a random moment of a run that loads and scores it; then Gong is asked again, twice."""
    calls = json.loads((stage.folder / "company" / "calls.json").read_text())
    for _ in range(n):
        url = stage.new_database()
        call_id = stage.rng.choice(calls)["metaData"]["id"]
        run = stage.start_run(url)
        time.sleep(stage.rng.uniform(0, stage.length_s))
        erased = erase(
            database_url=url, kind="call", subject_id=call_id, erased_by="fault suite", is_unknown_allowed=True
        )
        stage.history.add("erasures", "erased", call_id=call_id, rows=erased.total)
        run.wait(timeout=1200)
        erase_again(database_url=url)
        codes = [stage.complete_run(url)[0] for _ in range(2)]
        stage.history.add(
            "erasures", "searched", call_id=call_id, codes=codes, hits=_hits(url, call_id),
            others=_hits(url, next(call["metaData"]["id"] for call in calls if call["metaData"]["id"] != call_id)),
        )  # fmt: skip
        stage.drop(url)


def restores(stage: Stage, n: int) -> None:
    """Yesterday's backup comes back under today's working folder; then today's under a folder that is empty."""
    for _ in range(n):
        url = stage.new_database()
        home = stage.folder / "homes" / url.rsplit("/", 1)[1]
        # yesterday: half of the company's calls were there
        half = stage.folder / "half_company"
        halve(stage.folder / "company", half)
        with Supervisor(logs=stage.folder / "logs") as supervisor:
            gong = supervisor.start_server(
                "half_gong",
                [sys.executable, "-m", "dlt_pipelines.gong.simulator", "--data", str(half)],
                environment={"PYTHONPATH": str(ROOT)},
            )
            stage.complete_run(url, {"GONG_API_BASE_URL": gong})
        yesterday = back_up(database_url=url, path=home / "yesterday.backup")
        stage.complete_run(url)
        today = back_up(database_url=url, path=home / "today.backup")
        for kind, saved in (("yesterday's database", yesterday), ("an empty folder", today)):
            restore(database_url=url, path=saved.path, is_old_kept=False)
            if saved is today:
                shutil.rmtree(home / "dlt", ignore_errors=True)
            stage.claude(clear_statistics=True)
            code, seconds = stage.complete_run(url)
            served = stage.claude()["requests"].get("messages", 0)
            stage.observe("restores", url, kind=kind, code=code, seconds=seconds, served=served)
        stage.drop(url)


def _hits(database_url: str, text: str) -> int:
    """Lines of a full dump that hold the text."""
    parts = urlsplit(database_url)
    dumped = subprocess.run(
        [
            *(postgres.binaries() / "pg_dump", "-h", parts.hostname or "", "-p", str(parts.port)),
            *("-U", parts.username or "", parts.path[1:]),
        ],
        env={**os.environ, "PGPASSWORD": parts.password or ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return sum(text in line for line in dumped.splitlines())


def receiver_kills(stage: Stage, n: int) -> None:
    """The webhook receiver is killed under load again and again: what it acknowledged must be in the inbox, once."""
    url = stage.new_database()
    secret = b"stage-secret"
    environment = {"DATABASE_URL": url, "GONG_WEBHOOK_SECRET": secret.decode(), "PYTHONPATH": str(ROOT)}
    acked: list[str] = []
    forged_ok = 0
    sent = 0
    is_over = threading.Event()
    address: dict[str, str] = {}
    lock = threading.Lock()

    def send(number: int) -> None:
        nonlocal sent, forged_ok
        count = 0
        while not is_over.is_set():
            count += 1
            event_id = f"event-{number}-{count}"
            body = json.dumps({"callData": {"metaData": {"id": event_id}}}).encode()
            is_forged = count % 5 == 0
            signature = hmac.new(b"wrong" if is_forged else secret, body, hashlib.sha256).hexdigest()
            request = Request(
                address["url"] + "/webhooks/gong",
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "X-Gong-Signature": signature,
                    "X-Gong-Webhook-Id": event_id,
                },
            )
            try:
                with urlopen(request, timeout=5) as answer:
                    is_acked = answer.status < 300
            except HTTPError:
                is_acked = False
            except (URLError, OSError):
                is_acked = False
                time.sleep(0.05)
            with lock:
                sent += 1
                if is_acked and is_forged:
                    forged_ok += 1
                elif is_acked:
                    acked.append(event_id)

    senders = [threading.Thread(target=send, args=(number,)) for number in range(16)]
    with Supervisor(logs=stage.folder / "logs") as supervisor:
        command = [sys.executable, "-m", "dlt_pipelines.webhooks", "--port"]
        address["url"] = supervisor.start_server("receiver", [*command, "0"], environment=environment)
        port = address["url"].rsplit(":", 1)[1]
        for sender in senders:
            sender.start()
        for _ in range(n):
            time.sleep(stage.rng.uniform(0.5, 1.5))
            receiver = supervisor.children.pop()
            kill_group(receiver.process.pid)
            receiver.process.wait()
            supervisor.start_server("receiver", [*command, port], environment=environment)
        time.sleep(1)
        is_over.set()
        for sender in senders:
            sender.join()
    with psycopg.connect(url) as connection:
        stored = [key for (key,) in connection.execute("select event_key from ops.webhook_inbox")]
    kept = "\n".join(stored)
    lost = [event_id for event_id in acked if not any(event_id == key or key.endswith(event_id) for key in stored)]
    stage.history.add(
        "receiver kills", "counted", kills=n, sent=sent, acked=len(acked), stored=len(stored),
        lost=len(lost), twice=len(stored) - len(set(stored)), forged_ok=forged_ok, sample=kept[:80],
    )  # fmt: skip
    stage.drop(url)


READ = """
select
    (select count(*) from marts.fct_turns),
    (select count(*) from marts.fct_scores),
    (select count(*) from marts.fct_turns where rep_id <> %(rep)s)
    + (select count(*) from marts.fct_scores where rep_id <> %(rep)s)
    + (select count(*) from marts.dim_reps where rep_id <> %(rep)s)
"""


def rebuilds(stage: Stage, n: int) -> None:
    """Every mart is dropped and built anew while a rep and somebody without a name keep reading."""
    url = stage.new_database()
    stage.complete_run(url)
    watch_rebuilds(stage, url, n)
    stage.drop(url)


def watch_rebuilds(stage: Stage, url: str, n: int) -> None:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select rep_id from marts.fct_scores group by rep_id order by count(*) desc"
        ).fetchone()
    assert row is not None
    rep_id = row[0]
    is_over = threading.Event()
    errors: list[str] = []
    seen: dict[str, list[tuple[int, int, int]]] = {"rep": [], "nobody": []}

    def read(who: str, viewer: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("set role call_coach_reader")
            while not is_over.is_set():
                try:
                    with connection.transaction():
                        connection.execute("select set_config('call_coach.viewer', %s, true)", [viewer])
                        found = connection.execute(READ, {"rep": rep_id}).fetchone()
                    assert found is not None
                    seen[who].append(found)
                except psycopg.Error as error:
                    errors.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")

    readers = [threading.Thread(target=read, args=case) for case in (("rep", rep_id), ("rep", rep_id), ("nobody", ""))]
    for reader in readers:
        reader.start()
    environment = {**stage.environment(url), **dbt_environment(url)}
    codes = [
        subprocess.run(
            [
                *(str(Path(sys.executable).with_name("dbt")), "--quiet", "build", "--full-refresh"),
                *("--resource-type", "model", "--resource-type", "seed"),
                *("--project-dir", ROOT / "dbt", "--profiles-dir", ROOT / "dbt"),
            ],
            env=environment,
            capture_output=True,
            check=False,
        ).returncode
        for _ in range(n)
    ]
    is_over.set()
    for reader in readers:
        reader.join()
    with psycopg.connect(url) as connection:
        unprotected = [name for (name,) in connection.execute("select relation from ops.unprotected_marts()")]
    stage.history.add(
        "rebuilds",
        "counted",
        builds=n,
        codes=codes,
        reads=len(seen["rep"]) + len(seen["nobody"]),
        foreign=sum(found[2] > 0 for found in seen["rep"]),
        nameless=sum(any(found) for found in seen["nobody"]),
        empty=sum(not (found[0] and found[1]) for found in seen["rep"]),
        errors=errors[:20],
        n_errors=len(errors),
        unprotected=unprotected,
    )
