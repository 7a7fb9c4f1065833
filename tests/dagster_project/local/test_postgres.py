import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dagster_project.local import postgres

START = """
import sys
from pathlib import Path
from dagster_project.local import postgres
print(postgres.start(Path(sys.argv[1])).port)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "server"
    postgres.stop(tmp_path / "server")


def postmaster_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def test_four_racing_starters_share_one_server(folder: Path) -> None:
    starters = [
        subprocess.Popen([sys.executable, "-c", START, str(folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ports = {starter.communicate(timeout=90)[0].strip() for starter in starters}
    assert [starter.returncode for starter in starters] == [0, 0, 0, 0]
    assert len(ports) == 1


def test_committed_rows_survive_kill_9_of_the_server(folder: Path) -> None:
    server = postgres.start(folder)
    with psycopg.connect(server.url()) as connection:
        connection.execute("create table kept as select generate_series(1, 6000) as n")
    os.kill(postmaster_pid(folder), signal.SIGKILL)
    again = postgres.start(folder)
    assert again.port == server.port
    with psycopg.connect(again.url()) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (6000,)


def test_a_second_start_finds_the_running_server_at_once(folder: Path) -> None:
    first = postgres.start(folder)
    started = time.monotonic()
    assert postgres.start(folder) == first
    assert time.monotonic() - started < 1


def test_a_stale_port_taken_by_someone_else_is_given_up(folder: Path) -> None:
    first = postgres.start(folder)
    assert postgres.stop(folder)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", first.port))
        stranger.listen()
        second = postgres.start(folder)
        assert second.port != first.port
        with psycopg.connect(second.url()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_an_initdb_that_was_killed_half_way_is_begun_again(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "half").write_text("a")
    with psycopg.connect(postgres.start(folder).url()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_the_server_refuses_a_wrong_password_and_listens_on_loopback_only(folder: Path) -> None:
    server = postgres.start(folder)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://{postgres.SUPERUSER}:wrong@127.0.0.1:{server.port}/postgres")
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("127.0.0.1",)
    assert (folder / "password").stat().st_mode & 0o077 == 0


def test_stopping_twice_is_harmless(folder: Path) -> None:
    postgres.start(folder)
    assert postgres.stop(folder) is True
    assert postgres.stop(folder) is False
