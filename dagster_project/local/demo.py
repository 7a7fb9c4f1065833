"""The demo: the real pipeline against servers of our own on this machine. Nothing it runs knows that it is one."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from dagster_project.database.migrate import migrate
from dagster_project.local import postgres
from dagster_project.local.processes import Supervisor
from dagster_project.settings import apply, process_environment

# the company's twelve weeks, and the call or two that a folder may hold from before them
WEEKS_OF_HISTORY = 12


@dataclass(frozen=True)
class DemoServices:
    database_url: str
    gong_url: str
    claude_url: str


def database_name(data: Path | None) -> str:
    """Each source of calls has a database of its own, so that invented and real calls never mix."""
    if data is None:
        return "demo"
    return "demo_" + re.sub(r"[^a-z0-9]+", "_", data.resolve().name.lower()).strip("_")[:40]


def company_date(home: Path) -> date:
    """The last day of the seeded company's calls: that of the first demo, so that a second changes nothing."""
    marker = home / "demo_until"
    if not marker.exists():
        home.mkdir(parents=True, exist_ok=True)
        marker.write_text(datetime.now(UTC).date().isoformat())
    return date.fromisoformat(marker.read_text().strip())


@contextmanager
def embedded_database(home: Path, name: str, *, keep_running: bool) -> Iterator[str]:
    """A migrated database of the embedded server, which is stopped again if this started it."""
    folder = home / "postgres"
    was_running = postgres.is_running(folder)
    server = postgres.start(folder)
    try:
        url = postgres.ensure_database(server, name)
        migrate(url)
        yield url
    finally:
        if not (was_running or keep_running):
            postgres.stop(folder)


@contextmanager
def demo_services(home: Path, data: Path | None) -> Iterator[DemoServices]:
    """Postgres, a Gong simulator and a Claude sandbox on free loopback ports, and the environment that names them."""
    with (
        embedded_database(home, database_name(data), keep_running=False) as database_url,
        Supervisor(logs=home / "logs") as supervisor,
    ):
        source = ["--data", str(data.resolve())] if data else ["--until", company_date(home).isoformat()]
        gong_url = supervisor.start_server(
            "gong_simulator", [sys.executable, "-m", "dlt_pipelines.gong.simulator", "--port", "0", *source]
        )
        claude_url = supervisor.start_server(
            "claude_sandbox", [sys.executable, "-m", "dagster_project.analysis.sandbox", "--port", "0"]
        )
        apply(
            {
                **process_environment(database_url=database_url, home=home),
                "GONG_API_BASE_URL": gong_url,
                "GONG_API_KEY": "demo",
                "GONG_API_SECRET": "demo",
                # Gong's limit of three protects Gong; ninety days of statistics would wait half a minute for it
                "GONG_REQUESTS_PER_SECOND": "100",
                "ANTHROPIC_BASE_URL": claude_url,
                "ANTHROPIC_API_KEY": "demo",
                "CALL_COACH_MODEL": "sandbox",
            }
        )
        yield DemoServices(database_url=database_url, gong_url=gong_url, claude_url=claude_url)


@dataclass(frozen=True)
class RememberedDemo:
    data: Path | None


def remember_demo(home: Path, data: Path | None) -> None:
    """Note which demo ran last, so that `up` shows it."""
    (home / "last_demo").write_text(str(data.resolve()) if data else "")


def remembered_demo(home: Path) -> RememberedDemo | None:
    """The demo that ran last on this machine, unless its folder has gone."""
    marker = home / "last_demo"
    if not marker.exists():
        return None
    text = marker.read_text()
    if text and not Path(text).is_dir():
        return None
    return RememberedDemo(data=Path(text) if text else None)
