"""What every command shares: where it prints, how it ends, and which warehouse it is about."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from enum import IntEnum

import typer
from rich.console import Console
from rich.markup import escape

from dagster_project.settings import Settings, apply, process_environment
from dlt_pipelines.logs import without_secrets, write_logs

# bound to this stream for good: while tools run, `sys.stdout` is redirected into a log file
console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 110)
errors = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 110)


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    WRONG_REQUEST = 2
    PARTIAL = 3


class Progress(logging.Handler):
    """One line per step of the work, with the seconds since the command began."""

    def __init__(self) -> None:
        super().__init__(level=logging.INFO)
        self.started = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else "dim"
        console.print(
            f"[dim]{time.monotonic() - self.started:5.0f} s[/dim]  "
            f"[{style}]{escape(without_secrets(record.getMessage()))}[/{style}]"
        )


def show_progress(settings: Settings) -> None:
    """Send the log lines of our packages to the terminal; as JSON they go to standard error, beside the results."""
    if settings.log_format == "json":
        write_logs(settings)
        return
    handler = Progress()
    for name in ("dagster_project", "dlt_pipelines", "knowledge"):
        parent = logging.getLogger(name)
        parent.setLevel(settings.log_level)
        parent.addHandler(handler)
        parent.propagate = False


def fail(message: str, code: Exit = Exit.WRONG_REQUEST) -> typer.Exit:
    """Say what went wrong; the caller raises what this returns."""
    errors.print(f"[red]{escape(message)}[/red]")
    return typer.Exit(code)


def monday(text: str | None) -> date | None:
    """The Monday of the week that holds the day `text` names."""
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise fail(f"{text!r} is not a date. Write it as 2026-11-16.") from error
    return day - timedelta(days=day.weekday())


@contextmanager
def warehouse(settings: Settings) -> Iterator[str]:
    """The migrated database of DATABASE_URL, or else of the embedded server; the environment names it."""
    from dagster_project.database.migrate import migrate

    if settings.database_url:
        migrate(settings.database_url)
        apply(process_environment(database_url=settings.database_url, home=settings.home_folder))
        yield settings.database_url
        return
    with _embedded(settings, "call_coach") as database_url:
        yield database_url


@contextmanager
def shown_warehouse(settings: Settings) -> Iterator[str]:
    """The warehouse that `up` shows: that of DATABASE_URL, else the last demo's, else the embedded one."""
    from dagster_project.local.demo import database_name, remembered_demo

    demo_before = None if settings.database_url else remembered_demo(settings.home_folder)
    if demo_before is None:
        with warehouse(settings) as database_url:
            yield database_url
        return
    with _embedded(settings, database_name(demo_before.data)) as database_url:
        yield database_url


@contextmanager
def _embedded(settings: Settings, name: str) -> Iterator[str]:
    from dagster_project.local.demo import embedded_database

    with embedded_database(settings.home_folder, name, keep_running=False) as database_url:
        apply(process_environment(database_url=database_url, home=settings.home_folder))
        yield database_url
