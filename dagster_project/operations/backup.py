"""Copy the warehouse into one file and bring it back, with the client tools that belong to the server binaries.

A restore builds a new database beside the old one and swaps the names at the end: until then nothing has changed, and
afterwards the old one is still there. What was erased since the backup is erased again before the swap.
"""

import logging
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from dagster_project.database.migrate import migrate
from dagster_project.database.tls import without_tls
from dagster_project.local import postgres
from dagster_project.operations.erase import erase_again
from dagster_project.settings import libpq_environment

logger = logging.getLogger(__name__)

# pg_restore of version 17 and newer sets it on every server, older ones do not know it
UNKNOWN_BEFORE_17 = 'unrecognized configuration parameter "transaction_timeout"'
ROLES = ("call_coach_receiver", "call_coach_reader", "call_coach_analyst")


class BackupError(RuntimeError):
    """A backup could not be made or brought back; the text is the tool's own."""


@dataclass(frozen=True)
class Backup:
    path: Path
    bytes: int


@dataclass(frozen=True)
class Restored:
    """`kept` is the name the database had before the restore now goes by; None when there was none."""

    database: str
    kept: str | None
    migrations: tuple[str, ...]
    erased_again: int


def back_up(*, database_url: str, path: Path) -> Backup:
    """Write a compressed copy; an unfinished one never has the final name. Raises BackupError."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    # transcripts and scores of people: for the owner's eyes only
    unfinished.touch(mode=0o600)
    try:
        _tool("pg_dump", database_url, ["--format=custom", "--no-owner", f"--file={unfinished}"])
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return Backup(path=path, bytes=path.stat().st_size)


def default_path(home: Path, database_url: str, *, now: datetime | None = None) -> Path:
    """Where a backup goes when nobody says where."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    return home / "backups" / f"{_database_of(database_url)}_{stamp}.dump"


def restore(*, database_url: str, path: Path, is_old_kept: bool = True) -> Restored:
    """Bring a backup back under the name that `database_url` has; the database of that name may be kept beside it.

    Raises BackupError when the file is none, or when services still use the database.
    """
    if not path.is_file():
        raise BackupError(f"There is no file {path}.")
    name = _database_of(database_url)
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    new_name, kept_name = f"{name}_restoring_{stamp}", f"{name}_before_{stamp}"
    new_url = _with_database(database_url, new_name)
    try:
        tombstones = _tombstones_of(database_url)
    except psycopg.OperationalError:
        tombstones = None
    with psycopg.connect(_with_database(database_url, "postgres"), autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(sql.Identifier(new_name)))
        try:
            _ensure_roles(server)
            _tool("pg_restore", new_url, ["--no-owner", f"--dbname={new_name}", str(path)])
            migrated = migrate(new_url)
            _remember(new_url, tombstones or [])
            with psycopg.connect(new_url) as connection:
                connection.execute("select ops.withdraw_public_rights(), ops.let_search_use_its_index()")
            erased = erase_again(database_url=new_url)
            _swap(server, name=name, new_name=new_name, kept_name=kept_name, is_there=tombstones is not None)
        except BaseException:
            server.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(new_name)))
            raise
        if not is_old_kept:
            server.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(kept_name)))
    return Restored(
        database=name,
        kept=kept_name if tombstones is not None and is_old_kept else None,
        migrations=migrated.applied,
        erased_again=len(erased),
    )


def _ensure_roles(server: psycopg.Connection) -> None:
    """Roles belong to the server, not to the dump; a fresh server has none of ours."""
    for role in ROLES:
        try:
            server.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            logger.debug("role %s is there already", role)


def _swap(server: psycopg.Connection, *, name: str, new_name: str, kept_name: str, is_there: bool) -> None:
    rename = sql.SQL("alter database {} rename to {}")
    try:
        with server.transaction():
            if is_there:
                server.execute(rename.format(sql.Identifier(name), sql.Identifier(kept_name)))
            server.execute(rename.format(sql.Identifier(new_name), sql.Identifier(name)))
    except psycopg.errors.ObjectInUse as error:
        raise BackupError(
            f"Somebody still uses database {name}. End `call-coach up` and whatever else is connected, "
            "then restore again."
        ) from error


def _tombstones_of(database_url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select to_regclass('ops.tombstones')").fetchone()
        if not row or row[0] is None:
            return []
        return connection.execute(
            "select subject_kind, subject_sha256, erased_at, erased_by, counts from ops.tombstones"
        ).fetchall()


def _remember(database_url: str, tombstones: Sequence[tuple[object, ...]]) -> None:
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.tombstones (subject_kind, subject_sha256, erased_at, erased_by, counts) "
            "values (%s, %s, %s, %s, %s) on conflict do nothing",
            [(*row[:4], Jsonb(row[4])) for row in tombstones],
        )


def _tool(name: str, database_url: str, arguments: Sequence[str]) -> None:
    """Run a Postgres client program; the password goes through the environment, where `ps` does not show it."""
    try:
        with without_tls(database_url) as url:
            done = subprocess.run(
                [postgres.binaries() / name, *arguments],
                env={**os.environ, **_tool_environment(url)},
                capture_output=True,
                text=True,
                check=False,
            )
    except psycopg.OperationalError as error:
        raise BackupError(f"{name} cannot reach the database: {str(error).strip()}") from error
    errors = [line for line in done.stderr.splitlines() if f"{name}: error:" in line]
    if done.returncode != 0 and not (errors and all(UNKNOWN_BEFORE_17 in line for line in errors)):
        raise BackupError(f"{name} failed: {done.stderr.strip()[-1500:]}")


def _tool_environment(database_url: str) -> dict[str, str]:
    parts = urlsplit(database_url)
    return {
        "PGHOST": parts.hostname or "127.0.0.1",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": _database_of(database_url),
        "PGSSLMODE": "disable",
        **libpq_environment(database_url),
    }


def _database_of(database_url: str) -> str:
    return urlsplit(database_url).path.lstrip("/")


def _with_database(database_url: str, name: str) -> str:
    return urlunsplit(urlsplit(database_url)._replace(path=f"/{name}"))
