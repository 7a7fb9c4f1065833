"""The services that people look at, as child processes on loopback."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dagster_project.local.processes import Child, Supervisor, free_port
from dagster_project.settings import ROOT

WATCH_EVERY_S = 0.5


@dataclass(frozen=True)
class Service:
    name: str
    url: str
    what: str


@dataclass(frozen=True)
class RunningServices:
    services: tuple[Service, ...]
    supervisor: Supervisor

    def wait(self) -> Child:
        """Block until one of the services ends by itself, and name it."""
        while True:
            ended = self.supervisor.ended()
            if ended:
                return ended
            time.sleep(WATCH_EVERY_S)


@contextmanager
def open_services(home: Path) -> Iterator[RunningServices]:
    """Dashboard, Dagster UI with its daemon, and MCP server; ended on exit."""
    python = sys.executable
    dashboard, dagster, mcp = free_port(8501), free_port(3000), free_port(8765)
    local = {"CALL_COACH_LOCAL_VIEWER": "admin"}
    with Supervisor(logs=home / "logs") as supervisor:
        children = {
            "Dashboard": supervisor.start(
                "dashboard",
                [
                    python,
                    "-m",
                    "streamlit",
                    "run",
                    str(ROOT / "streamlit_app" / "app.py"),
                    "--server.port",
                    str(dashboard),
                ],
                environment=local,
            ),
            "Dagster": supervisor.start(
                "dagster",
                [
                    *(python, "-m", "dagster", "dev", "--workspace", str(ROOT / "workspace.yaml")),
                    *("--host", "127.0.0.1", "--port", str(dagster)),
                ],
            ),
            "MCP server": supervisor.start(
                "mcp", [python, "-m", "streamlit_app.mcp_server", "--http", "--port", str(mcp)], environment=local
            ),
        }
        services = (
            Service("Dashboard", f"http://127.0.0.1:{dashboard}", "what to coach this week, down to the quoted moment"),
            Service("Dagster", f"http://127.0.0.1:{dagster}", "runs, schedules and the lineage from Gong to marts"),
            Service("MCP server", f"http://127.0.0.1:{mcp}/mcp", "for Claude Desktop and Claude Code"),
        )
        for service in services:
            supervisor.wait_until_ready(children[service.name], service.url)
        yield RunningServices(services=services, supervisor=supervisor)
