"""Erase a call, a rep or an account from everything we keep, and keep it out.

What the sources sent, what was computed from it and what people wrote about it goes; what it cost stays, without saying
whose call it was. A tombstone (a digest, never the id) makes the loader pass over the subject from then on.

Tables are found by their columns, not by a list, so that a table added later is covered too. Everything happens in one
transaction under the loader's lock: a load that is under way ends first, and its rows are erased with the rest.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from dlt_pipelines.bookkeeping import subject_sha256

logger = logging.getLogger(__name__)

Kind = Literal["call", "rep", "account"]
LOADER_LOCKS = ("raw_gong load", "raw_hubspot load")
OURS = ("raw_gong", "raw_gong_staging", "raw_hubspot", "raw_hubspot_staging", "analysis", "ops", "knowledge")
# rebuilt from the rest by dbt: a row that mentions the subject may go without a second look
DERIVED = ("staging", "intermediate", "marts", "snapshots")
PERSON_COLUMNS = ("rep_id", "user_id", "viewer_id", "recipient_id", "requested_by", "proposed_by")
# kept for what they count, with the subject taken out of them
REDACTED = {
    ("analysis", "requests"): "call_id = null, rep_id = null, result_key = null, api_request_id = null, error = null",
    ("ops", "webhook_inbox"): "body = '', headers = '{}', call_id = null, reason = 'erased', "
    "status = case when status in ('received', 'failed') then 'completed' else status end",
    ("ops", "audit_log"): "viewer_id = 'erased'",
    ("ops", "knowledge_proposals"): "proposed_by = 'erased'",
}
# shorter quotes and titles are nobody's in particular, and would take strangers' reviews along
SHORTEST_TELLING_TEXT = 12
TEXT_FILES = frozenset({".log", ".txt", ".md", ".html", ".json", ".jsonl", ".out", ".err", ".csv"})
REPLACEMENT = "[erased]"


class UnknownSubjectError(LookupError):
    """Nothing in the warehouse answers to that id."""


class LoadInProgressError(RuntimeError):
    """A load held the database for longer than we wait."""


@dataclass(frozen=True)
class Erasure:
    """What was removed, in numbers only."""

    kind: Kind
    calls: int
    rows: Mapping[str, int]
    files: int
    left_over: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.rows.values())


@dataclass
class _Subject:
    kind: Kind
    subject_id: str
    call_ids: list[str] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    telling_texts: list[str] = field(default_factory=list)

    @property
    def rep_ids(self) -> list[str]:
        return [self.subject_id] if self.kind == "rep" else []

    @property
    def marks(self) -> list[str]:
        """What must be found nowhere afterwards."""
        return list(dict.fromkeys([self.subject_id, *self.call_ids, *self.emails]))

    @property
    def traces(self) -> list[str]:
        """What gives the subject away in text that was written about it."""
        return list(dict.fromkeys([*self.marks, *self.names, *self.telling_texts]))


def erase(
    *,
    database_url: str,
    kind: Kind,
    subject_id: str,
    erased_by: str,
    home: Path | None = None,
    is_unknown_allowed: bool = False,
    wait_s: float = 900,
) -> Erasure:
    """Erase and leave a tombstone; the marts are exact again after the next build.

    Args:
        kind: what `subject_id` is: a Gong call id; a Gong user id or e-mail address; a CRM account id.
        home: the folder whose logs and written reviews are cleaned too.
        is_unknown_allowed: leave a tombstone for something that was never loaded, too.
        wait_s: how long a load that is under way is waited for.

    Raises:
        UnknownSubjectError, LoadInProgressError.
    """
    with psycopg.connect(database_url, autocommit=True, application_name="call-coach erase") as connection:
        _wait_for_loader(connection, wait_s)
        with connection.transaction():
            subject = _find(connection, kind, subject_id)
            if not (subject.call_ids or subject.emails or is_unknown_allowed or _is_known_account(connection, subject)):
                raise UnknownSubjectError(
                    f"No {kind} {subject_id!r} is in the warehouse. Check the id; "
                    "with --unknown a tombstone keeps it out should it ever come."
                )
            removed = _remove(connection, subject)
            _leave_tombstones(connection, subject, erased_by=erased_by, removed=removed)
            left_over = _search(connection, subject.marks)
        touched = [name for name, n in removed.items() if n]
        for name in touched:
            connection.execute(sql.SQL("vacuum {}").format(sql.Identifier(*name.split("."))))
    files = clean_files(home, subject.traces) if home else 0
    logger.info("erased a %s: %d rows in %d tables, %d files", kind, sum(removed.values()), len(touched), files)
    return Erasure(kind=kind, calls=len(subject.call_ids), rows=dict(removed), files=files, left_over=left_over)


def erase_again(*, database_url: str, home: Path | None = None) -> tuple[Erasure, ...]:
    """Erase whatever of the erased subjects is in the database: after a restore, or a run that raced an erasure."""
    with psycopg.connect(database_url) as connection:
        returned = [
            (kind, subject_id)
            for kind, query in RETURNED.items()
            if _exists(connection, query[0])
            for (subject_id,) in connection.execute(query[1].encode())
        ]
    return tuple(
        erase(database_url=database_url, kind=kind, subject_id=subject_id, erased_by="erase again", home=home)
        for kind, subject_id in returned
    )


def _returned(kind: Kind, column: str, relation: str) -> tuple[str, str]:
    return relation, (
        f"select distinct {column} from {relation} where {column} is not null and encode(sha256(convert_to({column}, "  # noqa: S608
        f"'UTF8')), 'hex') in (select subject_sha256 from ops.tombstones where subject_kind = '{kind}') order by 1"
    )


RETURNED: dict[Kind, tuple[str, str]] = {
    "rep": _returned("rep", "id", "raw_gong.users"),
    "call": _returned("call", "id", "raw_gong.calls"),
}


def _wait_for_loader(connection: psycopg.Connection, wait_s: float) -> None:
    connection.execute(sql.SQL("set lock_timeout = {}").format(sql.Literal(f"{int(wait_s * 1000)}ms")))
    try:
        for lock in LOADER_LOCKS:
            connection.execute("select pg_advisory_lock(hashtext(%s))", [lock])
    except psycopg.errors.LockNotAvailable as error:
        raise LoadInProgressError(
            f"A load has held the database for {wait_s:.0f} s. Nothing was erased: try again when it has ended."
        ) from error


def _find(connection: psycopg.Connection, kind: Kind, subject_id: str) -> _Subject:
    subject = _Subject(kind=kind, subject_id=subject_id)
    if not _exists(connection, "raw_gong.calls"):
        return subject
    if kind == "call":
        subject.call_ids = _column(connection, "select id from raw_gong.calls where id = %s", [subject_id])
        subject.call_ids = subject.call_ids or _column(
            connection, "select distinct call_id from analysis.call_results where call_id = %s", [subject_id]
        )
    elif kind == "account":
        subject.call_ids = _column(connection, CALLS_OF_ACCOUNT, [subject_id])
    else:
        _find_rep(connection, subject)
    if subject.call_ids:
        subject.telling_texts = _column(
            connection,
            "select distinct title from raw_gong.calls where id = any(%s) and length(title) >= %s",
            [subject.call_ids, SHORTEST_TELLING_TEXT],
        )
        if _exists(connection, "marts.fct_evidence"):
            subject.telling_texts += _column(
                connection,
                "select distinct quote from marts.fct_evidence where call_id = any(%s) and length(quote) >= %s",
                [subject.call_ids, SHORTEST_TELLING_TEXT],
            )
    return subject


def _find_rep(connection: psycopg.Connection, subject: _Subject) -> None:
    wanted = subject.subject_id
    people = connection.execute(
        "select distinct id, email_address, trim(concat_ws(' ', first_name, last_name)) from raw_gong.users "
        "where id = %(who)s or lower(email_address) = lower(%(who)s)",
        {"who": wanted},
    ).fetchall()
    if people:
        subject.subject_id = people[0][0]
    subject.emails = sorted({email for _, email, _ in people if email} | ({wanted} if "@" in wanted else set()))
    # one word may be a name that others share
    subject.names = sorted({name for _, _, name in people if " " in name})
    subject.call_ids = _column(
        connection, CALLS_OF_REP, {"rep_id": subject.subject_id, "emails": [email.lower() for email in subject.emails]}
    )


CALLS_OF_ACCOUNT = """
select calls.id
from raw_gong.calls as calls
where exists (
    select 1
    from jsonb_path_query(calls.context, '$[*].objects[*]') as crm_object
    where crm_object ->> 'objectType' = 'Account' and crm_object ->> 'objectId' = %s
)
"""

# like Gong's own erasure: every call that the person took part in
CALLS_OF_REP = """
select calls.id
from raw_gong.calls as calls
where
    calls.primary_user_id = %(rep_id)s
    or exists (
        select 1
        from jsonb_path_query(calls.parties, '$[*]') as party
        where party ->> 'userId' = %(rep_id)s or lower(party ->> 'emailAddress') = any(%(emails)s)
    )
"""


def _is_known_account(connection: psycopg.Connection, subject: _Subject) -> bool:
    return subject.kind == "account" and any(
        _column(connection, sql.SQL("select 1 from {} where id::text = %s").format(table), [subject.subject_id])
        for table in _hubspot_tables(connection)
    )


def _hubspot_tables(connection: psycopg.Connection) -> Iterator[sql.Identifier]:
    for schema, table, columns in _tables(connection, ("raw_hubspot", "raw_hubspot_staging")):
        if "id" in columns and table in ("companies", "accounts"):
            yield sql.Identifier(schema, table)


def _remove(connection: psycopg.Connection, subject: _Subject) -> Counter[str]:
    removed: Counter[str] = Counter()
    _remove_answers(connection, subject, removed)
    moments = _moments_of(connection, subject)
    for schema, table, columns in _tables(connection, (*OURS, *DERIVED)):
        relation = sql.Identifier(schema, table)
        name = f"{schema}.{table}"
        conditions = _conditions(schema, table, columns, subject, moments)
        if not conditions:
            continue
        where = sql.SQL(" or ").join(condition for condition, _ in conditions)
        values = [value for _, condition_values in conditions for value in condition_values]
        if (schema, table) in REDACTED:
            change = sql.SQL(REDACTED[schema, table])
            statement = sql.SQL("update {} set {} where {}").format(relation, change, where)
        else:
            statement = sql.SQL("delete from {} where {}").format(relation, where)
        removed[name] += connection.execute(statement, values).rowcount
    if subject.rep_ids and _exists(connection, "raw_gong.users"):
        connection.execute("update raw_gong.users set manager_id = null where manager_id = any(%s)", [subject.rep_ids])
    _clean_run_history(connection, subject, removed)
    return removed


def _remove_answers(connection: psycopg.Connection, subject: _Subject, removed: Counter[str]) -> None:
    """The answers that only these calls use; a transcript that another call shares word for word keeps its answer."""
    removed["analysis.results"] += connection.execute(
        """
        with hashes as (
            select transcript_hash from analysis.transcript_chunks where call_id = any(%(call_ids)s)
            union
            select transcript_hash from analysis.call_results where call_id = any(%(call_ids)s)
            union
            select transcript_hash from analysis.batch_items where call_id = any(%(call_ids)s)
            union
            select results.transcript_hash
            from analysis.call_results
            inner join analysis.results as results on call_results.result_key = results.result_key
            where call_results.call_id = any(%(call_ids)s)
        )

        delete from analysis.results
        where
            transcript_hash in (select transcript_hash from hashes where transcript_hash is not null)
            and not exists (
                select 1 from analysis.transcript_chunks as others
                where others.transcript_hash = results.transcript_hash and others.call_id <> all(%(call_ids)s)
            )
        """,
        {"call_ids": subject.call_ids},
    ).rowcount


def _moments_of(connection: psycopg.Connection, subject: _Subject) -> list[str]:
    """Ids of the moments that marks in the coaching queue refer to."""
    moments: list[str] = []
    for schema, table, columns in _tables(connection, ("marts",)):
        for column in ("moment_id", "evidence_id"):
            if column in columns and "call_id" in columns:
                moments += _column(
                    connection,
                    sql.SQL("select distinct {}::text from {} where call_id = any(%s)").format(
                        sql.Identifier(column), sql.Identifier(schema, table)
                    ),
                    [subject.call_ids],
                )
    return moments


def _conditions(
    schema: str, table: str, columns: frozenset[str], subject: _Subject, moments: Sequence[str]
) -> list[tuple[sql.Composable, list[Any]]]:
    """How rows of one table are recognised as the subject's."""
    found: list[tuple[sql.Composable, list[Any]]] = []

    def add(condition: str, value: object, column: str = "") -> None:
        found.append((sql.SQL(condition).format(sql.Identifier(column)), [value]))

    def add_text(text: str, traces: Sequence[str]) -> None:
        found.append((_mentions(sql.SQL(text).format(sql.Identifier(table))), patterns_of(traces)))

    if "call_id" in columns:
        add("{}::text = any(%s)", subject.call_ids, "call_id")
    if schema.startswith("raw_gong") and table == "calls":
        add("{} = any(%s)", subject.call_ids, "id")
    if schema.startswith("raw_gong") and table == "users":
        add("{} = any(%s)", subject.rep_ids, "id")
    if schema.startswith("raw_hubspot") and subject.kind == "account":
        for column in ("id", "company_id", "account_id"):
            if column in columns and (column != "id" or table in ("companies", "accounts")):
                add("{}::text = %s", subject.subject_id, column)
    if subject.rep_ids:
        for column in PERSON_COLUMNS:
            if column in columns:
                add("{}::text = any(%s)", subject.rep_ids, column)
    if (schema, table) == ("ops", "queue_marks"):
        add("moment_id = any(%s)", list(moments))
    elif (schema, table) == ("ops", "webhook_inbox"):
        # not convert_from: a body need not be text
        add_text("encode(body, 'escape')", subject.marks)
    elif (schema, table) in (("ops", "dead_letters"), ("raw_gong", "_owed")):
        add_text("{}::text", subject.marks)
    elif (schema, table) == ("ops", "reviews") or (schema in DERIVED and "call_id" not in columns):
        add_text("{}::text", subject.traces)
    return found


def _mentions(text: sql.Composable) -> sql.Composed:
    """A condition with the two parameters of `patterns_of`."""
    return sql.SQL("({0} ~ %s and {0} ~ %s)").format(text)


def patterns_of(traces: Sequence[str]) -> list[str]:
    """The traces alone, and the traces with their bounds: the first is 15 times faster and sifts for the second."""
    return ["|".join(_escaped(trace) for trace in sorted(traces, key=len, reverse=True)), pattern_of(traces)]


def pattern_of(traces: Sequence[str]) -> str:
    """A regular expression, for Postgres and for Python, that finds any trace but not inside a longer id or word."""
    return "|".join(_bounded(trace) for trace in sorted(traces, key=len, reverse=True))


def _escaped(trace: str) -> str:
    return re.sub(r"([^A-Za-z0-9_\s])", r"\\\1", trace)


def _bounded(trace: str) -> str:
    escaped = _escaped(trace)
    if trace.isdigit():
        return rf"(?<![0-9]){escaped}(?![0-9])"
    # a letter after a backslash is an escape of JSON, not the start of a longer word
    return rf"((?<![A-Za-z0-9_.+-])|(?<=\\[nrt])){escaped}(?![A-Za-z0-9_-])"


def _clean_run_history(connection: psycopg.Connection, subject: _Subject, removed: Counter[str]) -> None:
    """Dagster's runs and events are kept; ids, addresses and names in them are not."""
    plain = [*subject.marks, *subject.names]
    sift, traces = patterns_of(list(dict.fromkeys([*plain, *(json.dumps(trace)[1:-1] for trace in plain)])))
    for schema, table, _ in _tables(connection, ("dagster",)):
        for column in _column(
            connection,
            "select column_name::text from information_schema.columns where table_schema = %s and table_name = %s "
            "and data_type in ('text', 'character varying') and column_name in "
            "('event', 'run_body', 'body', 'tick_body', 'value', 'asset_details', 'selector_data')",
            [schema, table],
        ):
            removed[f"{schema}.{table}"] += connection.execute(
                sql.SQL(
                    "update {0} set {1} = regexp_replace({1}, %(traces)s, %(instead)s, 'g') where {1} ~ %(traces)s"
                ).format(sql.Identifier(schema, table), sql.Identifier(column)),
                {"sift": sift, "traces": traces, "instead": REPLACEMENT},
            ).rowcount


def _leave_tombstones(
    connection: psycopg.Connection, subject: _Subject, *, erased_by: str, removed: Mapping[str, int]
) -> None:
    subjects = {(subject.kind, subject.subject_id), *(("call", call_id) for call_id in subject.call_ids)}
    for kind, subject_id in sorted(subjects):
        counts = {name: n for name, n in removed.items() if n} if kind == subject.kind else {}
        connection.execute(
            "insert into ops.tombstones (subject_kind, subject_sha256, erased_by, counts) values (%s, %s, %s, %s) "
            "on conflict (subject_kind, subject_sha256) do update set erased_at = now()",
            [kind, subject_sha256(subject_id), erased_by, Jsonb(counts)],
        )


def _search(connection: psycopg.Connection, marks: Sequence[str]) -> dict[str, int]:
    """Rows that still mention the subject, by table: the proof that the columns above were enough."""
    found: dict[str, int] = {}
    for schema, table, _ in _tables(connection, (*OURS, *DERIVED, "dagster", "public")):
        count = connection.execute(
            sql.SQL("select count(*) from {} as candidate where {}").format(
                sql.Identifier(schema, table), _mentions(sql.SQL("candidate::text"))
            ),
            patterns_of(marks),
        ).fetchone()
        if count and count[0]:
            found[f"{schema}.{table}"] = count[0]
    return found


def clean_files(home: Path, traces: Sequence[str]) -> int:
    """Take the traces out of logs, and delete written reviews that hold one; backups are left to their owner."""
    pattern = re.compile(pattern_of(traces).encode())
    changed = 0
    for path in sorted(home.rglob("*")):
        place = path.relative_to(home).parts[0]
        if place in ("postgres", "backups") or path.suffix not in TEXT_FILES or not path.is_file():
            continue
        content = path.read_bytes()
        if not pattern.search(content):
            continue
        changed += 1
        if place == "reviews":
            path.unlink()
        else:
            path.write_bytes(pattern.sub(REPLACEMENT.encode(), content))
    return changed


def _tables(connection: psycopg.Connection, schemas: Sequence[str]) -> list[tuple[str, str, frozenset[str]]]:
    """(schema, table, columns) of every ordinary or partitioned table; a partition counts with its parent."""
    rows = connection.execute(
        "select schemas.nspname::text, tables.relname::text, array_agg(columns.attname::text) "
        "from pg_class as tables "
        "inner join pg_namespace as schemas on tables.relnamespace = schemas.oid "
        "inner join pg_attribute as columns "
        "on tables.oid = columns.attrelid and columns.attnum > 0 and not columns.attisdropped "
        "where schemas.nspname = any(%s) and tables.relkind in ('r', 'p') and not tables.relispartition "
        "group by 1, 2 order by 1, 2",
        [list(schemas)],
    ).fetchall()
    return [
        (schema, table, frozenset(columns))
        for schema, table, columns in rows
        if (schema, table) != ("ops", "tombstones")
    ]


def _exists(connection: psycopg.Connection, relation: str) -> bool:
    row = connection.execute("select to_regclass(%s)", [relation]).fetchone()
    return bool(row and row[0])


def _column(connection: psycopg.Connection, query: str | sql.Composed, values: Any) -> list[str]:
    statement = query.encode() if isinstance(query, str) else query
    return [row[0] for row in connection.execute(statement, values)]
