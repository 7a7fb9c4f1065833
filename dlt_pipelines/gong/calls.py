"""Calls and their transcripts: windows, look-back, what Gong owes, what it deleted, what must stay out."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal

from dlt_pipelines import answers, destination
from dlt_pipelines.bookkeeping import subject_sha256
from dlt_pipelines.errors import ApiError, BadAnswerError, CursorLostError, TypeFlipError
from dlt_pipelines.gong import tables
from dlt_pipelines.gong.client import GongClient, Page
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.session import Session

logger = logging.getLogger(__name__)

Mode = Literal["incremental", "full", "backfill"]

IDS_PER_REQUEST = 100
WINDOW_RESTARTS = 4
# a window with fewer calls than this makes the next one twice as long: half-empty pages cost quota
CALLS_WORTH_A_WINDOW = 500
LONGEST_WINDOW = timedelta(days=366)
DAY = timedelta(days=1)
# finding the day of a missing call by halving costs requests; what is not found with these is owed as a longer span
REQUESTS_PER_GAP = 10
# deleting is rare: when more than this is gone at once, the key has more likely lost sight of calls
PLAUSIBLE_DELETES = 10
PLAUSIBLE_DELETED_SHARE = 0.2


@dataclass(frozen=True)
class Plan:
    """Which span is read, and under which name its progress is kept."""

    begin: datetime
    end: datetime
    job: str | None


class CallLoader:
    """One run over calls and transcripts."""

    def __init__(
        self, session: Session, client: GongClient, settings: GongSettings, *, wants_transcripts: bool
    ) -> None:
        self._session = session
        self._client = client
        self._settings = settings
        self._wants_transcripts = wants_transcripts
        self._erased_calls = session.books.tombstones("call")
        self._erased_reps = session.books.tombstones("rep")
        self._erased_accounts = session.books.tombstones("account")
        # what this run has seen: a duplicate across pages or a window that starts again must not be written twice
        self._received: dict[str, datetime | None] = {}
        self._written: dict[str, str] = {}
        self._to_ask: dict[str, datetime | None] = {}
        self._asked: set[str] = set()
        self._windows_read: list[tuple[datetime, datetime]] = []

    # which span

    def plan(self, mode: Mode, window: tuple[datetime, datetime] | None) -> Plan:
        """Turn a mode into a span; an interrupted backfill or full load goes on where it stopped."""
        session, settings = self._session, self._settings
        if mode == "incremental":
            if window:
                return Plan(*window, job=None)
            done_until = session.books.done_until("incremental")
            begin = (
                done_until - timedelta(days=settings.look_back_days)
                if done_until
                else session.now - timedelta(days=settings.history_days)
            )
            return Plan(begin, session.now, job="incremental")
        begin, end = window or (self._earliest_call(), session.now)
        job = f"{mode} {begin.isoformat()} {end.isoformat()}" if window else mode
        return Plan(max(begin, session.books.done_until(job) or begin), end, job)

    def _earliest_call(self) -> datetime:
        row = self._session.connection.execute("select min(started) from raw_gong.calls").fetchone()
        history = self._session.now - timedelta(days=self._settings.history_days)
        return min(row[0], history) if row and row[0] else history

    # reading by window

    def load_span(self, plan: Plan, *, finds_deletes: bool) -> None:
        """Read a span window by window; progress is kept after each window that is safely stored."""
        session = self._session
        span = timedelta(days=self._settings.window_days)
        at = plan.begin
        while at < plan.end:
            until = min(at + span, plan.end)
            n_calls, n_owed = self._load_window(at, until)
            if finds_deletes and not n_owed:
                self._mark_deleted(at, until)
            if n_calls < CALLS_WORTH_A_WINDOW:
                span = min(span * 2, LONGEST_WINDOW)
            at = until
            if plan.job:
                self.drain()
            if plan.job and self._may_progress():
                session.after_commit(self._progress_keeper(plan.job, until))
                if session.n_waiting_bytes >= destination.PACKAGE_BYTES:
                    session.commit()
        self.drain()
        session.commit()
        if plan.job and self._may_progress():
            if plan.job != "incremental":
                session.books.forget_progress(plan.job)
            if plan.job == "full":
                session.books.set_done_until("incremental", plan.end)

    def _may_progress(self) -> bool:
        """A missing scope holds nothing up: transcripts that calls lack are found in the tables once it is granted."""
        return not self._session.failed & {"calls", "transcripts"}

    def _progress_keeper(self, job: str, until: datetime) -> Callable[[], None]:
        return lambda: self._session.books.set_done_until(job, until)

    def _load_window(self, begin: datetime, end: datetime) -> tuple[int, int]:
        """Read one window; returns how many calls came and how many Gong still owes."""
        where = _where(begin, end)
        call_filter = {"fromDateTime": begin.isoformat(), "toDateTime": end.isoformat()}
        for attempt in range(1, WINDOW_RESTARTS + 1):
            received: dict[str, datetime | None] = {}
            total: int | None = None
            try:
                for page in self._call_pages(where, call_filter):
                    total = page.total_records if page.total_records is not None else total
                    received.update(self._take(page.items))
                    announced = f" of {total}" if total is not None else ""
                    self._session.on_progress(f"calls {where}: {len(received)}{announced} read")
            except CursorLostError as error:
                if attempt == WINDOW_RESTARTS:
                    raise ApiError(f"{error}. The window was started {attempt} times; run again later") from error
                logger.warning("%s; the window starts again", error)
                continue
            break
        self._windows_read.append((begin, end))
        if not received:
            self._doubt_emptiness(begin, end)
        n_owed = self._note_gaps(begin, end, received, max(0, (total or 0) - len(received)))
        return len(received), n_owed

    def _call_pages(self, where: str, call_filter: Mapping[str, Any]) -> Iterator[Page]:
        return self._client.pages(
            "POST",
            "/v2/calls/extensive",
            stream="calls",
            where=where,
            items_key="calls",
            body={"filter": call_filter, "contentSelector": tables.CONTENT_SELECTOR},
        )

    def _take(self, items: Iterable[Any]) -> dict[str, datetime | None]:
        """Write the changed calls of one page and queue their transcripts; returns id and start of all that came."""
        session = self._session
        received: dict[str, datetime | None] = {}
        rows: dict[str, dict[str, Any]] = {}
        kept_out: dict[str, str] = {}
        for item in items:
            meta = item.get("metaData") if isinstance(item, dict) else None
            call_id = meta.get("id") if isinstance(meta, dict) else None
            if not isinstance(meta, dict) or not call_id:
                session.dead_letter("calls", item, "the call has no metaData.id")
                continue
            if not isinstance(call_id, str):
                raise TypeFlipError(
                    f"calls {call_id}: metaData.id is a {type(call_id).__name__}, not text. The stream stops here; "
                    "nothing that was loaded changes"
                )
            session.read["calls"] += 1
            received[call_id] = answers.moment(meta.get("started"))
            if self._is_erased(call_id, item):
                kept_out[call_id] = "it was erased here"
                continue
            if meta.get("isPrivate") is True and not self._settings.include_private_calls:
                kept_out[call_id] = "it is private"
                self._withdraw(call_id)
                continue
            rows[call_id] = tables.call_row(item, now=session.now)
        stored = session.stored_hashes(tables.CALLS, list(rows))
        for call_id, row in rows.items():
            if self._wants_transcripts and call_id not in self._asked:
                self._to_ask[call_id] = received[call_id]
            if self._written.get(call_id, stored.get(call_id)) == row["content_hash"]:
                continue
            if call_id in self._written:
                # one package holds one version of a call: which of two would win the merge is not defined
                session.commit()
            session.write(tables.CALLS, row, started=received[call_id])
            self._written[call_id] = row["content_hash"]
        self._received.update(received)
        session.after_commit(self._call_settler(list(received), kept_out))
        while len(self._to_ask) >= IDS_PER_REQUEST:
            self._ask_queued()
        return received

    def _call_settler(self, call_ids: Sequence[str], kept_out: Mapping[str, str]) -> Callable[[], None]:
        def settle() -> None:
            books = self._session.books
            books.paid("call", call_ids)
            books.keep_out(kept_out)
            books.let_in(call_id for call_id in call_ids if call_id not in kept_out)
            books.resolve_dead_letters(stream="calls", keys=call_ids)
            books.forget_imports("call", call_ids)

        return settle

    # what must stay out

    def _is_erased(self, call_id: str, item: Mapping[str, Any]) -> bool:
        return (
            subject_sha256(call_id) in self._erased_calls
            or subject_sha256(str(item["metaData"].get("primaryUserId"))) in self._erased_reps
            or (
                bool(self._erased_accounts)
                and any(
                    kind in ("Account", "Company") and subject_sha256(object_id) in self._erased_accounts
                    for kind, object_id in tables.crm_object_ids(item)
                )
            )
        )

    def _withdraw(self, call_id: str) -> None:
        """A call that was public and is private now keeps its row, without anything that was said in it."""
        connection = self._session.connection
        with connection.transaction():
            row = connection.execute(
                "update raw_gong.calls set is_private = true, is_deleted = true, title = null, context = null, "
                "parties = null, content = null, interaction = null, collaboration = null, content_hash = null, "
                "loaded_at = now() where id = %s and not is_deleted returning started",
                [call_id],
            ).fetchone()
            connection.execute("delete from raw_gong.transcripts where call_id = %s", [call_id])
        if row:
            self._session.written["calls"] += 1
            self._session.mark_week(row[0])
            self._session.problem(
                "calls",
                call_id,
                "the call has become private; its content was removed",
                "Set GONG_INCLUDE_PRIVATE_CALLS=true if private calls may be kept",
            )

    # what Gong owes

    def _doubt_emptiness(self, begin: datetime, end: datetime) -> None:
        n_known = len(self._known(begin, end))
        if n_known:
            self._session.problem(
                "calls",
                _where(begin, end),
                f"Gong returned nothing for a window in which {n_known} calls are known",
                "If they were not deleted, the key has lost sight of them: check its permissions",
            )

    def _known(self, begin: datetime, end: datetime) -> set[str]:
        """Calls of the window that are stored and came from Gong's API."""
        rows = self._session.connection.execute(
            "select id from raw_gong.calls as c where started >= %s and started < %s and not is_deleted "
            "and not exists (select from raw_gong._imports as i where i.kind = 'call' and i.key = c.id)",
            [begin, end],
        ).fetchall()
        return {row[0] for row in rows}

    def _note_gaps(self, begin: datetime, end: datetime, received: Mapping[str, datetime | None], missing: int) -> int:
        """Gong counts calls before it shows them: remember the days; returns how many calls are still hoped for."""
        books = self._session.books
        known = {
            owed.key: owed
            for owed in books.owed("day", is_due=False, with_given_up=True)
            if self._covers((begin, end), owed.key)
        }
        if not missing:
            books.paid("day", known)
            return 0
        if sum(int(owed.detail.get("missing", 0)) for owed in known.values()) == missing:
            found = {key: int(owed.detail["missing"]) for key, owed in known.items()}
        else:
            found = self._locate_gaps(begin, end, missing, received)
            books.paid("day", known.keys() - found.keys())
        return sum(n_missing for key, n_missing in found.items() if self._owe_day(key, n_missing))

    def _covers(self, window: tuple[datetime, datetime], key: str) -> bool:
        """Whether the window holds all of the owed day that has passed: half a day settles nothing."""
        first, last = _days(key)
        return window[0] <= first and min(last, self._session.now) <= window[1]

    def _owe_day(self, key: str, n_missing: int) -> bool:
        """Remember one day; False once it has been given up on."""
        books, session = self._session.books, self._session
        owed = books.owe("day", key, {"missing": n_missing})
        if owed.has_given_up:
            return False
        gives_up_at = owed.first_seen_at + timedelta(days=self._settings.give_up_after_days)
        what = f"Gong counts {n_missing} more calls than it shows"
        if datetime.now(UTC) < gives_up_at:
            session.problem("calls", key, what, f"Nothing: asked for again until {gives_up_at:%Y-%m-%d %H:%M} UTC")
            return True
        books.give_up("day", key)
        error = f"{what}, after {owed.attempts} attempts since {owed.first_seen_at:%Y-%m-%d}"
        books.dead_letter(stream="calls", key=key, payload={"missing": n_missing}, error=error, status="given_up")
        session.problem(
            "calls", key, f"given up: {error}", "They may be private or without media; a full load asks again"
        )
        return False

    def _locate_gaps(
        self, begin: datetime, end: datetime, missing: int, received: Mapping[str, datetime | None]
    ) -> dict[str, int]:
        """Halve the window until the days are found; the first page of a half says how many calls Gong counts in it."""
        spans = [(begin, end, missing)]
        found: dict[str, int] = {}
        requests_left = REQUESTS_PER_GAP
        seen = dict(received)
        while spans:
            low, high, n_missing = spans.pop()
            middle = _midnight_between(low, high)
            if middle is None or requests_left == 0:
                key = low.date().isoformat() if middle is None else f"{low.date()}/{_last_day(high)}"
                found[key] = found.get(key, 0) + n_missing
                continue
            requests_left -= 1
            n_counted = 0
            call_filter = {"fromDateTime": low.isoformat(), "toDateTime": middle.isoformat()}
            for page in self._call_pages(_where(low, middle), call_filter):
                n_counted = page.total_records or len(page.items)
                seen.update(self._take(page.items))
                break
            n_seen = sum(1 for at in seen.values() if at is not None and low <= at < middle)
            n_low = min(n_missing, max(0, n_counted - n_seen))
            spans.extend(half for half in ((low, middle, n_low), (middle, high, n_missing - n_low)) if half[2] > 0)
        return found

    def ask_owed(self) -> None:
        """Ask again for days, calls and transcripts that Gong still owes and that this run did not cover anyway."""
        books = self._session.books
        for owed in books.owed("day"):
            if not any(self._covers(window, owed.key) for window in self._windows_read):
                first, last = _days(owed.key)
                self._load_window(first, min(last, self._session.now))
        waiting = [owed.key for owed in books.owed("call") if owed.key not in self._received]
        if waiting:
            self.load_by_id(waiting)
        self.drain()
        self._session.commit()
        if self._wants_transcripts:
            self._session.guarded("transcripts", self._ask_owed_transcripts)

    def load_by_id(self, call_ids: Sequence[str]) -> None:
        """Read single calls; one that is not there yet is asked for by later runs too."""
        for batch in _batches(list(dict.fromkeys(call_ids)), IDS_PER_REQUEST):
            received: set[str] = set()
            for page in self._call_pages(f"{len(batch)} calls from {batch[0]}", {"callIds": batch}):
                received.update(self._take(page.items))
            for call_id in batch:
                if call_id not in received:
                    self._miss_call(call_id)

    def _miss_call(self, call_id: str) -> None:
        session = self._session
        owed = session.books.owe("call", call_id, {})
        gives_up_at = owed.first_seen_at + timedelta(days=self._settings.give_up_after_days)
        what = f"Gong does not show this call (attempt {owed.attempts})"
        if owed.has_given_up or datetime.now(UTC) < gives_up_at:
            session.problem(
                "calls",
                call_id,
                what,
                "It may be in analysis, private or deleted; "
                f"later runs ask again until {gives_up_at:%Y-%m-%d %H:%M} UTC",
            )
        else:
            session.books.give_up("call", call_id)
            session.books.dead_letter(stream="calls", key=call_id, payload=None, error=what, status="given_up")
            session.problem("calls", call_id, f"given up: {what}", "Check the id; retry it with --call")

    # deletes

    def _mark_deleted(self, begin: datetime, end: datetime) -> None:
        """Calls that a complete read no longer shows are asked for by id, and marked when Gong denies them too."""
        session = self._session
        known = self._known(begin, end)
        gone = sorted(known - self._received.keys())
        if not gone:
            return
        limit = max(PLAUSIBLE_DELETES, int(PLAUSIBLE_DELETED_SHARE * len(known)))
        if not self._settings.confirm_deletes and (len(gone) == len(known) or len(gone) > limit):
            session.problem(
                "calls",
                _where(begin, end),
                f"{len(gone)} of {len(known)} known calls are no longer shown; that is too many to believe",
                "Nothing was marked. Check the key's permissions; if they really were deleted, "
                "run a full load with GONG_CONFIRM_DELETES=true",
            )
            return
        for batch in _batches(gone, IDS_PER_REQUEST):
            for page in self._call_pages(f"{len(batch)} missing calls", {"callIds": batch}):
                self._take(page.items)
        deleted = [call_id for call_id in gone if call_id not in self._received]
        if deleted:
            rows = session.connection.execute(
                "select started from raw_gong.calls where id = any(%s)", [deleted]
            ).fetchall()
            destination.mark_gone(session.connection, dataset=session.dataset, table=tables.CALLS, keys=deleted)
            session.written["calls"] += len(deleted)
            for (started,) in rows:
                session.mark_week(started)
            session.on_progress(f"calls {_where(begin, end)}: {len(deleted)} were deleted in Gong and are marked")

    # transcripts

    def drain(self) -> None:
        """Ask for the transcripts of every call that waits for one."""
        while self._to_ask:
            self._ask_queued()

    def _ask_queued(self) -> None:
        batch = dict(list(self._to_ask.items())[:IDS_PER_REQUEST])
        for call_id in batch:
            del self._to_ask[call_id]
        if "transcripts" not in self._session.skipped | self._session.failed:
            self._session.guarded("transcripts", lambda: self._ask_transcripts(batch))

    def _ask_transcripts(self, batch: Mapping[str, datetime | None]) -> None:
        session = self._session
        rows: dict[str, dict[str, Any]] = {}
        for page in self._transcript_pages(batch):
            for item in page.items:
                call_id = item.get("callId") if isinstance(item, dict) else None
                if not isinstance(call_id, str) or not call_id:
                    session.dead_letter("transcripts", item, "the transcript has no callId of type text")
                elif not isinstance(item.get("transcript"), list):
                    raise TypeFlipError(
                        f"transcripts {call_id}: transcript is a {type(item.get('transcript')).__name__}, not a list. "
                        "The stream stops here; nothing that was loaded changes"
                    )
                elif call_id in batch:
                    session.read["transcripts"] += 1
                    rows[call_id] = tables.transcript_row(item, started=batch[call_id], now=session.now)
                else:
                    self._take_unasked(item)
        self._asked.update(batch)
        stored = session.stored_hashes(tables.TRANSCRIPTS, list(rows))
        for call_id, row in rows.items():
            if stored.get(call_id) != row["content_hash"]:
                session.write(tables.TRANSCRIPTS, row, started=row["started"])
        session.after_commit(self._transcript_settler(list(rows)))
        for call_id, started in batch.items():
            if call_id not in rows:
                self._miss_transcript(call_id, started)

    def _transcript_pages(self, batch: Mapping[str, datetime | None]) -> Iterator[Page]:
        """The pages of one request for up to 100 transcripts; a lost cursor starts it again."""
        where = f"{len(batch)} calls from {next(iter(batch))}"
        for attempt in range(1, WINDOW_RESTARTS + 1):
            try:
                yield from self._client.pages(
                    "POST",
                    "/v2/calls/transcript",
                    stream="transcripts",
                    where=where,
                    items_key="callTranscripts",
                    body={"filter": {"callIds": list(batch)}},
                )
            except CursorLostError as error:
                if attempt == WINDOW_RESTARTS:
                    raise BadAnswerError(f"{error}. It was asked {attempt} times; run again later") from error
                continue
            return

    def _transcript_settler(self, call_ids: Sequence[str]) -> Callable[[], None]:
        def settle() -> None:
            self._session.books.paid("transcript", call_ids)
            self._session.books.resolve_dead_letters(stream="transcripts", keys=call_ids)

        return settle

    def _take_unasked(self, item: Mapping[str, Any]) -> None:
        """A transcript that nobody asked for is kept aside, unless its call is known or must stay out."""
        call_id = item["callId"]
        if call_id in self._received or subject_sha256(call_id) in self._erased_calls:
            return
        self._session.dead_letter("transcripts", item, "its call is unknown", key=call_id)

    def _miss_transcript(self, call_id: str, started: datetime | None) -> None:
        session, books = self._session, self._session.books
        owed = books.owe("transcript", call_id, {"started": started.isoformat() if started else None})
        if owed.has_given_up:
            return
        gives_up_at = owed.first_seen_at + timedelta(days=self._settings.give_up_after_days)
        if datetime.now(UTC) < gives_up_at:
            session.problem(
                "transcripts",
                call_id,
                f"the call has no transcript yet (attempt {owed.attempts})",
                f"Nothing to do: it is asked for again until {gives_up_at:%Y-%m-%d %H:%M} UTC",
            )
            return
        books.give_up("transcript", call_id)
        error = f"no transcript after {owed.attempts} attempts since {owed.first_seen_at:%Y-%m-%d}"
        books.dead_letter(stream="transcripts", key=call_id, payload=None, error=error, status="given_up")
        session.problem(
            "transcripts",
            call_id,
            f"given up: {error}",
            "The call may hold no speech; retry it with `call-coach dead-letters retry`",
        )

    def _ask_owed_transcripts(self) -> None:
        """Every stored call without a transcript, whatever the reason: late, killed in between, scope granted later."""
        due = [owed.key for owed in self._session.books.owed("transcript")]
        rows = self._session.connection.execute(
            "select c.id, c.started from raw_gong.calls as c "
            "left join raw_gong.transcripts as t on t.call_id = c.id "
            "left join raw_gong._owed as o on o.kind = 'transcript' and o.key = c.id "
            "where t.call_id is null and not c.is_deleted and (o.key is null or o.key = any(%s)) order by c.started",
            [due],
        ).fetchall()
        missing = {call_id: started for call_id, started in rows if call_id not in self._asked}
        for batch in _batches(list(missing), IDS_PER_REQUEST):
            self._ask_transcripts({call_id: missing[call_id] for call_id in batch})

    def reread_transcripts(self, plan: Plan) -> None:
        """Transcripts of the known calls of a span, without reading the calls."""
        rows = self._session.connection.execute(
            "select id, started from raw_gong.calls where started >= %s and started < %s and not is_deleted "
            "and not exists (select from raw_gong._imports as i where i.kind = 'call' and i.key = calls.id) "
            "order by started",
            [plan.begin, plan.end],
        ).fetchall()
        for batch in _batches(rows, IDS_PER_REQUEST):
            self._received.update(batch)
            self._ask_transcripts(dict(batch))


def _batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for at in range(0, len(items), size):
        yield list(items[at : at + size])


def _where(begin: datetime, end: datetime) -> str:
    return f"{begin:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}"


def _midnight_between(low: datetime, high: datetime) -> datetime | None:
    """The midnight nearest to the middle, None when both lie in one day."""
    middle = datetime.combine((low + (high - low) / 2).astimezone(UTC).date(), time(), tzinfo=UTC)
    for candidate in (middle, middle + DAY):
        if low < candidate < high:
            return candidate
    return None


def _last_day(end: datetime) -> str:
    return (end - timedelta(microseconds=1)).date().isoformat()


def _days(key: str) -> tuple[datetime, datetime]:
    """`2026-11-19` or `2026-11-01/2026-11-19` as the span that covers it."""
    first, _, last = key.partition("/")
    begin = datetime.fromisoformat(first).replace(tzinfo=UTC)
    return begin, datetime.fromisoformat(last or first).replace(tzinfo=UTC) + DAY
