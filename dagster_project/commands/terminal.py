"""What every command shares: where it prints, how it ends, and which warehouse it is about."""

import errno
import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from enum import IntEnum

import typer
from pydantic import SecretStr
from rich import progress
from rich.console import Console
from rich.markup import escape

from dagster_project.settings import Settings, apply, process_environment
from dlt_pipelines.logs import without_secrets, write_logs

# bound to this stream for good: while tools run, `sys.stdout` is redirected into a log file
console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 110)
errors = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 110)

# "3 of 8 calls"
COUNTED = re.compile(r"\b(\d[\d,]*) of (\d[\d,]*) ")


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    WRONG_REQUEST = 2
    PARTIAL = 3


class Progress(logging.Handler):
    """One line per step of the work, with the seconds since the command began.

    On a terminal what counts, "3 of 8 calls", moves a bar instead and stays as a line when it is through.
    """

    def __init__(self) -> None:
        super().__init__(level=logging.INFO)
        self.started = time.monotonic()
        self.bar: progress.Progress | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text = without_secrets(record.getMessage())
        counted = COUNTED.search(text) if console.is_terminal else None
        if counted is not None:
            done, total = (int(number.replace(",", "")) for number in counted.groups())
            self._move(text, done, total)
            if done < total:
                return
        self._put_bar_away()
        style = "yellow" if record.levelno >= logging.WARNING else "dim"
        console.print(f"[dim]{time.monotonic() - self.started:5.0f} s[/dim]  [{style}]{escape(text)}[/{style}]")

    def _move(self, text: str, done: int, total: int) -> None:
        if self.bar is None:
            columns = (progress.BarColumn(), progress.TimeRemainingColumn(), progress.TextColumn("{task.description}"))
            # the tools' own output goes to a log file and must not be caught
            self.bar = progress.Progress(
                *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self.bar.add_task("")
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], description=escape(text), completed=done, total=total)

    def _put_bar_away(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def close(self) -> None:
        """At the end of the process, whatever ended it: the terminal gets its cursor back."""
        self._put_bar_away()
        super().close()


def check_settings(*, needs_keys: bool = False) -> None:
    """Read the settings of every part, so that a wrong or missing one is named before anything is started.

    Raises:
        pydantic.ValidationError: for a value that does not fit; the command line names the variable.
    """
    from dagster_project.analysis.settings import OFFICIAL_URL, AnalysisSettings
    from dagster_project.reviews.settings import ReviewSettings
    from dlt_pipelines.gong.settings import GongSettings
    from dlt_pipelines.hubspot.settings import HubSpotSettings

    gong, analysis = GongSettings(), AnalysisSettings()
    HubSpotSettings()
    ReviewSettings()
    keys = {"GONG_API_KEY": gong.api_key, "GONG_API_SECRET": gong.api_secret}
    if analysis.origin == OFFICIAL_URL:
        keys["ANTHROPIC_API_KEY"] = analysis.api_key or SecretStr("")
    missing = [name for name, key in keys.items() if not key.get_secret_value()]
    if needs_keys and missing:
        raise fail(
            f"Not set: {', '.join(missing)}. Put them into .env (see .env.example); `call-coach doctor` says where "
            "to get them, and `call-coach demo` needs none."
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


def storage_trouble(error: BaseException) -> str | None:
    """What a tool's own error says about the database or the disk behind it; None when it is about something else."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"The disk is full: {seen}"
        # of psycopg and, from Dagster's storage, psycopg2
        if type(seen).__module__.startswith("psycopg"):
            return f"The database could not go on: {str(seen).strip().splitlines()[0]}"
        seen = seen.__cause__ or seen.__context__
    return None


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
