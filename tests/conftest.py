import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from dagster_project.database.migrate import migrate
from dagster_project.local import postgres
from dagster_project.local.postgres import PostgresServer

# a test that needs the outside world is wrong; these make the tools that phone home stay quiet
os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("FASTMCP_CHECK_FOR_UPDATES", "off")

TEMPLATE = "call_coach_template"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One real server for the whole session, with a migrated template database to clone."""
    folder = tmp_path_factory.mktemp("postgres")
    server = postgres.start(folder)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        # a test's database need not survive a power cut, and making one costs a third without waiting for the disk
        connection.execute("alter system set fsync = off")
        connection.execute("alter system set full_page_writes = off")
        connection.execute("select pg_reload_conf()")
    migrate(postgres.ensure_database(server, TEMPLATE))
    yield server
    postgres.stop(folder)


def clone(server: PostgresServer, name: str, template: str = TEMPLATE) -> str:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    return server.url(name)


def drop(server: PostgresServer, name: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def database_url(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh, migrated database of this test's own."""
    name = f"{re.sub(r'[^a-z0-9]+', '_', request.node.name.lower())[:40]}_{uuid.uuid4().hex[:8]}"
    yield clone(postgres_server, name)
    drop(postgres_server, name)


@pytest.fixture(scope="module")
def module_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh, migrated database that a module's tests share."""
    name = f"module_{uuid.uuid4().hex[:12]}"
    yield clone(postgres_server, name)
    drop(postgres_server, name)


@pytest.fixture(scope="session")
def real_meetings() -> Path:
    """Eight real meetings kept beside the repository; a machine without them skips the test."""
    folder = Path(__file__).parents[2] / "shared" / "data" / "ami_meetings"
    if not folder.is_dir():
        pytest.skip("the real meetings (../shared/data/ami_meetings) are not on this machine")
    return folder
