"""The command a newcomer types, as a process of its own, from nothing to the summary."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from dagster_project.local import postgres
from dlt_pipelines.gong.simulator.company import build_company

COMMAND = str(Path(sys.executable).with_name("call-coach"))
# settings of the machine that would turn the demo into something else
FOREIGN = ("DATABASE_URL", "GONG_", "ANTHROPIC_", "CALL_COACH_", "DAGSTER_HOME", "HUBSPOT_")
MARTS = ("fct_calls", "fct_scores", "fct_criterion_scores", "fct_evidence", "mart_rep_trends", "mart_leaderboard")
DIMENSIONS = {"product_knowledge", "discovery", "objections", "engagement", "call_brief"}


@dataclass(frozen=True)
class Ended:
    code: int
    output: str

    @property
    def requests(self) -> int:
        """The number of Claude requests that the summary names."""
        found = re.search(r"(\d+) requests \(", self.output)
        assert found, self.output
        return int(found.group(1))


@dataclass(frozen=True)
class Home:
    """A state folder of its own, and what one can ask of it."""

    folder: Path

    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {**own, "CALL_COACH_HOME": str(self.folder)}

    def run(self, *arguments: str) -> Ended:
        done = subprocess.run(
            [COMMAND, *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
            check=False,
        )
        return Ended(code=done.returncode, output=done.stdout)

    def query(self, database: str, query: str) -> list[tuple[Any, ...]]:
        folder = self.folder / "postgres"
        was_running = postgres.is_running(folder)
        server = postgres.start(folder)
        try:
            with psycopg.connect(server.url(database)) as connection:
                return connection.execute(query.encode()).fetchall()
        finally:
            if not was_running:
                postgres.stop(folder)

    def marts(self, database: str) -> dict[str, int]:
        return {mart: self.query(database, f"select count(*) from marts.{mart}")[0][0] for mart in MARTS}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("home")
    yield Home(folder=folder)
    postgres.stop(folder / "postgres")


@pytest.fixture
def write_folder(tmp_path: Path) -> Callable[[str], Path]:
    """Writes three calls of the seeded company as a folder of Gong-shaped JSON."""

    def write(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        company = build_company(until=date(2026, 11, 18))
        calls = [
            call
            for call in company.calls
            if call["metaData"]["id"] in company.transcripts
            and call["metaData"]["scope"] == "External"
            and call["metaData"]["duration"] > 900
        ][:3]
        transcripts = [company.transcripts[call["metaData"]["id"]] for call in calls]
        for file, items in {"users": company.users, "calls": calls, "transcripts": transcripts}.items():
            (folder / f"{file}.json").write_text(json.dumps(items))
        return folder

    return write


def change(path: Path, edit: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def first_demo(home: Home) -> Ended:
    return home.run("demo")


def test_the_demo_ends_with_a_summary_that_a_sales_manager_understands(first_demo: Ended, home: Home) -> None:
    assert first_demo.code == 0, first_demo.output
    for promised in ("calls loaded", "(n ", "Three moments to hear", "prompt cache", "uv run call-coach up", "sandbox"):
        assert promised in first_demo.output
    assert first_demo.requests > 400
    assert home.query("demo", "select distinct model, is_sandbox from marts.fct_scores where score is not null") == [
        ("sandbox", True)
    ]


def test_a_second_demo_asks_claude_nothing_and_doubles_nothing(first_demo: Ended, home: Home) -> None:
    before = home.marts("demo")
    assert min(before.values()) > 0
    second = home.run("demo")
    assert second.code == 0, second.output
    assert second.requests == 0
    assert home.marts("demo") == before


def test_only_the_call_whose_transcript_changed_is_analysed_again(
    home: Home, write_folder: Callable[[str], Path]
) -> None:
    folder = write_folder("changing")
    assert home.run("demo", "--data", str(folder)).requests == 3 * len(DIMENSIONS)

    def say_more(transcripts: list[dict[str, Any]]) -> None:
        transcripts[0]["transcript"][-1]["sentences"].append(
            {"start": 9_000_000, "end": 9_001_000, "text": "One more."}
        )

    change(folder / "transcripts.json", say_more)
    assert home.run("demo", "--data", str(folder)).requests == len(DIMENSIONS)
    assert home.query("demo_changing", "select count(distinct call_id) from marts.fct_scores") == [(3,)]


def test_bad_input_is_named_and_the_rest_of_the_run_goes_on(home: Home, write_folder: Callable[[str], Path]) -> None:
    folder = write_folder("bad_input")

    def spoil(transcripts: list[dict[str, Any]]) -> None:
        transcripts[0]["transcript"][0]["sentences"][0]["text"] = "A NUL\x00 here."
        transcripts[1]["callId"] = "1234567890123456789"

    change(folder / "transcripts.json", spoil)
    ended = home.run("demo", "--data", str(folder))
    assert ended.code == 0, ended.output
    assert "1234567890123456789" in ended.output
    assert ended.requests == 2 * len(DIMENSIONS)
    assert home.query(
        "demo_bad_input", "select count(*), count(*) filter (where has_transcript) from marts.fct_calls"
    ) == [(3, 2)]
    assert home.query("demo_bad_input", "select count(*) from ops.dead_letters where key = '1234567890123456789'") == [
        (1,)
    ]


def test_a_folder_that_is_missing_or_malformed_is_named_with_what_to_do(home: Home, tmp_path: Path) -> None:
    missing = home.run("demo", "--data", str(tmp_path / "nowhere"))
    assert (missing.code, "nowhere" in missing.output) == (2, True)
    (tmp_path / "users.json").write_text("[]")
    (tmp_path / "calls.json").write_text("[{")
    (tmp_path / "transcripts.json").write_text("[]")
    malformed = home.run("demo", "--data", str(tmp_path))
    assert (malformed.code, "calls.json" in malformed.output) == (2, True)
    assert "Traceback" not in missing.output + malformed.output


def test_eight_real_meetings_become_scores_of_four_dimensions_and_a_brief(home: Home, real_meetings: Path) -> None:
    ended = home.run("demo", "--data", str(real_meetings))
    assert ended.code == 0, ended.output
    rows = home.query(
        "demo_ami_meetings",
        "select dimension, count(*) from analysis.call_results where status = 'scored' group by dimension",
    )
    assert dict(rows) == dict.fromkeys(DIMENSIONS, 8)
    assert home.query("demo_ami_meetings", "select count(*) from marts.fct_calls") == [(8,)]


@pytest.mark.usefixtures("first_demo")
def test_up_shows_its_services_and_ctrl_c_leaves_nothing_behind(home: Home) -> None:
    process = subprocess.Popen(
        [COMMAND, "up"],
        env=home.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    family = [psutil.Process(process.pid)]
    try:
        assert process.stdout is not None
        shown = b""
        while b"Ctrl-C" not in shown:
            line = process.stdout.readline()
            assert line, shown.decode()
            shown += line
        assert all(name in shown for name in (b"Dashboard", b"Dagster", b"MCP server", b"Webhooks"))
        family += psutil.Process(process.pid).children(recursive=True)
        assert len(family) > 4
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        end = time.monotonic() + 10
        while any(alive(member) for member in family) and time.monotonic() < end:
            time.sleep(0.2)
        assert [member.cmdline() for member in family if alive(member)] == []
        assert not postgres.is_running(home.folder / "postgres")
    finally:
        for member in family:
            if alive(member):
                member.kill()


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
