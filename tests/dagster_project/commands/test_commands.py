"""The command line: every command explains itself, and a wrong request says what a right one is."""

import contextlib
import errno
import io
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import psycopg2.errors
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from dagster_project.cli import app
from dagster_project.commands.terminal import Exit, console, storage_trouble
from dagster_project.settings import ROOT

COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
WANTED = {
    *("demo", "up", "run", "doctor", "status", "app", "mcp", "webhooks", "analyze", "review", "costs", "eval", "erase"),
    *("dead-letters", "simulate", "import", "backup", "restore", "retention", "migrate", "knowledge"),
}


Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Run a command in this process; the loggers that it turns to the terminal are turned back."""
    loggers = [logging.getLogger(name) for name in ("dagster_project", "dlt_pipelines", "knowledge")]
    before = [(logger, logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]

    def run(*arguments: str) -> tuple[int, str]:
        # the console keeps the terminal it was started on, so it is given one
        terminal = io.StringIO()
        monkeypatch.setattr(console, "file", terminal)
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.output + terminal.getvalue()

    yield run
    for logger, level, propagate, handlers in before:
        logger.setLevel(level)
        logger.propagate, logger.handlers = propagate, handlers


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CALL_COACH_HOME", str(tmp_path))
    for name in ("DATABASE_URL", "CALL_COACH_LOCAL_VIEWER"):
        monkeypatch.delenv(name, raising=False)


def test_every_command_of_the_design_is_there() -> None:
    assert set(COMMANDS) >= WANTED


@pytest.mark.parametrize("name", sorted(WANTED))
def test_every_command_explains_itself(call: Call, name: str) -> None:
    code, text = call(name, "--help")
    assert code == Exit.DONE
    assert COMMANDS[name].help
    assert "Usage" in text


def test_the_help_teaches_exit_codes_and_a_way_to_begin(call: Call) -> None:
    _, text = call("--help")
    assert "3 partial" in text
    assert text.index("Start here") < text.index("Day to day") < text.index("Services, one at a time")
    assert "Example: call-coach run --from" in call("run", "--help")[1]


def test_a_run_without_keys_names_them_before_anything_starts(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("GONG_API_KEY", "GONG_API_SECRET", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.setenv(name, "")
    code, text = call("run")
    assert code == Exit.WRONG_REQUEST
    assert "GONG_API_KEY, GONG_API_SECRET, ANTHROPIC_API_KEY" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (psycopg2.errors.DiskFull("could not extend file: No space left on device\nHINT: ..."), "No space left"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (ValueError("a fault of ours"), None),
    ],
)
def test_a_full_disk_behind_a_tools_error_is_named(cause: Exception, said: str | None) -> None:
    try:
        raise RuntimeError("what the tool made of it") from cause
    except RuntimeError as error:
        trouble = storage_trouble(error)
    assert trouble is None if said is None else trouble is not None and said in trouble


LONG_WORK = """
import logging
from dagster_project.commands.terminal import show_progress
from dagster_project.settings import Settings

show_progress(Settings())
for done in (1, 2, 3):
    logging.getLogger("dagster_project.work").info("%s of 3 calls, %s requests", done, 5 * done)
"""


def test_long_work_moves_a_bar_on_a_terminal_and_prints_lines_elsewhere() -> None:
    command = [sys.executable, "-c", LONG_WORK]
    plain = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert [line.split("  ")[-1] for line in plain.stdout.splitlines()] == [
        f"{done} of 3 calls, {5 * done} requests" for done in (1, 2, 3)
    ]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=ROOT, env={**os.environ, "TERM": "xterm"}):
        os.close(theirs)
        shown = b""
        # a terminal whose other end was closed answers with an error
        with contextlib.suppress(OSError):
            while part := os.read(ours, 65_536):
                shown += part
    os.close(ours)
    assert "━" in shown.decode()
    # the last count stays as a line
    assert shown.decode().rstrip().endswith("3 of 3 calls, 15 requests\x1b[0m")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("erase",), "--call, --rep or --account"),
        (("erase", "--call", "1", "--rep", "2"), "--call, --rep or --account"),
        (("analyze",), "--week"),
        (("analyze", "1", "--week", "2026-11-16"), "--week"),
        (("analyze", "1", "--dimension", "charm"), "discovery"),
        (("analyze", "--week", "next week"), "2026-11-16"),
        (("costs", "--by", "mood"), "dimension"),
        (("mcp",), "--viewer"),
    ],
)
def test_a_wrong_request_says_what_a_right_one_is(call: Call, arguments: tuple[str, ...], hint: str) -> None:
    code, text = call(*arguments)
    assert code == Exit.WRONG_REQUEST
    assert hint in text


@pytest.fixture
def warehouse(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    # process_environment is applied to this process: what it sets is taken back after the test
    for name in ("DATABASE_URL", "DAGSTER_HOME", "DAGSTER_PG_URL", "DLT_DATA_DIR", "CALL_COACH_DB_NAME"):
        monkeypatch.setenv(name, "")
    for name in ("HOST", "PORT", "USER", "PASSWORD", "SSLMODE", "APPLICATION"):
        monkeypatch.setenv(f"CALL_COACH_DB_{name}", "")
    monkeypatch.setenv("DATABASE_URL", database_url)
    return database_url


def test_status_of_an_empty_warehouse_says_what_to_do(call: Call, warehouse: str) -> None:
    code, text = call("status")
    assert code == Exit.DONE
    assert "call-coach demo" in text


def test_costs_before_the_first_run_fail_with_advice(call: Call, warehouse: str) -> None:
    code, text = call("costs")
    assert code == Exit.FAILED
    assert "call-coach run" in text


def test_dead_letters_are_listed_shown_and_missed(call: Call, warehouse: str) -> None:
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            "insert into ops.dead_letters (source, stream, key, payload, error) "
            "values ('gong', 'calls', 'k', '{\"title\": \"odd one\"}', 'the call has no id')"
        )
    assert "the call has no id" in call("dead-letters", "list")[1]
    assert "odd one" in call("dead-letters", "show", "1")[1]
    code, text = call("dead-letters", "show", "99")
    assert code == Exit.WRONG_REQUEST
    assert "dead-letters list" in text


def test_erasing_an_unknown_call_is_refused(call: Call, warehouse: str) -> None:
    code, text = call("erase", "--call", "1", "--yes")
    assert code == Exit.WRONG_REQUEST
    assert "--unknown" in text


def test_a_rehearsed_retention_changes_nothing(call: Call, warehouse: str) -> None:
    code, text = call("retention", "--dry-run")
    assert code == Exit.DONE
    assert "Would remove 0 calls" in text


def test_a_restore_of_no_file_fails(call: Call, warehouse: str, tmp_path: Path) -> None:
    code, text = call("restore", str(tmp_path / "none.dump"), "--yes")
    assert code == Exit.FAILED
    assert "There is no file" in text


def test_a_proposed_page_is_shown_as_a_change_and_turned_down_with_a_reason(call: Call, warehouse: str) -> None:
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            "insert into ops.knowledge_proposals (document_id, kind, title, body, reason, proposed_by) "
            "values ('product-example', 'product', 'Example', '### example-a\nIt is new.', 'release notes', 'robin')"
        )
        (proposal_id,) = connection.execute("select proposal_id from ops.knowledge_proposals").fetchone()  # type: ignore[misc]
    assert "product-example" in call("knowledge", "proposals", "list")[1]
    assert "+It is new." in call("knowledge", "proposals", "show", proposal_id[:8])[1]
    code, text = call("knowledge", "proposals", "accept", proposal_id[:8], "--yes")
    assert (code, "has no date" in text) == (Exit.WRONG_REQUEST, True)
    assert call("knowledge", "proposals", "reject", proposal_id[:8], "--reason", "Not yet public.")[0] == Exit.DONE
    assert "Not yet public." in call("knowledge", "proposals", "list", "--status", "rejected")[1]
    assert call("knowledge", "proposals", "show", "none")[0] == Exit.WRONG_REQUEST


def test_a_run_of_weeks_that_no_warehouse_has_is_refused_before_anything_starts(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GONG_API_KEY", "GONG_API_SECRET", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "planted")
    code, text = call("run", "--week", "2019-06-05")
    assert code == Exit.WRONG_REQUEST
    assert "Weeks go from 2020-01-06" in text
