"""The only door to Postgres: pooled, read only, as `call_coach_reader`, bounded in time and rows."""

import logging
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, TypeVar

import psycopg
from psycopg import errors
from psycopg.rows import class_row, dict_row
from psycopg.types.numeric import FloatLoader
from psycopg_pool import ConnectionPool, PoolTimeout

from streamlit_app.queries.viewer import EVERYONE, Viewer

logger = logging.getLogger(__name__)

Row = TypeVar("Row")
READER_ROLE = "call_coach_reader"
ROW_CAP = 5_000
_PAGE = " offset %(row_offset)s limit %(row_limit)s"
# a statement that looks up details row by row cuts its page before it does
_PAGES_ITSELF = "%(row_limit)s"
# beyond this an exact total costs more than it tells
COUNT_CAP = 1_000
WINDOW_END_TTL_S = 30.0

_WINDOW_END = """
select
    coalesce(
        least((now() at time zone 'UTC')::date, (ops.newest_scored_call_at() at time zone 'UTC')::date),
        (now() at time zone 'UTC')::date
    )
"""

# Every statement starts behind this: a query reaches people only through `visible_reps`.
_SCOPE = """
with visible_reps as (
    select dim_reps.rep_id
    from marts.dim_reps
    where
        %(sees_everyone)s
        or dim_reps.rep_id = %(viewer_id)s
        or (%(sees_a_team)s and %(viewer_id)s = any(dim_reps.manager_path))
),

-- windows end with the newest scored call, as the marts' own do: a warehouse that rested is not shown as idle
anchor as (
    select %(window_end)s::date as window_end
),

deleted_calls as (
    select fct_calls.call_id
    from marts.fct_calls
    where fct_calls.is_deleted
),
"""


class WarehouseError(Exception):
    """Something the person who asked can be told in plain words."""


class WarehouseDownError(WarehouseError):
    """Postgres does not answer."""


class NotBuiltYetError(WarehouseError):
    """The database answers but holds no marts."""


class TooSlowError(WarehouseError):
    """A statement ran into the time limit."""


class UnreadableValueError(WarehouseError):
    """A value that no column can hold: characters that are no text, a number or a date beyond what there is."""


@dataclass(frozen=True)
class Rows(Generic[Row]):
    """Typed rows in a stable order, and whether there are more than these."""

    rows: tuple[Row, ...]
    is_truncated: bool = False
    total: int | None = None

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return bool(self.rows)


def _name_viewer(connection: psycopg.Connection, rows_of: str) -> None:
    """Tell the policies on the marts who asks; forgotten with the transaction, so a pooled connection starts blank."""
    connection.execute("select set_config('call_coach.viewer', %s, true)", [rows_of])


class Database:
    """A pool of read-only connections; opened lazily, so making one never fails."""

    def __init__(
        self, database_url: str | None, *, statement_timeout_s: float = 10.0, max_connections: int = 8
    ) -> None:
        self._database_url = database_url
        self._statement_timeout_ms = int(statement_timeout_s * 1000)
        self._window_end: date | None = None
        self._window_end_until = 0.0
        self._pool = ConnectionPool(
            database_url or "",
            min_size=0,
            max_size=max_connections,
            open=False,
            timeout=5,
            max_idle=120,
            # a short give-up keeps a stopped server from blocking the requests after it is back
            reconnect_timeout=2,
            kwargs={
                "autocommit": True,
                "connect_timeout": 3,
                "application_name": "call-coach-desk",
                # statements with optional filters need a plan for the filters that were given
                "prepare_threshold": None,
            },
            configure=self._configure,
            check=ConnectionPool.check_connection,
            name="desk",
        )

    def _configure(self, connection: psycopg.Connection) -> None:
        connection.adapters.register_loader("numeric", FloatLoader)
        connection.execute(f"set role {READER_ROLE}")
        connection.execute("set default_transaction_read_only = on")
        connection.execute(f"set statement_timeout = {self._statement_timeout_ms}")
        connection.execute("set idle_in_transaction_session_timeout = '20s'")
        connection.execute("set time zone 'UTC'")
        # at these row counts compiling a plan costs more than running it
        connection.execute("set jit = off")

    def close(self) -> None:
        """Give every connection back to the server."""
        self._pool.close(timeout=2)

    @contextmanager
    def _connection(self):  # type: ignore[no-untyped-def]
        if not self._database_url:
            raise WarehouseDownError(
                "No database is configured. Set DATABASE_URL, or start everything with `call-coach up`."
            )
        try:
            if self._pool.closed:
                self._pool.open()
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise WarehouseDownError(
                "The database does not answer. Pages work again by themselves as soon as it is back."
            ) from error
        except errors.QueryCanceled as error:
            raise TooSlowError(
                f"The question took longer than {self._statement_timeout_ms / 1000:g} s and was stopped. "
                "Narrow it: a shorter window, one rep, or fewer words."
            ) from error
        except (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedColumn) as error:
            raise NotBuiltYetError(
                "The marts are not built yet, or are older than this dashboard. Run `call-coach run` "
                f"(the database said: {error.diag.message_primary})."
            ) from error
        except errors.InsufficientPrivilege as error:
            raise NotBuiltYetError(
                f"The role {READER_ROLE} may not read what this needs. Run `call-coach doctor` "
                f"(the database said: {error.diag.message_primary})."
            ) from error
        except psycopg.DataError as error:
            # the text of the error would repeat what was asked for
            logger.warning("a value was refused by the database, state %s", error.sqlstate)
            raise UnreadableValueError(
                "One of the values cannot be looked up: it holds characters that are no text, or a number or date "
                "beyond what there is. Correct it and ask again."
            ) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise WarehouseDownError(
                "The connection to the database broke. Try again: pages work as soon as it is back."
            ) from error

    def rows(
        self,
        viewer: Viewer,
        row_type: type[Row],
        statement: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        limit: int = ROW_CAP,
        offset: int = 0,
        with_total: bool = False,
        counted: str | None = None,
    ) -> Rows[Row]:
        """Run the rest of a `with` statement behind the viewer's scope and say when rows were cut.

        `counted` is a leaner statement with as many rows, where counting the full one would cost.
        """
        limit = max(1, min(limit, ROW_CAP))
        scoped_statement = _SCOPE + statement
        scoped_parameters = {
            **(parameters or {}),
            "viewer_id": viewer.viewer_id,
            "sees_everyone": viewer.sees_everyone,
            "sees_a_team": viewer.sees_a_team,
        }
        # a pipeline sends what frames the question along with it: two round trips instead of four
        with self._connection() as connection, connection.pipeline(), connection.transaction():
            _name_viewer(connection, viewer.rows_of)
            scoped_parameters["window_end"] = self._last_scored_day(connection)
            with connection.cursor(row_factory=class_row(row_type)) as cursor:
                cursor.execute(
                    scoped_statement if _PAGES_ITSELF in statement else scoped_statement + _PAGE,
                    {**scoped_parameters, "row_offset": max(0, offset), "row_limit": limit + 1},
                )
                fetched = cursor.fetchall()
            total = None
            if (with_total or counted) and fetched and len(fetched) <= limit:
                total = offset + len(fetched)
            elif with_total or counted:
                # both parts are constants of this package; values travel as parameters
                counting = f"select count(*) from ({_SCOPE}{counted or statement} limit {COUNT_CAP + 1}) as answer"  # noqa: S608
                found = connection.execute(counting, scoped_parameters).fetchone()
                total = found[0] if found and found[0] <= COUNT_CAP else None
        return Rows(rows=tuple(fetched[:limit]), is_truncated=len(fetched) > limit, total=total)

    def _last_scored_day(self, connection: psycopg.Connection) -> date:
        """The day windows end on; asked at most twice a minute, because every statement needs it."""
        if self._window_end is None or time.monotonic() >= self._window_end_until:
            found = connection.execute(_WINDOW_END).fetchone()
            self._window_end = found[0] if found else None
            self._window_end_until = time.monotonic() + WINDOW_END_TTL_S
        if self._window_end is None:
            raise LookupError("a select without a table always has a row")
        return self._window_end

    def row(
        self, viewer: Viewer, row_type: type[Row], statement: str, parameters: Mapping[str, Any] | None = None
    ) -> Row | None:
        """The first row, or none."""
        found = self.rows(viewer, row_type, statement, parameters, limit=1)
        return found.rows[0] if found else None

    def expected_rows(self, viewer: Viewer, statement: str, parameters: Mapping[str, Any]) -> int:
        """How many rows the planner's statistics expect of a statement, which is not run: under a millisecond."""
        with self._connection() as connection, connection.transaction():
            _name_viewer(connection, viewer.rows_of)
            found = connection.execute(f"explain (format json) {statement}", parameters).fetchone()
        return int(found[0][0]["Plan"]["Plan Rows"]) if found else 0

    def unscoped_rows(self, row_type: type[Row], statement: str) -> tuple[Row, ...]:
        """Who the people are: the one question that is asked before there is a viewer."""
        with self._connection() as connection, connection.transaction():
            _name_viewer(connection, EVERYONE)
            with connection.cursor(row_factory=class_row(row_type)) as cursor:
                return tuple(cursor.execute(statement).fetchall())

    def append(self, statement: str, parameters: Mapping[str, Any]) -> None:
        """Insert one row into `ops`; the role can do nothing else there."""
        with self._connection() as connection, connection.transaction():
            connection.execute("set transaction read write")
            connection.execute(statement, parameters)

    def probe(self) -> Mapping[str, Any]:
        """What the start-up check reports: the server's version and how many marts can be read."""
        with self._connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(
                "select current_setting('server_version') as server_version, current_user as role_name, "
                "count(*) filter (where has_table_privilege(tables.oid, 'select')) as n_marts "
                "from pg_class as tables join pg_namespace as schemas on schemas.oid = tables.relnamespace "
                "where schemas.nspname = 'marts' and tables.relkind in ('r', 'p')"
            ).fetchone()
