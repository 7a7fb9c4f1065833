"""Load Gong into `raw_gong`: read by window, write only what changed, remember what is still owed.

    pages of calls ----> content hash differs? ----> package of CSV files ----> dlt copies and merges
         | 100 ids              ^                                                    | committed
         +-> transcripts -------+                                                    v
                                                         progress, owed transcripts, dead letters are updated

Nothing is marked as done before dlt has committed it, and everything may be read twice: that is why a kill at any
moment loses nothing and doubles nothing. Run alone: `python -m dlt_pipelines.gong`.
"""

import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import psycopg

from dlt_pipelines import answers, destination
from dlt_pipelines.bookkeeping import Bookkeeping, Owed, subject_sha256
from dlt_pipelines.errors import (
    ApiError,
    CursorLostError,
    KeyRejectedError,
    QuotaExhaustedError,
    ScopeMissingError,
    TypeFlipError,
)
from dlt_pipelines.gong import tables
from dlt_pipelines.gong.client import GongClient, Page
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.quota import Quota
from dlt_pipelines.report import LoadReport, Problem, StreamReport

logger = logging.getLogger(__name__)

Mode = Literal["incremental", "full", "backfill"]

DATASET = "raw_gong"
STREAMS = ("users", "calls", "transcripts")
TABLES = (tables.USERS, tables.CALLS, tables.TRANSCRIPTS)
IDS_PER_REQUEST = 100
WINDOW_RESTARTS = 3
# a window with fewer calls than this makes the next one twice as long: half-empty pages cost quota
CALLS_WORTH_A_WINDOW = 500
LONGEST_WINDOW = timedelta(days=366)


def load(
    *,
    database_url: str,
    settings: GongSettings,
    streams: Sequence[str] | None = None,
    mode: Mode = "incremental",
    window: tuple[datetime, datetime] | None = None,
    call_ids: Sequence[str] | None = None,
    on_progress: Callable[[str], None] = logger.info,
) -> LoadReport:
    """Load Gong into the database and say what happened.

    Args:
        database_url: where to; tables are created as needed.
        settings: the company's key and the loader's limits.
        streams: which of `STREAMS`; all by default.
        mode: `incremental` reads from the last progress minus the look-back, `full` reads everything again and finds
            deleted calls, `backfill` reads `window` and resumes where an interrupted backfill of it stopped.
        window: calls that started in [from, to) instead of what the mode would choose.
        call_ids: only these calls.
        on_progress: gets a line now and then.

    Raises:
        ApiError: when nothing at all can be loaded (key refused, wrong host, another load holds the lock).
    """
    wanted = tuple(streams) if streams is not None else STREAMS
    if unknown := set(wanted) - set(STREAMS):
        raise ValueError(f"unknown streams {sorted(unknown)}; choose from {', '.join(STREAMS)}")
    if mode == "backfill" and window is None and not call_ids:
        raise ValueError("a backfill needs a window (from, to)")
    if window is not None:
        window = (_aware(window[0]), _aware(window[1]))
        if window[0] >= window[1]:
            raise ValueError(f"the window ends ({window[1]}) before it starts ({window[0]})")
    with (
        destination.connect(database_url) as connection,
        tempfile.TemporaryDirectory(prefix="call_coach_gong_") as folder,
    ):
        deadline = time.monotonic() + settings.lock_wait_s
        while True:
            with destination.one_at_a_time(connection, name=f"{DATASET} load") as has_lock:
                if has_lock:
                    return _Load(
                        connection=connection,
                        database_url=database_url,
                        settings=settings,
                        folder=Path(folder),
                        on_progress=on_progress,
                    ).run(wanted, mode=mode, window=window, call_ids=call_ids)
            if time.monotonic() >= deadline:
                raise ApiError(
                    f"another Gong load has held this database for {settings.lock_wait_s:.0f} s. "
                    "Wait for it to end, or raise GONG_LOCK_WAIT_S"
                )
            on_progress("waiting for another Gong load of this database to end")
            time.sleep(1.0)


class _Load:
    """One run; holds what is between the API and the next commit."""

    def __init__(
        self,
        *,
        connection: psycopg.Connection,
        database_url: str,
        settings: GongSettings,
        folder: Path,
        on_progress: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._database_url = database_url
        self._settings = settings
        self._on_progress = on_progress
        self._now = datetime.now(UTC)
        self._books = Bookkeeping(connection, schema=DATASET, source="gong")
        self._erased_calls = self._books.tombstones("call")
        self._erased_reps = self._books.tombstones("rep")
        self._erased_accounts = self._books.tombstones("account")
        quota = Quota(
            connection,
            schema=DATASET,
            api=f"gong {settings.api_base_url}",
            per_second=settings.requests_per_second,
            per_day=settings.daily_requests,
        )
        self._client = GongClient(settings, quota)
        self._create_missing_tables(folder)
        self._writers = {
            table.name: destination.TableWriter(
                table, folder, existing=destination.existing_columns(connection, dataset=DATASET, table=table.name)
            )
            for table in TABLES
        }
        self._read: Counter[str] = Counter()
        self._written: Counter[str] = Counter()
        self._problems: dict[tuple[str, str, str], Problem] = {}
        self._weeks: set[date] = set()
        self._is_partial = False
        self._skipped: set[str] = set()
        self._failed: set[str] = set()
        # what this run has seen: a duplicate across pages or a window that starts again must not be written twice
        self._seen_calls: dict[str, str] = {}
        self._to_ask: dict[str, datetime | None] = {}
        self._asked: set[str] = set()
        # settled by the next commit
        self._arrived: list[str] = []
        self._progress: tuple[str, datetime] | None = None

    def run(
        self,
        wanted: Sequence[str],
        *,
        mode: Mode,
        window: tuple[datetime, datetime] | None,
        call_ids: Sequence[str] | None,
    ) -> LoadReport:
        wants_transcripts = "transcripts" in wanted
        with self._client:
            try:
                if "users" in wanted:
                    self._guarded("users", self._load_users)
                if call_ids:
                    self._guarded(
                        "calls", lambda: self._load_calls_by_id(call_ids, wants_transcripts=wants_transcripts)
                    )
                elif "calls" in wanted:
                    self._guarded("calls", lambda: self._load_calls(mode, window, wants_transcripts=wants_transcripts))
                elif wants_transcripts:
                    self._guarded("transcripts", lambda: self._reread_transcripts(mode, window))
                self._drain_transcripts()
                self._commit()
                if wants_transcripts and not call_ids:
                    self._guarded("transcripts", self._ask_owed_transcripts)
            except QuotaExhaustedError as error:
                self._is_partial = True
                self._problem("load", mode, f"stopped early: {error}", "The next run resumes here")
            self._commit()
        return LoadReport(
            streams={
                name: StreamReport(
                    rows_read=self._read[name],
                    rows_written=self._written[name],
                    requests=self._client.requests[name],
                )
                for name in wanted
            },
            problems=tuple(self._problems.values()),
            is_partial=self._is_partial,
            changed_weeks=tuple(sorted(self._weeks)),
        )

    def _guarded(self, stream: str, work: Callable[[], None]) -> None:
        """Run one stream; its failure is reported and does not touch the others."""
        try:
            work()
        except (KeyRejectedError, QuotaExhaustedError):
            raise
        except ScopeMissingError as error:
            self._problem(stream, error.scope, str(error), "The other streams were loaded")
            self._skipped.add(stream)
        except ApiError as error:
            self._is_partial = True
            self._failed.add(stream)
            self._problem(stream, "stream", f"stopped: {error}", "What was read before is kept; run again")

    # users

    def _load_users(self) -> None:
        rows: dict[str, dict[str, Any]] = {}
        total: int | None = None
        for page in self._client.pages("GET", "/v2/users", stream="users", items_key="users"):
            total = page.total_records if page.total_records is not None else total
            for item in page.items:
                if not isinstance(item, dict) or not isinstance(item.get("id"), str):
                    self._dead_letter("users", item, "the user has no id")
                    continue
                self._read["users"] += 1
                if subject_sha256(item["id"]) not in self._erased_reps:
                    rows[item["id"]] = tables.plain_row(item, now=self._now)
        stored = set(destination.stored_hashes(self._connection, dataset=DATASET, table=tables.USERS).values())
        if not rows or (total is not None and self._read["users"] < total):
            if stored or total:
                self._is_partial = True
                self._problem(
                    "users",
                    "snapshot",
                    f"Gong delivered {len(rows)} of {total if total is not None else 'an unknown number of'} users; "
                    "an incomplete list would retire the others, so the known ones stay as they are",
                    "Run again; if it stays like this, check the key's access to users",
                )
            return
        fresh = {row["content_hash"] for row in rows.values()}
        if fresh == stored:
            return
        for row in rows.values():
            self._writers["users"].write(row)
        self._written["users"] = len(fresh - stored)
        self._on_progress(f"users: {len(rows)} known, {len(fresh - stored)} new or changed")

    # calls

    def _load_calls(self, mode: Mode, window: tuple[datetime, datetime] | None, *, wants_transcripts: bool) -> None:
        job, begin, end = self._plan(mode, window)
        span = timedelta(days=self._settings.window_days)
        at = begin
        while at < end:
            until = min(at + span, end)
            n_calls = self._load_window(at, until, wants_transcripts=wants_transcripts)
            if n_calls < CALLS_WORTH_A_WINDOW:
                span = min(span * 2, LONGEST_WINDOW)
            at = until
            if job and self._may_progress():
                self._progress = (job, until)
                if sum(writer.n_bytes for writer in self._writers.values()) >= destination.PACKAGE_BYTES:
                    self._drain_transcripts()
                    self._commit()
        if self._may_progress():
            self._drain_transcripts()
            self._commit()
            if job and job != "incremental":
                self._books.forget_progress(job)

    def _plan(self, mode: Mode, window: tuple[datetime, datetime] | None) -> tuple[str | None, datetime, datetime]:
        """(the job whose progress is kept, from, to)."""
        if mode == "incremental":
            if window:
                return None, *window
            done_until = self._books.done_until("incremental")
            look_back = timedelta(days=self._settings.look_back_days)
            history = timedelta(days=self._settings.history_days)
            return "incremental", (done_until - look_back if done_until else self._now - history), self._now
        begin, end = window or (self._earliest_call(), self._now)
        job = f"backfill {begin.isoformat()} {end.isoformat()}" if mode == "backfill" else "full"
        return job, max(begin, self._books.done_until(job) or begin), end

    def _earliest_call(self) -> datetime:
        row = self._connection.execute("select min(started) from raw_gong.calls").fetchone()
        history = self._now - timedelta(days=self._settings.history_days)
        return min(row[0], history) if row and row[0] else history

    def _load_window(self, begin: datetime, end: datetime, *, wants_transcripts: bool) -> int:
        where = f"{begin:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}"
        call_filter = {"fromDateTime": begin.isoformat(), "toDateTime": end.isoformat()}
        for attempt in range(1, WINDOW_RESTARTS + 1):
            received: set[str] = set()
            total: int | None = None
            try:
                for page in self._call_pages(where, call_filter):
                    total = page.total_records if page.total_records is not None else total
                    received.update(self._take_calls(page.items, wants_transcripts=wants_transcripts))
                    self._on_progress(f"calls {where}: {len(received)} of {total if total is not None else '?'} read")
            except CursorLostError as error:
                if attempt == WINDOW_RESTARTS:
                    raise ApiError(f"{error}. The window was started {attempt} times; run again later") from error
                logger.warning("%s; the window starts again", error)
                continue
            self._check_window(begin, end, where, received=len(received), total=total)
            return len(received)
        raise AssertionError("unreachable")

    def _call_pages(self, where: str, call_filter: Mapping[str, Any]) -> Iterator[Page]:
        return self._client.pages(
            "POST",
            "/v2/calls/extensive",
            stream="calls",
            where=where,
            items_key="calls",
            body={"filter": call_filter, "contentSelector": tables.CONTENT_SELECTOR},
        )

    def _check_window(self, begin: datetime, end: datetime, where: str, *, received: int, total: int | None) -> None:
        """Compare what came with what Gong announced and with what is known."""
        if received:
            return
        row = self._connection.execute(
            "select count(*) from raw_gong.calls where started >= %s and started < %s and not is_deleted",
            [begin, end],
        ).fetchone()
        if row and row[0]:
            self._problem(
                "calls",
                where,
                f"Gong returned nothing for a window in which {row[0]} calls are known",
                "If they were not deleted, the key has lost sight of them: check its permissions",
            )

    def _load_calls_by_id(self, call_ids: Sequence[str], *, wants_transcripts: bool) -> None:
        for batch in _batches(list(dict.fromkeys(call_ids)), IDS_PER_REQUEST):
            where = f"{len(batch)} calls by id"
            received: set[str] = set()
            for page in self._call_pages(where, {"callIds": batch}):
                received.update(self._take_calls(page.items, wants_transcripts=wants_transcripts))
            for call_id in batch:
                if call_id not in received:
                    self._problem(
                        "calls",
                        call_id,
                        "Gong does not return this call",
                        "It may be in analysis, private or deleted; a later look-back read finds it when it appears",
                    )

    def _take_calls(self, items: Iterable[Any], *, wants_transcripts: bool) -> list[str]:
        """Write the changed calls of one page and queue their transcripts; returns every id that came."""
        received: list[str] = []
        rows: dict[str, dict[str, Any]] = {}
        for item in items:
            meta = item.get("metaData") if isinstance(item, dict) else None
            call_id = meta.get("id") if isinstance(meta, dict) else None
            if not isinstance(call_id, str) or not call_id:
                self._dead_letter("calls", item, "the call has no metaData.id of type text")
                continue
            self._read["calls"] += 1
            received.append(call_id)
            if self._is_erased(call_id, item):
                continue
            if item["metaData"].get("isPrivate") is True and not self._settings.include_private_calls:
                continue
            rows[call_id] = tables.call_row(item, now=self._now)
        stored = destination.stored_hashes(self._connection, dataset=DATASET, table=tables.CALLS, keys=list(rows))
        for call_id, row in rows.items():
            if wants_transcripts and call_id not in self._asked:
                self._to_ask[call_id] = tables.moment(row.get("started"))
            if self._seen_calls.get(call_id, stored.get(call_id)) == row["content_hash"]:
                continue
            if call_id in self._seen_calls:
                self._commit_rows()
            self._write("calls", row, started=row.get("started"))
            self._seen_calls[call_id] = row["content_hash"]
        while len(self._to_ask) >= IDS_PER_REQUEST:
            self._ask_queued()
        return received

    def _is_erased(self, call_id: str, item: Mapping[str, Any]) -> bool:
        return (
            subject_sha256(call_id) in self._erased_calls
            or subject_sha256(str(item["metaData"].get("primaryUserId"))) in self._erased_reps
            or (
                bool(self._erased_accounts)
                and any(
                    kind == "Account" and subject_sha256(object_id) in self._erased_accounts
                    for kind, object_id in tables.crm_object_ids(item)
                )
            )
        )

    # transcripts

    def _drain_transcripts(self) -> None:
        while self._to_ask:
            self._ask_queued()

    def _ask_queued(self) -> None:
        batch = dict(list(self._to_ask.items())[:IDS_PER_REQUEST])
        for call_id in batch:
            del self._to_ask[call_id]
        if "transcripts" not in self._skipped | self._failed:
            self._guarded("transcripts", lambda: self._ask_transcripts(batch))

    def _ask_transcripts(self, batch: Mapping[str, datetime | None]) -> None:
        self._asked.update(batch)
        rows: dict[str, dict[str, Any]] = {}
        for page in self._client.pages(
            "POST",
            "/v2/calls/transcript",
            stream="transcripts",
            where=f"{len(batch)} calls from {next(iter(batch))}",
            items_key="callTranscripts",
            body={"filter": {"callIds": list(batch)}},
        ):
            for item in page.items:
                call_id = item.get("callId") if isinstance(item, dict) else None
                if not isinstance(call_id, str) or not call_id:
                    self._dead_letter("transcripts", item, "the transcript has no callId of type text")
                elif not isinstance(item.get("transcript"), list):
                    raise TypeFlipError(
                        f"transcripts {call_id}: transcript is a {type(item.get('transcript')).__name__}, not a list. "
                        "The stream stops here; nothing that was loaded changes"
                    )
                elif call_id not in batch:
                    self._unknown_transcript(item)
                else:
                    self._read["transcripts"] += 1
                    rows[call_id] = tables.transcript_row(item, started=_text(batch[call_id]), now=self._now)
        stored = destination.stored_hashes(self._connection, dataset=DATASET, table=tables.TRANSCRIPTS, keys=list(rows))
        for call_id, row in rows.items():
            if stored.get(call_id) != row["content_hash"]:
                self._write("transcripts", row, started=row["started"])
            self._arrived.append(call_id)
        for call_id in batch:
            if call_id not in rows:
                self._miss_transcript(call_id, batch[call_id])

    def _unknown_transcript(self, item: Mapping[str, Any]) -> None:
        """A transcript that nobody asked for: fine when its call is known, else kept aside."""
        call_id = item["callId"]
        if call_id in self._asked or call_id in self._to_ask or subject_sha256(call_id) in self._erased_calls:
            return
        self._dead_letter("transcripts", item, "its call is unknown", key=call_id)

    def _miss_transcript(self, call_id: str, started: datetime | None) -> None:
        owed = self._books.owe("transcript", call_id, {"started": _text(started)})
        gives_up_at = owed.first_seen_at + timedelta(days=self._settings.give_up_after_days)
        if datetime.now(UTC) < gives_up_at:
            self._problem(
                "transcripts",
                call_id,
                f"the call has no transcript yet (asked {owed.attempts} times)",
                f"Nothing: it is asked for again until {gives_up_at:%Y-%m-%d %H:%M} UTC",
            )
        elif self._books.give_up("transcript", call_id):
            self._books.dead_letter(
                stream="transcripts",
                key=call_id,
                payload=None,
                error=f"no transcript in {self._settings.give_up_after_days} days and {owed.attempts} attempts",
                status="given_up",
            )
            self._problem(
                "transcripts",
                call_id,
                f"given up after {owed.attempts} attempts since {owed.first_seen_at:%Y-%m-%d}",
                "The call may hold no speech; retry it with `call-coach dead-letters retry`",
            )

    def _ask_owed_transcripts(self) -> None:
        """Ask again for transcripts that are missing in the database, whatever the reason."""
        self._commit()
        due: list[Owed] = self._books.owed("transcript")
        rows = self._connection.execute(
            "select c.id, c.started from raw_gong.calls as c "
            "left join raw_gong.transcripts as t on t.call_id = c.id "
            "left join raw_gong._owed as o on o.kind = 'transcript' and o.key = c.id "
            "where t.call_id is null and not c.is_deleted and (o.key is null or o.key = any(%s)) order by c.started",
            [[owed.key for owed in due]],
        ).fetchall()
        missing = {call_id: started for call_id, started in rows if call_id not in self._asked}
        for batch in _batches(list(missing), IDS_PER_REQUEST):
            self._ask_transcripts({call_id: missing[call_id] for call_id in batch})

    def _reread_transcripts(self, mode: Mode, window: tuple[datetime, datetime] | None) -> None:
        """Transcripts of the known calls of the span that the mode would read."""
        _, begin, end = self._plan(mode, window)
        rows = self._connection.execute(
            "select id, started from raw_gong.calls "
            "where started >= %s and started < %s and not is_deleted order by started",
            [begin, end],
        ).fetchall()
        for batch in _batches(rows, IDS_PER_REQUEST):
            self._ask_transcripts(dict(batch))

    # writing

    def _write(self, stream: str, row: Mapping[str, Any], *, started: Any) -> None:
        self._writers[stream].write(row)
        self._written[stream] += 1
        at = tables.moment(started) if isinstance(started, str) else started
        if at is not None:
            self._weeks.add((at - timedelta(days=at.weekday())).date())
        if self._writers[stream].n_bytes >= destination.PACKAGE_BYTES:
            self._commit_rows()

    def _commit_rows(self) -> None:
        """Have dlt load everything that was written to files so far."""
        packed = [
            destination.TableFiles(table=writer.table, columns=dict(writer.columns), files=files)
            for writer in self._writers.values()
            if (files := writer.take())
        ]
        if packed:
            n_rows = sum(rows for table_files in packed for _, rows in table_files.files)
            self._on_progress(f"writing {n_rows} rows")
            destination.load_package(database_url=self._database_url, dataset=DATASET, pipeline="gong", tables=packed)
            for loaded in packed:
                for path, _ in loaded.files:
                    path.unlink(missing_ok=True)
        if self._arrived:
            self._books.paid("transcript", self._arrived)
            self._books.resolve_dead_letters(stream="transcripts", keys=self._arrived)
            self._arrived = []

    def _commit(self) -> None:
        """Load what was written, then remember how far the job has come."""
        self._commit_rows()
        if self._progress and not self._to_ask and self._may_progress():
            self._books.set_done_until(*self._progress)
            self._progress = None

    def _may_progress(self) -> bool:
        """A missing scope holds nothing up: transcripts that calls lack are found in the tables once it is granted."""
        return not self._failed & {"calls", "transcripts"}

    def _create_missing_tables(self, folder: Path) -> None:
        """Every declared table exists after the first load, also those that nothing was written to."""
        missing = []
        for table in TABLES:
            if not destination.existing_columns(self._connection, dataset=DATASET, table=table.name):
                writer = destination.TableWriter(table, folder, existing={})
                missing.append(destination.TableFiles(table=table, columns=table.columns, files=writer.take_empty()))
        if missing:
            destination.load_package(database_url=self._database_url, dataset=DATASET, pipeline="gong", tables=missing)
        for table in TABLES:
            if not table.has_history:
                destination.index_key(self._connection, dataset=DATASET, table=table)

    # reporting

    def _problem(self, stream: str, key: str, what: str, what_to_do: str) -> None:
        problem = Problem(stream=stream, key=key, what=what, what_to_do=what_to_do)
        if self._problems.setdefault((stream, key, what), problem) is problem:
            logger.warning("%s", problem)

    def _dead_letter(self, stream: str, item: Any, error: str, *, key: str | None = None) -> None:
        key = key or answers.content_hash([item], row_version="")[:16]
        is_kept = self._books.dead_letter(stream=stream, key=key, payload=item, error=error)
        self._problem(
            stream,
            key,
            error,
            "Its payload is kept in ops.dead_letters; see `call-coach dead-letters show`"
            if is_kept
            else "It was not kept, because the database has no ops.dead_letters: run the migrations",
        )


def _batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for at in range(0, len(items), size):
        yield list(items[at : at + size])


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
