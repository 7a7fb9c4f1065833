"""The only code that names Postgres: connections, dlt packages, and what a table holds now.

A package is a set of CSV files that dlt copies into its staging schema and merges by key in one transaction per table.
Rows are turned into CSV by us because dlt's own per-row path costs several times the CPU; the schema, the copy,
the merge, the history of users and the load log stay dlt's. dlt's working folder lives as long as one package: after a
kill there is no half-finished package that could block the next load, and the merge makes reading again harmless.
"""

import csv
import fcntl
import getpass
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import quote, urlencode

import dlt
import psycopg
import psycopg2
from dlt.common.schema.utils import new_column, new_table
from dlt.destinations.exceptions import DatabaseTransientException
from dlt.pipeline.exceptions import PipelineStepFailed
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from dlt_pipelines import answers
from dlt_pipelines.errors import ApiError, LoadFailedError, TypeFlipError

ColumnType = Literal["text", "bigint", "double", "bool", "timestamp", "date", "json"]

FROM_POSTGRES: Mapping[str, ColumnType] = {
    "character varying": "text",
    "text": "text",
    "bigint": "bigint",
    "double precision": "double",
    "boolean": "bool",
    "timestamp with time zone": "timestamp",
    "date": "date",
    "jsonb": "json",
}
# a file is closed and loaded at this size: bounded disk, and a kill costs at most this much work
PACKAGE_BYTES = 192 * 1024 * 1024
LONGEST_NAME = 60
# where DLT_DATA_DIR does not say otherwise
_DATA_FOLDER = Path(tempfile.gettempdir()) / "call_coach_dlt_data"


@dataclass(frozen=True)
class Table:
    """A raw table: one row per `key`; fields that are not listed here appear as columns of their own."""

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, ColumnType]
    has_history: bool = False
    has_deletes: bool = False
    """Rows that the source no longer has are marked `is_deleted`; one that comes back counts as changed."""
    free_text: frozenset[str] = field(default=frozenset())
    """Text columns in which the API may put any JSON."""


def column_name(field_name: str) -> str:
    """`primaryUserId` -> `primary_user_id`, in the form that dlt leaves alone."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", field_name)
    snake = re.sub(r"[^a-z0-9]+", "_", snake.lower()).strip("_")[:LONGEST_NAME].rstrip("_")
    return f"_{snake}" if not snake or snake[0].isdigit() else snake


def inferred_type(value: Any) -> ColumnType:
    """The column type of a field that nobody declared."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "bigint"
    if isinstance(value, float):
        return "double"
    return "text" if isinstance(value, str) else "json"


def is_whole(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def cell(value: Any, column_type: ColumnType, *, is_free_text: bool = False) -> str | None:
    """A value as COPY reads it; ValueError when it is not of the column's type."""
    if value is None:
        return None
    match column_type:
        case "json":
            return answers.dump(value)
        case "text" if isinstance(value, str):
            # a line that holds nothing but \. ends a CSV copy before Postgres 18
            return value.replace("\n\\.", "\n \\.")
        case "text" if is_free_text:
            return answers.dump(value)
        case "bool" if isinstance(value, bool):
            return "true" if value else "false"
        case "bigint" if is_whole(value) and -(2**63) <= value < 2**63:
            return str(int(value))
        case "double" if isinstance(value, float) or is_whole(value):
            return repr(value)
        case "timestamp" if isinstance(value, datetime):
            return value.isoformat()
        case "timestamp" if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()
        case "date" if isinstance(value, str):
            return datetime.fromisoformat(value).date().isoformat()
    raise ValueError(f"expected {column_type}")


class TableWriter:
    """Rows of one table on their way into a package. Not thread-safe."""

    def __init__(self, table: Table, folder: Path, *, existing: Mapping[str, ColumnType]) -> None:
        self.table = table
        self.columns: dict[str, ColumnType] = {**table.columns, **existing}
        self._folder = folder
        self._file: IO[str] | None = None
        self._csv: Any = None
        self._header: list[str] = []
        self._parts: list[tuple[Path, int]] = []
        self._rows = 0
        self._n_parts = 0

    @property
    def n_bytes(self) -> int:
        open_bytes = self._file.tell() if self._file else 0
        return open_bytes + sum(path.stat().st_size for path, _ in self._parts)

    @property
    def n_rows(self) -> int:
        return self._rows + sum(rows for _, rows in self._parts)

    def write(self, fields: Mapping[str, Any]) -> None:
        """Append one row; TypeFlipError when a field is not of its column's type."""
        cells: dict[str, str | None] = {}
        for name, value in fields.items():
            if value is None:
                continue
            column_type = self.columns.get(name)
            if column_type is None:
                column_type = self.columns[name] = inferred_type(value)
            try:
                cells[name] = cell(value, column_type, is_free_text=name in self.table.free_text)
            except ValueError as error:
                key = ", ".join(str(fields.get(column)) for column in self.table.key)
                raise TypeFlipError(
                    f"{self.table.name} {key}: {name} is {answers.dump(value)[:80]} ({type(value).__name__}), "
                    f"but the column is {column_type}. The stream stops here and nothing of it is lost: what was read "
                    "before is kept, the rest is read again once the column or the loader knows the new type"
                ) from error
        if any(name not in self._header for name in cells):
            self._close_part()
        if self._file is None:
            self._open_part()
        self._csv.writerow([cells.get(name) for name in self._header])
        self._rows += 1

    def take(self) -> list[tuple[Path, int]]:
        """The finished files with their row counts; the writer starts afresh."""
        self._close_part()
        parts, self._parts = self._parts, []
        return parts

    def take_empty(self) -> list[tuple[Path, int]]:
        """A file without rows, so that the table is created."""
        self._open_part()
        self._close_part(keep_empty=True)
        parts, self._parts = self._parts, []
        return parts

    def _open_part(self) -> None:
        self._n_parts += 1
        path = self._folder / f"{self.table.name}.{self._n_parts}.csv"
        self._header = list(self.columns)
        self._file = path.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow(self._header)
        self._rows = 0

    def _close_part(self, *, keep_empty: bool = False) -> None:
        if self._file is None:
            return
        self._file.close()
        path = Path(self._file.name)
        if self._rows or keep_empty:
            self._parts.append((path, self._rows))
        else:
            path.unlink()
        self._file, self._header, self._rows = None, [], 0


@dataclass(frozen=True)
class TableFiles:
    """The files of one table in a package."""

    table: Table
    columns: Mapping[str, ColumnType]
    files: Sequence[tuple[Path, int]]


def connect(database_url: str) -> psycopg.Connection:
    """An autocommit connection for bookkeeping and look-ups."""
    return psycopg.connect(database_url, autocommit=True, application_name="call-coach loader")


def load_package(*, database_url: str, dataset: str, pipeline: str, tables: Sequence[TableFiles]) -> None:
    """Copy and merge the files; returns only when everything is committed."""
    _quiet_dlt()

    def resource(files: TableFiles) -> Any:
        disposition: Any = "merge"
        if files.table.has_history:
            disposition = {"disposition": "merge", "strategy": "scd2", "row_version_column_name": "content_hash"}
            # without a merge key scd2 would end every row that a package does not hold
        columns: Any = [
            {"name": name, "data_type": column_type, "nullable": name not in files.table.key}
            for name, column_type in files.columns.items()
        ]

        def parts() -> Iterator[Any]:
            for path, n_rows in files.files:
                yield dlt.mark.with_file_import(str(path), "csv", n_rows)

        declare: Any = dlt.resource
        return declare(
            parts,
            name=files.table.name,
            write_disposition=disposition,
            primary_key=None if files.table.has_history else files.table.key,
            merge_key=files.table.key if files.table.has_history else None,
            columns=columns,
            max_table_nesting=0,
            schema_contract={"tables": "evolve", "columns": "evolve", "data_type": "freeze"},
        )()

    schema = dlt.Schema(pipeline)
    for files in tables:
        if files.table.has_history:
            # the scd2 strategy overwrites the hints of its version column and would drop its type
            version = new_column("content_hash", "text", nullable=False)
            schema.update_table(new_table(files.table.name, columns=[version]))
    with scratch_folder("dlt") as folder:
        try:
            dlt.pipeline(
                pipeline,
                destination=dlt.destinations.postgres(_dlt_url(database_url)),
                dataset_name=dataset,
                pipelines_dir=str(folder),
            ).run([resource(files) for files in tables], schema=schema)
        except PipelineStepFailed as error:
            names = ", ".join(f"{dataset}.{files.table.name}" for files in tables)
            raise LoadFailedError(
                f"{names}: Postgres did not take the rows ({_reason(error)}). "
                "Nothing is lost: the next run reads them again, once the reason is gone"
            ) from error


def _reason(error: PipelineStepFailed) -> str:
    """What Postgres said: one line of dlt's report, which holds a traceback and, under DETAIL, the row itself."""
    said = re.findall(r"^[\w.]+(?:Exception|Error): (.+)$", str(error), re.MULTILINE)
    return said[-1].strip()[:500] if said else type(error.__cause__ or error).__name__


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """A folder for what is between the API and the database; what a killed process left there the next one removes."""
    base = Path(os.environ.get("DLT_DATA_DIR", _DATA_FOLDER)) / "scratch"
    # transcripts pass through: nobody else reads along
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (base / "lock").open("w") as entrance:
        fcntl.flock(entrance, fcntl.LOCK_EX)
        for folder in base.iterdir():
            if folder.is_dir() and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}_", dir=base))
        owner = (folder / "lock").open("w")
        fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        with owner:
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    try:
        with (folder / "lock").open("w") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        # in use, or its owner was just removing it
        return False
    return True


def _dlt_url(database_url: str) -> str:
    """The same database for dlt, which insists on a user and a password where libpq knows other places to look."""
    given = conninfo_to_dict(database_url)
    user = given.pop("user", None) or os.environ.get("PGUSER") or getpass.getuser()
    # any password will do where the server asks for none
    password = given.pop("password", None) or os.environ.get("PGPASSWORD") or "unused"
    host = given.pop("host", None) or os.environ.get("PGHOST") or "localhost"
    port = given.pop("port", None) or os.environ.get("PGPORT") or "5432"
    name = given.pop("dbname", None) or os.environ.get("PGDATABASE") or user
    rest = urlencode({key: value for key, value in given.items() if value is not None})
    account = f"{quote(str(user), safe='')}:{quote(str(password), safe='')}"
    return f"postgresql://{account}@{host}:{port}/{quote(str(name), safe='')}" + (f"?{rest}" if rest else "")


def _quiet_dlt() -> None:
    """No telemetry, no warnings meant for people writing pipelines, and Ctrl-C stays with the caller."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "ERROR")
    os.environ.setdefault("RUNTIME__INTERCEPT_SIGNALS", "false")
    os.environ.setdefault("DLT_DATA_DIR", str(_DATA_FOLDER))


def existing_columns(connection: psycopg.Connection, *, dataset: str, table: str) -> dict[str, ColumnType]:
    """The columns that the table has now, without dlt's own; empty when there is no table."""
    rows = connection.execute(
        "select column_name, data_type from information_schema.columns "
        "where table_schema = %s and table_name = %s and column_name not like '\\_dlt%%' order by ordinal_position",
        [dataset, table],
    ).fetchall()
    return {name: FROM_POSTGRES.get(data_type, "text") for name, data_type in rows}


def stored_hashes(
    connection: psycopg.Connection, *, dataset: str, table: Table, keys: Sequence[str] | None = None
) -> dict[str, str]:
    """Key -> content hash of the rows that stand now; `keys` limits it to these (single-column keys)."""
    query = sql.SQL("select {key}, content_hash from {table}").format(
        key=sql.SQL(" || '|' || ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in table.key),
        table=sql.Identifier(dataset, table.name),
    )
    standing = "_dlt_valid_to is null" if table.has_history else "not is_deleted" if table.has_deletes else "true"
    query += sql.SQL(" where ") + sql.SQL(standing)
    if keys is None:
        return dict(connection.execute(query).fetchall())
    query += sql.SQL(" and {} = any(%s)").format(sql.Identifier(table.key[0]))
    return dict(connection.execute(query, [list(keys)]).fetchall())


def mark_gone(connection: psycopg.Connection, *, dataset: str, table: Table, keys: Sequence[str]) -> None:
    """Mark rows of a table with a single key column as gone from the source: history ends, other rows are flagged."""
    change = (
        "_dlt_valid_to = now() where _dlt_valid_to is null"
        if table.has_history
        else "is_deleted = true, loaded_at = now() where not is_deleted"
    )
    connection.execute(
        sql.SQL("update {table} set {change} and {key} = any(%s)").format(
            table=sql.Identifier(dataset, table.name), change=sql.SQL(change), key=sql.Identifier(table.key[0])
        ),
        [list(keys)],
    )


def index_key(connection: psycopg.Connection, *, dataset: str, table: Table) -> None:
    """A unique index on the key: dlt makes none, its merges scan without it, and it rules duplicates out."""
    connection.execute(
        sql.SQL("create unique index if not exists {name} on {table} ({key})").format(
            name=sql.Identifier(f"{table.name}_key"),
            table=sql.Identifier(dataset, table.name),
            key=sql.SQL(", ").join(map(sql.Identifier, table.key)),
        )
    )


@contextmanager
def exclusive(
    connection: psycopg.Connection, name: str, wait_s: float, on_progress: Callable[[str], None]
) -> Iterator[None]:
    """Hold the database-wide lock `name`; a second load waits, and ApiError ends its patience."""
    deadline = time.monotonic() + wait_s
    has_said_so = False
    while True:
        row = connection.execute("select pg_try_advisory_lock(hashtext(%s))", [name]).fetchone()
        if row and row[0]:
            break
        if time.monotonic() >= deadline:
            raise ApiError(
                f"another {name} has held this database for {wait_s:.0f} s. "
                "Wait for it to end, or raise GONG_LOCK_WAIT_S (HUBSPOT_LOCK_WAIT_S)"
            )
        if not has_said_so:
            on_progress(f"waiting for another {name} of this database to end")
            has_said_so = True
        time.sleep(0.5)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(hashtext(%s))", [name])


def is_connection_lost(error: BaseException) -> bool:
    """Whether the database went away, seen through whatever wrapped the error."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, psycopg.OperationalError | psycopg2.OperationalError | psycopg2.InterfaceError):
            return True
        if isinstance(seen, DatabaseTransientException):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def wait_until_up(database_url: str, *, patience_s: float = 60.0) -> None:
    """Return when the database accepts connections again, raise its error when it does not in time."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            connect(database_url).close()
        except psycopg.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.5)
        else:
            return
