"""Backups of the embedded server: made, brought back, upgraded, and true to what was erased."""

import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dagster_project.local import postgres
from dagster_project.local.postgres import PostgresServer
from dagster_project.operations.backup import BackupError, back_up, restore
from dagster_project.operations.erase import erase


@pytest.fixture
def filled(database_url: str, postgres_server: PostgresServer) -> Iterator[str]:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "create schema raw_gong;"
            "create table raw_gong.calls"
            " (id text, title text, started timestamptz, primary_user_id text, parties jsonb, context jsonb);"
            "insert into raw_gong.calls values ('1', 'First call of many', now(), 'u1', '[]', null),"
            " ('2', 'Second call of many', now(), 'u1', '[]', null);"
            "create table marts.fct_calls (call_id text, rep_id text);"
            "insert into marts.fct_calls select id, primary_user_id from raw_gong.calls;"
            "create table marts.dim_reps (rep_id text, manager_path text[]);"
            "insert into marts.dim_reps values ('u1', '{}');"
            "select ops.protect_mart('marts.fct_calls');"
        )
    yield database_url
    name = database_url.rsplit("/", 1)[1]
    with psycopg.connect(postgres_server.url(), autocommit=True) as server:
        for (kept,) in server.execute(
            "select datname from pg_database where datname like %s", [f"{name}_before%"]
        ).fetchall():
            server.execute(f'drop database "{kept}" with (force)'.encode())


def calls(database_url: str) -> list[str]:
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute("select id from raw_gong.calls order by id")]


def test_a_backup_comes_back_as_it_was(filled: str, tmp_path: Path) -> None:
    backup = back_up(database_url=filled, path=tmp_path / "a.dump")
    with psycopg.connect(filled) as connection:
        connection.execute("delete from raw_gong.calls; delete from ops.migrations where name = '0004_roles'")
    restored = restore(database_url=filled, path=backup.path)
    assert calls(filled) == ["1", "2"]
    assert restored.migrations == ()
    assert restored.kept is not None
    assert calls(filled.rsplit("/", 1)[0] + f"/{restored.kept}") == []


def test_a_backup_is_for_its_owners_eyes_and_whole_or_not_there(filled: str, tmp_path: Path) -> None:
    backup = back_up(database_url=filled, path=tmp_path / "deep" / "a.dump")
    assert stat.S_IMODE(backup.path.stat().st_mode) == 0o600
    assert backup.bytes == backup.path.stat().st_size > 1_000
    with pytest.raises(BackupError, match="pg_dump cannot reach the database"):
        back_up(database_url=filled.rsplit("/", 1)[0] + "/no_such_database", path=tmp_path / "b.dump")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.dump"]


def test_a_restored_mart_keeps_its_second_lock(filled: str, tmp_path: Path) -> None:
    restore(database_url=filled, path=back_up(database_url=filled, path=tmp_path / "a.dump").path)
    with psycopg.connect(filled) as connection:
        connection.execute("set role call_coach_reader")
        assert connection.execute("select count(*) from marts.fct_calls").fetchone() == (0,)
        connection.execute("select set_config('call_coach.viewer', 'u1', true)")
        assert connection.execute("select count(*) from marts.fct_calls").fetchone() == (2,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("create temp table scratch (a int)")


def test_what_was_erased_after_the_backup_does_not_come_back(filled: str, tmp_path: Path) -> None:
    backup = back_up(database_url=filled, path=tmp_path / "a.dump")
    erase(database_url=filled, kind="call", subject_id="1", erased_by="ops")
    restored = restore(database_url=filled, path=backup.path)
    assert restored.erased_again == 1
    assert calls(filled) == ["2"]


def test_an_older_backup_is_brought_to_todays_shape(filled: str, tmp_path: Path) -> None:
    with psycopg.connect(filled) as connection:
        connection.execute(
            "delete from ops.migrations where name = '0502_public_rights'; drop function ops.withdraw_public_rights()"
        )
    restored = restore(database_url=filled, path=back_up(database_url=filled, path=tmp_path / "a.dump").path)
    assert restored.migrations == ("0502_public_rights",)
    assert calls(filled) == ["1", "2"]


def test_a_broken_file_changes_nothing(filled: str, tmp_path: Path, postgres_server: PostgresServer) -> None:
    broken = tmp_path / "broken.dump"
    backup = back_up(database_url=filled, path=tmp_path / "a.dump")
    broken.write_bytes(backup.path.read_bytes()[: backup.bytes // 2])
    for path in (broken, tmp_path / "missing.dump"):
        with pytest.raises(BackupError):
            restore(database_url=filled, path=path)
    assert calls(filled) == ["1", "2"]
    with psycopg.connect(postgres_server.url()) as server:
        assert server.execute("select count(*) from pg_database where datname like '%_restoring_%'").fetchone() == (0,)


def test_a_database_in_use_is_not_swapped_away(filled: str, tmp_path: Path) -> None:
    backup = back_up(database_url=filled, path=tmp_path / "a.dump")
    with psycopg.connect(filled) as somebody:
        somebody.execute("select 1")
        with pytest.raises(BackupError, match="Somebody still uses"):
            restore(database_url=filled, path=backup.path)
    assert calls(filled) == ["1", "2"]


def test_a_backup_comes_back_on_another_server(filled: str, tmp_path: Path) -> None:
    backup = back_up(database_url=filled, path=tmp_path / "a.dump")
    folder = tmp_path / f"other_{uuid.uuid4().hex[:6]}"
    other = postgres.start(folder)
    try:
        url = other.url("call_coach")
        restored = restore(database_url=url, path=backup.path)
        assert calls(url) == ["1", "2"]
        assert restored.kept is None
    finally:
        postgres.stop(folder)


def test_the_replaced_database_can_be_dropped_at_once(filled: str, tmp_path: Path) -> None:
    backup = back_up(database_url=filled, path=tmp_path / "a.dump")
    restored = restore(database_url=filled, path=backup.path, is_old_kept=False)
    assert restored.kept is None
    with psycopg.connect(filled) as connection:
        rows = connection.execute("select 1 from pg_database where datname like current_database() || '_before%'")
        assert rows.fetchall() == []
