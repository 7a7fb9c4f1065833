"""What every loader shares between its API and the next commit: rows on their way, counts, problems, promises.

A promise (`after_commit`) is bookkeeping that may only become true once dlt has committed the rows before it.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from dlt_pipelines import answers, destination
from dlt_pipelines.bookkeeping import Bookkeeping
from dlt_pipelines.destination import Table, TableFiles, TableWriter
from dlt_pipelines.errors import (
    ApiError,
    KeyRejectedError,
    QuotaExhaustedError,
    ScopeMissingError,
    UnreachableError,
)
from dlt_pipelines.report import LoadReport, Problem, StreamReport

logger = logging.getLogger(__name__)


class Session:
    """One run of one loader."""

    def __init__(
        self,
        *,
        connection: psycopg.Connection,
        database_url: str,
        dataset: str,
        source: str,
        tables: Sequence[Table],
        folder: Path,
        on_progress: Callable[[str], None],
    ) -> None:
        self.connection = connection
        self.dataset = dataset
        self.on_progress = on_progress
        self.now = datetime.now(UTC)
        self.books = Bookkeeping(connection, schema=dataset, source=source)
        self.read: Counter[str] = Counter()
        self.written: Counter[str] = Counter()
        self.is_partial = False
        self.skipped: set[str] = set()
        self.failed: set[str] = set()
        self._database_url = database_url
        self._source = source
        self._problems: dict[tuple[str, str, str], Problem] = {}
        self._weeks: set[date] = set()
        self._promises: list[Callable[[], None]] = []
        self._create_missing_tables(tables, folder)
        self._writers = {
            table.name: TableWriter(
                table, folder, existing=destination.existing_columns(connection, dataset=dataset, table=table.name)
            )
            for table in tables
        }

    def guarded(self, stream: str, work: Callable[[], None]) -> None:
        """Run one stream; its failure is reported and does not touch the others."""
        try:
            work()
        except (KeyRejectedError, QuotaExhaustedError, UnreachableError):
            raise
        except ScopeMissingError as error:
            self.skipped.add(stream)
            self.problem(stream, error.scope, str(error), "The other streams were loaded")
        except ApiError as error:
            self.is_partial = True
            self.failed.add(stream)
            self.problem(stream, "stream", f"stopped: {error}", "What was read before is kept; run again")

    def write(self, table: Table, row: Mapping[str, Any], *, started: datetime | None = None) -> None:
        """Append a row; `started` marks the week of its call as changed."""
        writer = self._writers[table.name]
        writer.write(row)
        self.written[table.name] += 1
        self.mark_week(started)
        if writer.n_bytes >= destination.PACKAGE_BYTES:
            self.commit()

    def mark_week(self, started: datetime | None) -> None:
        if started is not None:
            self._weeks.add((started - timedelta(days=started.weekday())).date())

    @property
    def n_waiting_bytes(self) -> int:
        return sum(writer.n_bytes for writer in self._writers.values())

    def after_commit(self, promise: Callable[[], None]) -> None:
        """Do this once everything written so far is in the database."""
        self._promises.append(promise)

    def commit(self) -> None:
        """Have dlt load everything written so far, then keep the promises."""
        packed = [
            TableFiles(table=writer.table, columns=dict(writer.columns), files=files)
            for writer in self._writers.values()
            if (files := writer.take())
        ]
        if packed:
            self.on_progress(f"writing {sum(n for table in packed for _, n in table.files)} rows")
            self._load(packed)
        promises, self._promises = self._promises, []
        for promise in promises:
            promise()

    def stored_hashes(self, table: Table, keys: Sequence[str] | None = None) -> dict[str, str]:
        return destination.stored_hashes(self.connection, dataset=self.dataset, table=table, keys=keys)

    def problem(self, stream: str, key: str, what: str, what_to_do: str) -> None:
        problem = Problem(stream=stream, key=key, what=what, what_to_do=what_to_do)
        if self._problems.setdefault((stream, key, what), problem) is problem:
            logger.warning("%s", problem)

    def dead_letter(self, stream: str, item: Any, error: str, *, key: str | None = None) -> None:
        """Keep what cannot be loaded and say so."""
        key = key or answers.content_hash([item], row_version="")[:16]
        is_kept = self.books.dead_letter(stream=stream, key=key, payload=item, error=error)
        self.problem(
            stream,
            key,
            error,
            "Its payload is kept in ops.dead_letters; see `call-coach dead-letters show`"
            if is_kept
            else "It was not kept, because the database has no ops.dead_letters: run the migrations",
        )

    def report(self, streams: Sequence[str], *, requests: Mapping[str, int]) -> LoadReport:
        return LoadReport(
            streams={
                name: StreamReport(
                    rows_read=self.read[name], rows_written=self.written[name], requests=requests.get(name, 0)
                )
                for name in streams
            },
            problems=tuple(self._problems.values()),
            is_partial=self.is_partial,
            changed_weeks=tuple(sorted(self._weeks)),
        )

    def _load(self, packed: Sequence[TableFiles]) -> None:
        destination.load_package(
            database_url=self._database_url, dataset=self.dataset, pipeline=self._source, tables=packed
        )
        for table in packed:
            for path, _ in table.files:
                path.unlink(missing_ok=True)

    def _create_missing_tables(self, tables: Sequence[Table], folder: Path) -> None:
        """Every declared table and column exists before anything is read, also what nothing is written to."""
        missing = [
            TableFiles(table=table, columns=table.columns, files=TableWriter(table, folder, existing={}).take_empty())
            for table in tables
            if not table.columns.keys()
            <= destination.existing_columns(self.connection, dataset=self.dataset, table=table.name).keys()
        ]
        if missing:
            self._load(missing)
        for table in tables:
            if not table.has_history:
                destination.index_key(self.connection, dataset=self.dataset, table=table)
