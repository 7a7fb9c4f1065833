"""The embedded server's databases as they are, without making or migrating any."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from dagster_project.local import postgres
from dagster_project.settings import Settings


@contextmanager
def existing_database(settings: Settings, name: str) -> Iterator[str | None]:
    """The URL of DATABASE_URL, or of the embedded server's database `name` if it exists; started while looked at."""
    if settings.database_url:
        yield settings.database_url
        return
    folder = settings.home_folder / "postgres"
    if not (folder / "data" / "PG_VERSION").exists():
        yield None
        return
    was_running = postgres.is_running(folder)
    server = postgres.start(folder)
    try:
        yield server.url(name) if name in databases(server) else None
    finally:
        if not was_running:
            postgres.stop(folder)


def databases(server: postgres.PostgresServer) -> tuple[str, ...]:
    """The databases of the embedded server that are ours, by name."""
    with psycopg.connect(server.url()) as connection:
        rows = connection.execute(
            "select datname from pg_database where not datistemplate and datname <> 'postgres' order by datname"
        )
        return tuple(name for (name,) in rows)
