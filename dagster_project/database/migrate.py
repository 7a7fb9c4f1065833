"""Bring a database to the shape this version needs: the files of `migrations/`, in order, each once."""

import logging
from dataclasses import dataclass
from pathlib import Path

import psycopg

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
# any constant shared by all migrators of one database
LOCK_KEY = 4_217_001
OLDEST_SUPPORTED_VERSION = 150_000


class MigrationError(RuntimeError):
    """A migration could not be applied; the text names it and says what to do."""


@dataclass(frozen=True)
class MigrationReport:
    applied: tuple[str, ...]
    already_there: int


def migrate(database_url: str) -> MigrationReport:
    """Apply what is missing under an advisory lock: migrators of one database queue, and each file runs once.

    All missing files share one transaction, so a failure leaves the database as it was. Raises MigrationError.
    """
    with psycopg.connect(database_url) as connection:
        if connection.info.server_version < OLDEST_SUPPORTED_VERSION:
            raise MigrationError(
                f"Postgres {connection.info.server_version // 10_000} is too old: call-coach needs 15 or newer. "
                "Point DATABASE_URL at a newer server."
            )
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        connection.execute("create schema if not exists ops")
        connection.execute(
            "create table if not exists ops.migrations "
            "(name text primary key, applied_at timestamptz not null default now())"
        )
        done = {row[0] for row in connection.execute("select name from ops.migrations")}
        missing = [path for path in sorted(MIGRATIONS.glob("*.sql")) if path.stem not in done]
        for path in missing:
            logger.info("applying migration %s", path.stem)
            try:
                connection.execute(path.read_bytes())
            except psycopg.Error as error:
                raise MigrationError(
                    f"Migration {path.stem} failed and nothing was changed: {error}. "
                    "The database user must own the database and may need the right to create roles."
                ) from error
            connection.execute("insert into ops.migrations (name) values (%s)", (path.stem,))
        return MigrationReport(applied=tuple(path.stem for path in missing), already_there=len(done))
