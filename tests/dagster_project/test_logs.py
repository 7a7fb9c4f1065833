"""What is logged: one call can be followed through every part by its ids, and nothing secret is in it."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psycopg
import pytest

from dagster_project.local.processes import Supervisor
from dagster_project.settings import ROOT
from dlt_pipelines.gong.simulator.company import build_company
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant

SECRET = "planted-webhook-secret"
# what the daemon does with the sensor's answer, without the daemon and up to the scores
WORKER = """
import dagster as dg
from dagster_project.definitions import defs
from dagster_project.defs.analysis.specs import analysis_keys
from dagster_project.defs.resources import Warehouse
import os

repository = defs().get_repository_def()
keys = [dg.AssetKey(["gong", "calls"]), dg.AssetKey(["gong", "transcripts"])]
keys += [dg.AssetKey(["analysis", "transcript_chunks"]), *analysis_keys()]
with dg.instance_for_test() as instance:
    context = dg.build_sensor_context(
        instance=instance, repository_def=repository,
        resources={"warehouse": Warehouse(database_url=os.environ["DATABASE_URL"])},
    )
    for request in repository.get_sensor_def("webhook_inbox").evaluate_tick(context).run_requests:
        job = repository.get_job("new_calls")
        done = job.execute_in_process(
            instance=instance, partition_key=request.partition_key, run_config=request.run_config, asset_selection=keys
        )
        print("run", done.run_id)
"""


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def call() -> Iterator[tuple[dict[str, Any], str]]:
    """A call of last week and the address of the Gong that has it."""
    company = build_company(until=datetime.now(UTC).date(), seed=7)
    newest = max(
        (call for call in company.calls if call["metaData"]["duration"] >= 300),
        key=lambda call: call["metaData"]["started"],
    )
    call_id = newest["metaData"]["id"]
    tenant = Tenant(users=company.users, calls=[newest], transcripts={call_id: company.transcripts[call_id]})
    with Simulator(tenant).serve() as url:
        yield newest, url


def test_one_call_is_followed_from_its_webhook_to_its_score_by_ids(
    tmp_path: Path, database_url: str, call: tuple[dict[str, Any], str]
) -> None:
    meta, gong_url = call[0]["metaData"], call[1]
    environment = {
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": database_url,
        "CALL_COACH_LOG_FORMAT": "json",
        "LOG_LEVEL": "DEBUG",
        "CALL_COACH_HOME": str(tmp_path),
        "GONG_WEBHOOK_SECRET": SECRET,
        "GONG_API_BASE_URL": gong_url,
        "GONG_API_KEY": "planted-key",
        "GONG_API_SECRET": "planted-secret",
        "ANTHROPIC_API_KEY": "planted-claude-key",
        "CALL_COACH_MODEL": "sandbox",
    }
    body = json.dumps({"callData": {"metaData": {"id": meta["id"], "started": meta["started"]}}}).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    with Supervisor(logs=tmp_path / "logs") as supervisor:
        receiver = supervisor.start_server(
            "receiver", [sys.executable, "-m", "dlt_pipelines.webhooks", "--port", "0"], environment=environment
        )
        claude = supervisor.start_server("claude", [sys.executable, "-m", "dagster_project.analysis.sandbox"])
        headers = {"X-Gong-Signature": signature, "Content-Type": "application/json", "X-Gong-Webhook-Id": "event-1"}
        urlopen(Request(f"{receiver}/webhooks/gong", data=body, headers=headers), timeout=30).close()
        worked = subprocess.run(
            [sys.executable, "-c", WORKER],
            env={**os.environ, **environment, "ANTHROPIC_BASE_URL": claude},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert worked.returncode == 0, worked.stderr[-3000:]
    received = [line for line in lines_of((tmp_path / "logs" / "receiver.log").read_text()) if "event_key" in line]
    lines = lines_of(worked.stderr)
    (delivery,) = received
    assert delivery["request_id"]
    assert [line["call_id"] for line in lines if line.get("event_key") == delivery["event_key"]] == [meta["id"]]
    (run,) = [line.split()[1] for line in worked.stdout.splitlines() if line.startswith("run ")]
    assert any(line.get("run_id") == run and meta["id"] in line["event"] for line in lines)
    asked = [line for line in lines if line.get("call_id") == meta["id"] and line["event"].startswith("asked: ")]
    assert {line["run_id"] for line in asked} == {run}
    with psycopg.connect(database_url) as connection:
        ledger = connection.execute(
            "select request_id::text, dimension from analysis.requests where call_id = %s", [meta["id"]]
        ).fetchall()
    assert {(line["request_id"], line["dimension"]) for line in asked} == set(ledger)
    scored = {line["dimension"] for line in lines if line["event"] == "scored" and line["call_id"] == meta["id"]}
    assert scored == {dimension for _, dimension in ledger}
    assert "planted-" not in worked.stdout + worked.stderr + (tmp_path / "logs" / "receiver.log").read_text()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_of_the_environment_reaches_a_line(log_format: str) -> None:
    script = """
import logging
from dlt_pipelines.logs import LogSettings, write_logs
write_logs(LogSettings())
logger = logging.getLogger("dlt_pipelines.somewhere")
logger.info("sent with %s to %s", "planted-key-1", "postgresql://me:planted-password@host/db")
try:
    raise ValueError("the second of two keys is planted-key-2, is it not")
except ValueError:
    logger.exception("it failed")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CALL_COACH_LOG_FORMAT": log_format,
            "GONG_API_KEY": "planted-key-1",
            "GONG_WEBHOOK_SECRET": "planted-key-0,planted-key-2",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert "planted" not in done.stderr
    assert done.stderr.count("***") == 3
    assert bool(lines_of(done.stderr)) is (log_format == "json")


def test_a_plain_line_shows_the_ids_of_the_work_at_hand() -> None:
    script = """
import logging
from structlog.contextvars import bound_contextvars
from dlt_pipelines.logs import LogSettings, write_logs
write_logs(LogSettings())
with bound_contextvars(run_id="r1", call_id="c1"):
    logging.getLogger("dlt_pipelines.somewhere").info("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CALL_COACH_LOG_FORMAT": "text"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.endswith(" INFO dlt_pipelines.somewhere: done call_id=c1 run_id=r1\n")
