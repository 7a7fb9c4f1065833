"""What `call-coach doctor` says about a machine, a database, Gong and Claude."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psycopg
import pytest

from dagster_project.operations.doctor import Finding, State, examine
from dagster_project.settings import Settings

SECRET = "planted-secret-7301"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "GONG_API_KEY", "GONG_API_SECRET", "ANTHROPIC_API_KEY", "CALL_COACH_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CALL_COACH_HOME", str(tmp_path))


@contextmanager
def answering(status: int, body: object, *, skew: timedelta = timedelta()) -> Iterator[str]:
    """A server on loopback that gives the same answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("Date", format_datetime(datetime.now(UTC) + skew, usegmt=True))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def findings(topic: str, *, database_url: str | None = None, is_offline: bool = False) -> list[Finding]:
    found = examine(settings=Settings(_env_file=None), database_url=database_url, is_offline=is_offline)  # type: ignore[call-arg]
    assert SECRET not in repr(found)
    return [finding for finding in found if finding.topic == topic]


def state(topic: str, **arguments: object) -> State:
    (finding,) = findings(topic, **arguments)  # type: ignore[arg-type]
    assert finding.state is State.OK or finding.state is State.SKIPPED or finding.what_to_do
    return finding.state


def with_gong(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("GONG_API_BASE_URL", url)
    monkeypatch.setenv("GONG_API_KEY", "key")
    monkeypatch.setenv("GONG_API_SECRET", SECRET)


def test_a_bare_machine_is_well_enough_for_the_demo() -> None:
    found = examine(settings=Settings(_env_file=None), database_url=None)  # type: ignore[call-arg]
    assert not [finding for finding in found if finding.state is State.PROBLEM]
    assert {"Python", "Disk", "Ports", "Database", "Gong", "Claude", "Model"} <= {finding.topic for finding in found}


def test_a_missing_key_is_named() -> None:
    (finding,) = findings("Gong")
    assert finding.state is State.WARNING
    assert "GONG_API_KEY" in finding.what


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"users": []}, State.OK),
        (404, {"errors": ["No users found corresponding to the provided filters"]}, State.OK),
        (401, {"errors": ["Failed to authenticate"]}, State.PROBLEM),
        (401, {"errors": ["Missing permission to use 'api:users:read'"]}, State.PROBLEM),
        (429, {}, State.WARNING),
        (500, {}, State.PROBLEM),
    ],
)
def test_gongs_answer_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, status: int, body: object, expected: State
) -> None:
    with answering(status, body) as url:
        with_gong(monkeypatch, url)
        assert state("Gong") is expected


def test_a_missing_scope_is_not_called_a_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(401, {"errors": ["Missing permission to use 'api:users:read'"]}) as url:
        with_gong(monkeypatch, url)
        (finding,) = findings("Gong")
    assert "api:users:read" in finding.what_to_do


def test_a_gong_that_does_not_answer_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gong(monkeypatch, "http://127.0.0.1:9")
    assert state("Gong") is State.PROBLEM


def test_offline_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gong(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    assert state("Gong", is_offline=True) is State.SKIPPED
    assert state("Claude", is_offline=True) is State.SKIPPED


def test_a_clock_that_is_ten_minutes_off_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200, {}, skew=timedelta(minutes=10)) as url:
        with_gong(monkeypatch, url)
        assert state("Clock") is State.PROBLEM


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, State.OK), (401, State.PROBLEM), (404, State.PROBLEM), (529, State.WARNING)],
)
def test_claudes_answer_is_told_apart(monkeypatch: pytest.MonkeyPatch, status: int, expected: State) -> None:
    with answering(status, {}) as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
        assert state("Claude") is expected


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        ({"retires_at": "2027-03-01T00:00:00Z"}, "retires on 2027-03-01 according to the API"),
        ({"max_input_tokens": 200_000, "max_tokens": 128_000}, "max_input_tokens is 200,000 (here 1,000,000)"),
    ],
)
def test_what_the_api_says_of_the_model_otherwise_is_named(
    monkeypatch: pytest.MonkeyPatch, listed: object, says: str
) -> None:
    with answering(200, listed) as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
        known, told = findings("Model")
    assert (known.state, told.state) == (State.OK, State.WARNING)
    assert says in told.what


def test_an_unknown_model_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALL_COACH_MODEL", "claude-nonsense")
    assert state("Model") is State.PROBLEM


def test_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONG_LOOK_BACK_DAYS", SECRET)
    (finding,) = findings("Gong")
    assert finding.state is State.PROBLEM
    assert "GONG_LOOK_BACK_DAYS" in finding.what


def test_a_migrated_database_without_marts_is_told_to_run(database_url: str) -> None:
    assert state("Database", database_url=database_url) is State.OK
    assert state("Schema", database_url=database_url) is State.OK
    assert state("Marts", database_url=database_url) is State.WARNING


def test_a_database_of_a_newer_version_is_a_problem(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into ops.migrations (name) values ('9999_from_the_future')")
    assert state("Schema", database_url=database_url) is State.PROBLEM


def test_a_mart_that_nobody_protected_is_a_problem(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("create table marts.made_by_hand (rep_id text)")
    (finding,) = findings("Marts", database_url=database_url)
    assert finding.state is State.PROBLEM
    assert "made_by_hand" in finding.what


def test_a_database_that_does_not_answer_is_a_problem_and_its_password_stays_secret() -> None:
    assert state("Database", database_url=f"postgresql://me:{SECRET}@127.0.0.1:9/x") is State.PROBLEM
