"""Databases of earlier releases come to today's shape with everything in them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from dagster_project.database.migrate import MIGRATIONS, migrate
from dagster_project.local import postgres
from dagster_project.local.postgres import PostgresServer
from dagster_project.operations.backup import Restored, restore
from dagster_project.operations.doctor import State, examine
from dagster_project.settings import ROOT, Settings, process_environment

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


# a run of two calls by release b33956e, Dagster's own tables left out; as `call-coach backup` writes it
PREVIOUS_RELEASE = Path(__file__).with_name("previous_release.dump")


@pytest.fixture(scope="module")
def upgraded(postgres_server: PostgresServer) -> Iterator[tuple[str, Restored]]:
    url = postgres_server.url("a_database_of_the_previous_release")
    yield url, restore(database_url=url, path=PREVIOUS_RELEASE)
    with psycopg.connect(postgres_server.url(), autocommit=True) as server:
        server.execute("drop database a_database_of_the_previous_release with (force)")


def test_a_database_of_the_previous_release_keeps_its_rows_and_its_locks(upgraded: tuple[str, Restored]) -> None:
    url, restored = upgraded
    assert set(restored.migrations) == {path.stem for path in MIGRATIONS.glob("*.sql")} - already_in(PREVIOUS_RELEASE)
    counts = {
        "raw_gong.calls": 2,
        "raw_gong.transcripts": 2,
        "analysis.call_results": 10,
        "analysis.requests": 10,
        "marts.fct_calls": 2,
        "marts.fct_scores": 8,
    }
    with psycopg.connect(url) as connection:
        for table, n in counts.items():
            query = sql.SQL("select count(*) from {}").format(sql.Identifier(*table.split(".")))
            assert connection.execute(query).fetchone() == (n,), table
        assert connection.execute("select count(*) from ops.unprotected_marts()").fetchone() == (0,)
        connection.execute("set role call_coach_reader")
        assert connection.execute("select count(*) from marts.fct_scores").fetchone() == (0,)
    findings = examine(settings=Settings(_env_file=None), database_url=url, is_offline=True)  # type: ignore[call-arg]
    assert [finding.state for finding in findings if finding.topic == "Schema"] == [State.OK]
    assert migrate(url).applied == ()


def already_in(dump: Path) -> set[str]:
    """The migrations that the dump's database had."""
    listed = subprocess.run(
        [postgres.binaries() / "pg_restore", "--data-only", "--schema=ops", "--table=migrations", "--file=-", dump],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {line.split("\t")[0] for line in listed.splitlines() if line[:4].isdigit() and "\t" in line}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_todays_marts_build_on_a_database_of_the_previous_release(
    upgraded: tuple[str, Restored], tmp_path: Path
) -> None:
    url, _ = upgraded
    built = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("dbt")), "--quiet", "build", "--exclude-resource-type", "unit_test"),
            *("--project-dir", ROOT / "dbt", "--profiles-dir", ROOT / "dbt", "--target-path", tmp_path),
        ],
        env={**os.environ, **process_environment(database_url=url, home=tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-3000:]
    with psycopg.connect(url) as connection:
        assert connection.execute("select count(*) from marts.fct_scores where score is not null").fetchone() != (0,)
