import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dagster_project.local.processes import ProcessFailedError, Supervisor, free_port

ANNOUNCE = 'import json, time; print(json.dumps({"url": "http://127.0.0.1:1"}), flush=True); time.sleep(600)'
WITH_GRANDCHILD = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "print(child.pid, flush=True); time.sleep(600)"
)


def test_grandchildren_end_with_the_supervisor(tmp_path: Path) -> None:
    with Supervisor(logs=tmp_path) as supervisor:
        child = supervisor.start("parent", [sys.executable, "-c", WITH_GRANDCHILD])
        while not child.log_tail().strip():
            time.sleep(0.05)
        grandchild = psutil.Process(int(child.log_tail().strip()))
    # a kill is sent at once and carried out when the kernel comes to it
    deadline = time.monotonic() + 10
    while is_alive(grandchild) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(grandchild)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_child_that_ignores_the_interrupt_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)"
    with Supervisor(logs=tmp_path, grace_s=0.3) as supervisor:
        child = supervisor.start("stubborn", [sys.executable, "-c", stubborn])
        time.sleep(0.3)
    assert child.process.poll() is not None


def test_a_server_that_dies_before_it_announces_itself_is_reported_with_its_log(tmp_path: Path) -> None:
    with Supervisor(logs=tmp_path) as supervisor, pytest.raises(ProcessFailedError, match="no such folder"):
        supervisor.start_server("broken", [sys.executable, "-c", "raise SystemExit('no such folder')"], timeout_s=10)


def test_a_server_is_used_at_the_address_it_announces(tmp_path: Path) -> None:
    with Supervisor(logs=tmp_path) as supervisor:
        assert supervisor.start_server("echo", [sys.executable, "-c", ANNOUNCE]) == "http://127.0.0.1:1"


def test_a_taken_port_is_not_offered(tmp_path: Path) -> None:
    port = free_port(0)
    holder = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    try:
        for _ in range(100):
            if free_port(port) != port:
                break
            time.sleep(0.05)
        assert free_port(port) != port
    finally:
        holder.kill()
        holder.wait()
