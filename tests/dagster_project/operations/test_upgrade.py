"""A database of the first release comes to today's shape with everything in it."""

import psycopg
import pytest
from psycopg import sql

from dagster_project.database.migrate import MIGRATIONS, migrate
from dagster_project.local import postgres
from dagster_project.local.postgres import PostgresServer
from dagster_project.operations.doctor import State, examine
from dagster_project.settings import Settings

FIRST_RELEASE = ("0001_ops", "0002_knowledge", "0003_analysis", "0004_roles")
ROWS = """
insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256)
values ('gong', 'k', 'hmac', 'body', 'x');
insert into ops.moment_reviews (evidence_id, call_id, viewer_id, verdict) values ('e', '1', 'm', 'agree');
insert into ops.tombstones (subject_kind, subject_sha256, erased_by) values ('call', 'digest', 'ops');
insert into analysis.requests (dimension, requested_model, model, is_sandbox, status, cache_outcome, cost_usd)
values ('discovery', 'm', 'm', false, 'ok', 'miss', 1.25);
insert into analysis.transcript_chunks
    (call_id, chunk_index, n_chunks, first_turn_id, last_turn_id, transcript_hash, redactor_version, text,
     estimated_tokens, week_start)
values ('1', 0, 1, 1, 2, 'h', '1', '[1|00:00|REP] hello', 9, '2026-11-02');
"""


@pytest.fixture
def first_release(postgres_server: PostgresServer) -> str:
    url = postgres.ensure_database(postgres_server, "a_database_of_the_first_release")
    with psycopg.connect(url) as connection:
        connection.execute(
            "create schema ops; create table ops.migrations (name text primary key, applied_at timestamptz)"
        )
        for name in FIRST_RELEASE:
            connection.execute((MIGRATIONS / f"{name}.sql").read_bytes())
            connection.execute("insert into ops.migrations values (%s, now())", [name])
        connection.execute(ROWS)
    return url


def test_a_database_of_the_first_release_is_upgraded_with_everything_in_it(first_release: str) -> None:
    report = migrate(first_release)
    assert report.already_there == len(FIRST_RELEASE)
    assert set(report.applied) == {path.stem for path in MIGRATIONS.glob("*.sql")} - set(FIRST_RELEASE)
    with psycopg.connect(first_release) as connection:
        for table in ("ops.webhook_inbox", "ops.moment_reviews", "ops.tombstones", "analysis.transcript_chunks"):
            query = sql.SQL("select count(*) from {}").format(sql.Identifier(*table.split(".")))
            assert connection.execute(query).fetchone() == (1,)
        assert connection.execute("select sum(cost_usd)::text from analysis.requests").fetchone() == ("1.25",)
        assert connection.execute("select count(*) from ops.unprotected_marts()").fetchone() == (0,)
    findings = examine(settings=Settings(_env_file=None), database_url=first_release, is_offline=True)  # type: ignore[call-arg]
    assert [finding.state for finding in findings if finding.topic == "Schema"] == [State.OK]
    assert migrate(first_release).applied == ()
