"""The services that people look at, as child processes on loopback."""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dagster_project.local.processes import Child, Supervisor, free_port
from dagster_project.settings import ROOT
from dlt_pipelines.webhooks.settings import WebhookSettings

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
    """Dashboard, Dagster UI with its daemon, MCP server and webhook receiver; ended on exit."""
    python = sys.executable
    dashboard, dagster, mcp = free_port(8501), free_port(3000), free_port(8765)
    # everyone who reaches these loopback ports is on this machine, as its owner
    local = {"CALL_COACH_LOCAL_VIEWER": os.environ.get("CALL_COACH_LOCAL_VIEWER", "admin")}
    with Supervisor(logs=home / "logs") as supervisor:
        children = (
            supervisor.start(
                "dashboard",
                [
                    *(python, "-m", "streamlit", "run", str(ROOT / "streamlit_app" / "app.py")),
                    *("--server.port", str(dashboard)),
                ],
                environment=local,
            ),
            supervisor.start(
                "dagster",
                [
                    *(python, "-m", "dagster", "dev", "--workspace", str(ROOT / "workspace.yaml")),
                    *("--host", "127.0.0.1", "--port", str(dagster)),
                ],
            ),
            supervisor.start(
                "mcp", [python, "-m", "streamlit_app.mcp_server", "--http", "--port", str(mcp)], environment=local
            ),
        )
        webhooks = supervisor.start_server(
            "webhooks",
            [python, "-m", "dlt_pipelines.webhooks", "--port", str(free_port(8080))],
            environment=_webhook_keys(home),
        )
        services = (
            Service("Dashboard", f"http://127.0.0.1:{dashboard}", "what to coach this week, down to the quoted moment"),
            Service("Dagster", f"http://127.0.0.1:{dagster}", "runs, schedules and the lineage from Gong to marts"),
            Service("MCP server", f"http://127.0.0.1:{mcp}/mcp", "for Claude Desktop and Claude Code"),
        )
        for child, service in zip(children, services, strict=True):
            supervisor.wait_until_ready(child, service.url)
        receiver = Service("Webhooks", f"{webhooks}/webhooks/gong", "where Gong's automation rules post new calls")
        yield RunningServices(services=(*services, receiver), supervisor=supervisor)


def _webhook_keys(home: Path) -> dict[str, str]:
    """Nothing where the receiver has a key; else a secret of this machine's own, so that no event is taken unsigned.

    It stands in `<home>/webhook_secret`, to be put at the end of the address.
    """
    if WebhookSettings().has_a_scheme:
        return {}
    file = home / "webhook_secret"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24))
    return {"GONG_WEBHOOK_URL_SECRET": file.read_text().strip()}
