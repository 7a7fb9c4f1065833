"""No secret in what we print, log or raise, and no stand-in that the network could reach."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dagster_project.local.postgres import PostgresServer
from dagster_project.local.processes import Supervisor
from dagster_project.settings import ROOT

PLANTED = {
    "GONG_API_KEY": "planted-gong-key-1",
    "GONG_API_SECRET": "planted-gong-secret-2",
    "ANTHROPIC_API_KEY": "planted-claude-key-3",
    "SLACK_WEBHOOK_URL": "https://hooks.example.com/planted-slack-4",
    "GONG_WEBHOOK_SECRET": "planted-webhook-secret-5",
    "HUBSPOT_ACCESS_TOKEN": "planted-hubspot-token-6",
}
PACKAGES = ("dagster_project", "dlt_pipelines", "knowledge", "streamlit_app")


def call_coach(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from dagster_project.cli import main; main()", *arguments],
        env={**os.environ, "CALL_COACH_HOME": str(home), "LOG_LEVEL": "DEBUG", **PLANTED, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def said(done: subprocess.CompletedProcess[str], home: Path) -> str:
    """Everything that a command printed, and every text file it left."""
    files = [
        path.read_text(errors="replace")
        for path in home.rglob("*")
        if path.is_file() and path.suffix in (".log", ".txt", ".json", ".yaml", "")
    ]
    return "\n".join([done.stdout, done.stderr, *files])


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        (("doctor",), {}),
        (("doctor",), {"DATABASE_URL": "postgresql://me:planted-db-password-7@127.0.0.1:9/x"}),
        (("status",), {"DATABASE_URL": "postgresql://me:planted-db-password-7@127.0.0.1:9/x"}),
        (("status",), {"DATABASE_URL": "mysql://me:planted-db-password-7@127.0.0.1:9/x"}),
        (("doctor",), {"GONG_LOOK_BACK_DAYS": "planted-in-the-wrong-place-8"}),
        (("run",), {"LOG_LEVEL": "planted-in-the-wrong-place-8"}),
        (("run",), {"GONG_TIMEOUT_S": "planted-in-the-wrong-place-8"}),
        (("analyze", "1"), {"CALL_COACH_CONCURRENCY": "planted-in-the-wrong-place-8"}),
    ],
)
def test_no_secret_is_printed_or_logged(tmp_path: Path, arguments: tuple[str, ...], change: dict[str, str]) -> None:
    # nothing listens there, so every connection fails and has to be explained
    dead = {"GONG_API_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    done = call_coach(*arguments, home=tmp_path, **{**dead, **change})
    assert "planted-" not in said(done, tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_run_against_dead_services_fails_without_giving_its_keys_away(tmp_path: Path, database_url: str) -> None:
    done = call_coach(
        "run",
        home=tmp_path,
        DATABASE_URL=database_url,
        GONG_API_BASE_URL="http://127.0.0.1:9",
        ANTHROPIC_BASE_URL="http://127.0.0.1:9",
        GONG_MAX_ATTEMPTS="1",
    )
    assert done.returncode in (1, 3)
    everything = said(done, tmp_path)
    password = re.search(r"://[^:]+:([^@]+)@", database_url)
    assert password
    for secret in (*PLANTED.values(), password[1]):
        assert secret not in everything


@pytest.mark.parametrize(
    "module", ["dlt_pipelines.gong.simulator", "dlt_pipelines.hubspot.simulator", "dagster_project.analysis.sandbox"]
)
def test_a_stand_in_listens_on_loopback_and_cannot_be_told_otherwise(tmp_path: Path, module: str) -> None:
    with Supervisor(logs=tmp_path) as supervisor:
        supervisor.start_server("stand_in", [sys.executable, "-m", module, "--port", "0"])
        listening = psutil.Process(supervisor.children[0].process.pid).net_connections(kind="inet")
        assert {connection.laddr.ip for connection in listening if connection.status == "LISTEN"} == {"127.0.0.1"}
    refused = subprocess.run(
        [sys.executable, "-m", module, "--port", "0", "--host", "0.0.0.0"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2


def test_the_embedded_postgres_listens_on_loopback_only_and_wants_a_password(postgres_server: PostgresServer) -> None:
    pid = int((postgres_server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    listening = psutil.Process(pid).net_connections(kind="inet")
    assert {connection.laddr.ip for connection in listening if connection.status == "LISTEN"} == {"127.0.0.1"}
    hba = (postgres_server.folder / "data" / "pg_hba.conf").read_text()
    assert "trust" not in [line.split()[-1] for line in hba.splitlines() if line.strip() and not line.startswith("#")]


def test_no_code_of_ours_binds_the_world_evaluates_text_or_opens_a_shell() -> None:
    forbidden = re.compile(r"0\.0\.0\.0|\beval\(|\bexec\(|shell=True|os\.system|pickle\.loads?\(")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if forbidden.search(line)
    ]
    assert found == []
