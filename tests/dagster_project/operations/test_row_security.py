"""Row-level security as the second lock behind the query layer."""

import contextlib
import threading
from collections.abc import Iterator

import psycopg
import pytest

from dagster_project.database.migrate import migrate
from dagster_project.local import postgres
from dagster_project.local.postgres import PostgresServer

MARTS = """
create table marts.dim_reps (rep_id text, rep_name text, manager_path text[]);
insert into marts.dim_reps values
    ('ann', 'Ann', '{maya,root}'), ('bob', 'Bob', '{maya,root}'), ('maya', 'Maya', '{root}'), ('eve', 'Eve', '{}');
create table marts.fct_calls (call_id text primary key, rep_id text);
insert into marts.fct_calls values ('1', 'ann'), ('2', 'ann'), ('3', 'bob'), ('4', 'eve'), ('5', null);
create table marts.fct_turns (call_id text, text text);
insert into marts.fct_turns select call_id, 'said in ' || call_id from marts.fct_calls;
create table marts.fct_weekly_reviews (recipient_id text, markdown text);
insert into marts.fct_weekly_reviews values ('ann', 'x'), ('maya', 'y'), ('eve', 'z');
create table marts.dim_rubric_criteria (criterion_id text);
insert into marts.dim_rubric_criteria values ('c1');
select ops.protect_mart(format('marts.%I', relname)::regclass)
from pg_class where relnamespace = 'marts'::regnamespace and relkind = 'r';
"""
TABLES = ("dim_reps", "fct_calls", "fct_turns", "fct_weekly_reviews", "dim_rubric_criteria")


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(MARTS.encode())
        yield connection


@pytest.fixture
def reader(owner: psycopg.Connection, database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set role call_coach_reader")
        yield connection


def rows_of(connection: psycopg.Connection, viewer: str | None) -> dict[str, int]:
    with connection.transaction():
        if viewer is not None:
            connection.execute("select set_config('call_coach.viewer', %s, true)", [viewer])
        return {
            table: connection.execute(f"select count(*) from marts.{table}".encode()).fetchone()[0]  # type: ignore[index]
            for table in TABLES
        }


def test_a_reader_without_a_viewer_sees_nothing(reader: psycopg.Connection) -> None:
    assert set(rows_of(reader, None).values()) == {0}
    assert set(rows_of(reader, "").values()) == {0}


def test_a_rep_sees_their_own_rows_only(reader: psycopg.Connection) -> None:
    assert rows_of(reader, "ann") == {
        "dim_reps": 1, "fct_calls": 2, "fct_turns": 2, "fct_weekly_reviews": 1, "dim_rubric_criteria": 1,
    }  # fmt: skip


def test_a_manager_sees_reports_at_any_depth(reader: psycopg.Connection) -> None:
    assert rows_of(reader, "maya")["fct_turns"] == 3
    assert rows_of(reader, "root")["dim_reps"] == 3


def test_a_leader_sees_everyone_and_calls_of_nobody(reader: psycopg.Connection) -> None:
    assert rows_of(reader, "*") == {
        "dim_reps": 4, "fct_calls": 5, "fct_turns": 5, "fct_weekly_reviews": 3, "dim_rubric_criteria": 1,
    }  # fmt: skip


def test_an_unknown_viewer_sees_nobody(reader: psycopg.Connection) -> None:
    assert rows_of(reader, "nobody' or '1'='1")["fct_calls"] == 0


def test_the_viewer_is_forgotten_when_the_transaction_ends(reader: psycopg.Connection) -> None:
    assert rows_of(reader, "ann")["fct_calls"] == 2
    assert rows_of(reader, None)["fct_calls"] == 0
    with contextlib.suppress(psycopg.errors.DivisionByZero), reader.transaction():
        reader.execute("select set_config('call_coach.viewer', 'ann', true)")
        reader.execute("select 1 / 0")
    assert rows_of(reader, None)["fct_calls"] == 0


def test_an_analyst_sees_every_row_of_the_marts_and_nothing_else(owner: psycopg.Connection) -> None:
    owner.execute("set role call_coach_analyst")
    assert owner.execute("select count(*) from marts.fct_turns").fetchone() == (5,)
    for refused in ("select * from ops.webhook_inbox", "delete from marts.fct_turns", "create table marts.t (a int)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(refused.encode())


def test_readers_may_not_create_tables_not_even_temporary_ones(postgres_server: PostgresServer) -> None:
    # a database's own rights are not cloned with its template
    url = postgres.ensure_database(postgres_server, "rights_of_a_fresh_database")
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set role call_coach_analyst")
        for refused in ("create temp table t (a int)", "create table public.t (a int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused.encode())


def test_the_receiver_can_insert_into_the_inbox_and_read_nothing(owner: psycopg.Connection) -> None:
    owner.execute("set role call_coach_receiver")
    owner.execute(
        "insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256) values ('e', 'k', 's', '', '')"
    )
    for refused in (
        "select * from ops.webhook_inbox",
        "select * from marts.fct_calls",
        "select ops.visible_reps()",
        "select ops.protect_mart('marts.fct_calls')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(refused.encode())


def test_protecting_again_changes_nothing_and_takes_no_lock(owner: psycopg.Connection, database_url: str) -> None:
    with psycopg.connect(database_url) as long_reader:
        long_reader.execute("select count(*) from marts.fct_turns")
        owner.execute("set lock_timeout = '2s'")
        owner.execute("select ops.protect_mart('marts.fct_turns')")


def test_a_table_that_changes_its_columns_changes_its_policy(owner: psycopg.Connection) -> None:
    owner.execute("alter table marts.dim_rubric_criteria add column rep_id text")
    owner.execute("select ops.protect_mart('marts.dim_rubric_criteria')")
    rules = owner.execute(
        "select array_agg(polname::text order by polname) from pg_policy "
        "where polrelid = 'marts.dim_rubric_criteria'::regclass"
    ).fetchone()
    assert rules == (["analyst_sees_all", "reader_sees_own_reps"],)


def test_a_view_over_a_mart_is_refused_and_reported(owner: psycopg.Connection) -> None:
    owner.execute("create view marts.leak as select * from marts.fct_turns")
    with pytest.raises(psycopg.errors.RaiseException, match="is not a table"):
        owner.execute("select ops.protect_mart('marts.leak')")
    owner.execute("create table marts.forgotten (rep_id text)")
    assert owner.execute("select relation, what from ops.unprotected_marts()").fetchall() == [
        ("marts.forgotten", "has no row-level security"),
        ("marts.leak", "is not a table"),
    ]


def test_readers_see_only_their_rows_while_tables_are_swapped(owner: psycopg.Connection, database_url: str) -> None:
    is_over = threading.Event()
    seen: list[int] = []
    errors: list[str] = []

    def read() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("set role call_coach_reader")
            while not is_over.is_set():
                try:
                    seen.append(rows_of(connection, "ann")["fct_turns"])
                except psycopg.Error as error:
                    errors.append(str(error))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for table in ("fct_turns", "fct_calls", "dim_reps") * 10:
        with owner.transaction():
            owner.execute(f"create table marts.{table}__new as select * from marts.{table}".encode())
            owner.execute(f"alter table marts.{table} rename to {table}__old".encode())
            owner.execute(f"alter table marts.{table}__new rename to {table}".encode())
            owner.execute(f"select ops.protect_mart('marts.{table}')".encode())
        owner.execute(f"drop table marts.{table}__old cascade".encode())
    is_over.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert set(seen) == {2}
    assert owner.execute("select count(*) from ops.unprotected_marts()").fetchone() == (0,)


def test_a_search_uses_its_index_under_the_policies(owner: psycopg.Connection, reader: psycopg.Connection) -> None:
    owner.execute(
        "create table marts.fct_words as select rep_id, to_tsvector('english', 'call of ' || n) as search "
        "from marts.dim_reps, generate_series(1, 3000) as n"
    )
    owner.execute("create index on marts.fct_words using gin (search)")
    owner.execute("analyze marts.fct_words; select ops.protect_mart('marts.fct_words')")
    with reader.transaction():
        reader.execute("select set_config('call_coach.viewer', 'ann', true)")
        question = "select count(*) from marts.fct_words where search @@ websearch_to_tsquery('english', '2999')"
        plan = "\n".join(row[0] for row in reader.execute(f"explain {question}".encode()))
        assert reader.execute(question.encode()).fetchone() == (1,)
    assert "Bitmap Index Scan" in plan
