"""Let go of what is older than we keep: whole partitions where there are any, rows where there are none.

Marts follow with their next build, which deletes what has lost its source. No tombstone is left: a backfill that
somebody asks for may bring old calls back.
"""

import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from psycopg import sql

logger = logging.getLogger(__name__)

KEPT_YEARS = 5
BATCH_OF_CALLS = 2_000
PARTITIONED = ("analysis.results", "analysis.requests")
# the column that says how old a row is, where it is not the call's own age
AGED_BY = {
    "ops.webhook_inbox": "received_at",
    "ops.analysis_requests": "requested_at",
    "ops.dead_letters": "last_seen_at",
    "ops.queue_marks": "marked_at",
    "ops.audit_log": "happened_at",
    "ops.reviews": "week_start",
}
# what a call cost is kept until its quarter goes
KEPT_WITH_THEIR_QUARTER = frozenset({"analysis.requests"})


@dataclass(frozen=True)
class Retirement:
    """What went, or in a rehearsal would go."""

    cutoff: datetime
    calls: int
    partitions: tuple[str, ...]
    rows: Mapping[str, int]
    is_rehearsal: bool


def retire(
    *, database_url: str, years: int = KEPT_YEARS, now: datetime | None = None, is_rehearsal: bool = False
) -> Retirement:
    """Remove what is older than `years`, or in a rehearsal count it. Each batch is a transaction of its own."""
    if years < 1:
        raise ValueError("at least one year is kept")
    cutoff = _years_before(now or datetime.now(UTC), years)
    rows: Counter[str] = Counter()
    n_calls = 0
    with psycopg.connect(database_url, autocommit=True, application_name="call-coach retention") as connection:
        partitions = _old_partitions(connection, cutoff)
        if is_rehearsal:
            n_calls = _count_calls(connection, cutoff)
            rows.update(_aged_rows(connection, cutoff, is_rehearsal=True))
        else:
            for partition in partitions:
                connection.execute(sql.SQL("drop table {}").format(sql.Identifier(*partition.split("."))))
            while batch := _oldest_calls(connection, cutoff):
                n_calls += len(batch)
                with connection.transaction():
                    rows.update(_delete_calls(connection, batch))
            rows.update(_aged_rows(connection, cutoff, is_rehearsal=False))
    logger.info("retention: %d calls and %d partitions from before %s", n_calls, len(partitions), cutoff.date())
    return Retirement(
        cutoff=cutoff,
        calls=n_calls,
        partitions=partitions,
        rows={name: n for name, n in rows.items() if n},
        is_rehearsal=is_rehearsal,
    )


def _years_before(moment: datetime, years: int) -> datetime:
    try:
        return moment.replace(year=moment.year - years)
    except ValueError:
        # the 29th of February
        return moment.replace(year=moment.year - years, day=28)


def _old_partitions(connection: psycopg.Connection, cutoff: datetime) -> tuple[str, ...]:
    """Partitions that end before the cutoff, oldest first."""
    old = []
    for parent in PARTITIONED:
        for name, bound in connection.execute(
            "select format('%%s.%%s', schemas.nspname, tables.relname), pg_get_expr(tables.relpartbound, tables.oid) "
            "from pg_inherits inner join pg_class as tables on pg_inherits.inhrelid = tables.oid "
            "inner join pg_namespace as schemas on tables.relnamespace = schemas.oid "
            "where pg_inherits.inhparent = to_regclass(%s)",
            [parent],
        ):
            end = re.search(r"TO \('([^']+)'\)", bound)
            if end and _is_before(connection, end[1], cutoff):
                old.append(name)
    return tuple(sorted(old))


def _is_before(connection: psycopg.Connection, bound: str, cutoff: datetime) -> bool:
    row = connection.execute("select %s::timestamptz <= %s", [bound, cutoff]).fetchone()
    return bool(row and row[0])


def _exists(connection: psycopg.Connection, relation: str) -> bool:
    row = connection.execute("select to_regclass(%s)", [relation]).fetchone()
    return bool(row and row[0])


def _count_calls(connection: psycopg.Connection, cutoff: datetime) -> int:
    if not _exists(connection, "raw_gong.calls"):
        return 0
    row = connection.execute("select count(*) from raw_gong.calls where started < %s", [cutoff]).fetchone()
    return int(row[0]) if row else 0


def _oldest_calls(connection: psycopg.Connection, cutoff: datetime) -> list[str]:
    if not _exists(connection, "raw_gong.calls"):
        return []
    return [
        call_id
        for (call_id,) in connection.execute(
            "select id from raw_gong.calls where started < %s order by started limit %s", [cutoff, BATCH_OF_CALLS]
        )
    ]


def _delete_calls(connection: psycopg.Connection, call_ids: list[str]) -> Counter[str]:
    rows: Counter[str] = Counter()
    # a partition counts with its parent
    tables = connection.execute(
        "select columns.table_schema::text, columns.table_name::text from information_schema.columns "
        "inner join pg_class on format('%I.%I', table_schema, table_name)::regclass = pg_class.oid "
        "where table_schema in ('raw_gong', 'raw_gong_staging', 'analysis', 'ops') and column_name = 'call_id' "
        "and pg_class.relkind in ('r', 'p') and not pg_class.relispartition order by 1, 2"
    ).fetchall()
    for schema, table in tables:
        if f"{schema}.{table}" not in KEPT_WITH_THEIR_QUARTER:
            statement = sql.SQL("delete from {} where call_id = any(%s)").format(sql.Identifier(schema, table))
            rows[f"{schema}.{table}"] += connection.execute(statement, [call_ids]).rowcount
    rows["raw_gong.calls"] += connection.execute("delete from raw_gong.calls where id = any(%s)", [call_ids]).rowcount
    return rows


def _aged_rows(connection: psycopg.Connection, cutoff: datetime, *, is_rehearsal: bool) -> Counter[str]:
    rows: Counter[str] = Counter()
    for name, column in AGED_BY.items():
        if not _exists(connection, name):
            continue
        table = sql.Identifier(*name.split("."))
        if is_rehearsal:
            query = sql.SQL("select count(*) from {} where {} < %s").format(table, sql.Identifier(column))
            row = connection.execute(query, [cutoff]).fetchone()
            rows[name] += int(row[0]) if row else 0
        else:
            statement = sql.SQL("delete from {} where {} < %s").format(table, sql.Identifier(column))
            rows[name] += connection.execute(statement, [cutoff]).rowcount
    return rows
