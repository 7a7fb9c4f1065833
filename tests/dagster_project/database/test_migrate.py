from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from dagster_project.database.migrate import MIGRATIONS, migrate
from dagster_project.local import postgres
from dagster_project.local.postgres import PostgresServer


def test_four_racing_migrators_apply_each_file_once(postgres_server: PostgresServer) -> None:
    url = postgres.ensure_database(postgres_server, "racing_migrators")
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: migrate(url), range(4)))
    assert sorted(len(report.applied) for report in reports) == [0, 0, 0, len(list(MIGRATIONS.glob("*.sql")))]


def test_migrating_again_changes_nothing(database_url: str) -> None:
    assert migrate(database_url).applied == ()


@pytest.mark.parametrize("role", ["call_coach_reader", "call_coach_analyst", "call_coach_receiver"])
@pytest.mark.parametrize("table", ["analysis.results", "knowledge.rubrics"])
def test_people_and_receiver_cannot_read_the_machinery(database_url: str, role: str, table: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(f"set role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"select 1 from {table}")


def test_the_receiver_may_only_append_to_its_inbox(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("set role call_coach_receiver")
        connection.execute(
            "insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256) "
            "values ('gong', 'k', 'url', 'x', 'y')"
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from ops.webhook_inbox")


def test_a_year_of_partitions_is_made_when_a_backfill_asks(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("select analysis.ensure_partitions('2025-01-15')")
        connection.execute("select analysis.ensure_partitions('2025-01-15')")
        assert connection.execute("select to_regclass('analysis.requests_2025q1')").fetchone() != (None,)
