"""Load Gong into `raw_gong`: read by window, write only what changed, remember what is still owed.

    pages of calls ----> content hash differs? ----> package of CSV files ----> dlt copies and merges
         | 100 ids              ^                                                    | committed
         +-> transcripts -------+                                                    v
                                                         progress, owed transcripts, dead letters are updated

Nothing is marked as done before dlt has committed it, and everything may be read twice: that is why a kill at any
moment loses nothing and doubles nothing. Run alone: `python -m dlt_pipelines.gong`.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from dlt_pipelines import destination
from dlt_pipelines.errors import QuotaExhaustedError, UnreachableError
from dlt_pipelines.gong import tables
from dlt_pipelines.gong.activity import load_answered_scorecards, load_interaction_stats
from dlt_pipelines.gong.calls import CallLoader, Mode
from dlt_pipelines.gong.client import GongClient
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.gong.snapshots import SNAPSHOTS, Snapshot, load_snapshot
from dlt_pipelines.quota import Quota
from dlt_pipelines.report import LoadReport
from dlt_pipelines.session import Session

logger = logging.getLogger(__name__)

DATASET = "raw_gong"
STREAMS = tuple(table.name for table in tables.TABLES)
DATABASE_ATTEMPTS = 3
IDS_IN_A_LINE = 20


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
        streams: which of `STREAMS`; all by default, and calls with transcripts when `call_ids` is given.
        mode: `incremental` reads from the last progress minus the look-back, `full` reads everything again and finds
            deleted calls, `backfill` reads `window` and resumes where an interrupted backfill of it stopped.
        window: calls that started in [from, to) instead of what the mode would choose.
        call_ids: only these calls.
        on_progress: gets a line now and then.

    Raises:
        ApiError: when nothing at all can be loaded (key refused, wrong host, another load holds the lock).
    """
    wanted = tuple(streams) if streams is not None else STREAMS if call_ids is None else ("calls", "transcripts")
    if unknown := set(wanted) - set(STREAMS):
        raise ValueError(f"unknown streams {sorted(unknown)}; choose from {', '.join(STREAMS)}")
    if mode == "backfill" and window is None and call_ids is None:
        raise ValueError("a backfill needs a window (from, to)")
    if window is not None:
        window = (_aware(window[0]), _aware(window[1]))
        if window[0] >= window[1]:
            raise ValueError(f"the window ends ({window[1]}) before it starts ({window[0]})")
    if call_ids is not None:
        logger.info("asking Gong for %s calls by id: %s", len(call_ids), ", ".join(call_ids[:IDS_IN_A_LINE]))
    # a wrong DATABASE_URL fails at once, only a connection that worked before is waited for
    destination.connect(database_url).close()
    attempt = 0
    while True:
        attempt += 1
        try:
            with (
                destination.connect(database_url) as connection,
                destination.exclusive(connection, f"{DATASET} load", settings.lock_wait_s, on_progress),
                destination.scratch_folder("gong") as folder,
            ):
                session = Session(
                    connection=connection,
                    database_url=database_url,
                    dataset=DATASET,
                    source="gong",
                    tables=tables.TABLES,
                    folder=folder,
                    on_progress=on_progress,
                )
                return _run(session, settings, wanted, mode=mode, window=window, call_ids=call_ids)
        except Exception as error:
            if attempt == DATABASE_ATTEMPTS or not destination.is_connection_lost(error):
                raise
            on_progress("the database went away; the load starts over, what is stored stays")
            destination.wait_until_up(database_url)


def _run(
    session: Session,
    settings: GongSettings,
    wanted: Sequence[str],
    *,
    mode: Mode,
    window: tuple[datetime, datetime] | None,
    call_ids: Sequence[str] | None,
) -> LoadReport:
    quota = Quota(
        session.connection,
        schema=DATASET,
        api=f"gong {settings.api_base_url}",
        per_second=settings.requests_per_second,
        per_day=settings.daily_requests,
    )
    with GongClient(settings, quota) as client:
        calls = CallLoader(session, client, settings, wants_transcripts="transcripts" in wanted)
        try:
            if call_ids is not None:
                session.guarded("calls", lambda: calls.load_by_id(call_ids))
            else:
                _load_streams(session, client, calls, wanted, mode=mode, window=window)
            calls.drain()
        except (QuotaExhaustedError, UnreachableError) as error:
            session.is_partial = True
            session.problem("load", mode, f"stopped early: {error}", "The next run resumes where this one stopped")
        session.commit()
        return session.report(wanted, requests=client.requests)


def _load_streams(
    session: Session,
    client: GongClient,
    calls: CallLoader,
    wanted: Sequence[str],
    *,
    mode: Mode,
    window: tuple[datetime, datetime] | None,
) -> None:
    for snapshot in SNAPSHOTS:
        if snapshot.table.name in wanted:
            session.guarded(snapshot.table.name, _snapshot_work(session, client, snapshot))
    plan = calls.plan(mode, window)
    if "calls" in wanted:
        session.guarded("calls", lambda: calls.load_span(plan, finds_deletes=mode == "full"))
        session.guarded("calls", calls.ask_owed)
    elif "transcripts" in wanted:
        session.guarded("transcripts", lambda: calls.reread_transcripts(plan))
    if "answered_scorecards" in wanted:
        session.guarded(
            "answered_scorecards",
            lambda: load_answered_scorecards(
                session, client, begin=plan.begin, end=plan.end, by_call=mode != "incremental" or window is not None
            ),
        )
    if "interaction_stats" in wanted:
        session.guarded(
            "interaction_stats",
            lambda: load_interaction_stats(
                session, client, begin=plan.begin, end=plan.end, is_forced=mode == "backfill"
            ),
        )


def _snapshot_work(session: Session, client: GongClient, snapshot: Snapshot) -> Callable[[], None]:
    return lambda: load_snapshot(session, client, snapshot)


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
