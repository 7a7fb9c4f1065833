"""What people leave behind: agree or disagree, done or snoozed, asked-for analyses; appended, never changed."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from streamlit_app.queries.calls import call_head
from streamlit_app.queries.database import Database, Rows, WarehouseError
from streamlit_app.queries.viewer import Viewer

logger = logging.getLogger(__name__)

Verdict = Literal["agree", "disagree"]
Mark = Literal["done", "snoozed", "open"]
NOTE_LIMIT = 2_000


class NotAllowedError(Exception):
    """The viewer may look but not do this."""


class NoSuchMomentError(LookupError):
    """No moment this viewer may see has that id."""

    def __init__(self, evidence_id: str) -> None:
        super().__init__(
            f"No moment '{evidence_id[:80]}' among the calls you may see. Rubric or transcript may have changed since."
        )


@dataclass(frozen=True, kw_only=True)
class MomentReview:
    """The newest opinion of one person on one moment."""

    evidence_id: str
    viewer_id: str
    verdict: Verdict
    note: str | None
    reviewed_at: datetime


@dataclass(frozen=True, kw_only=True)
class AnalysisRequest:
    """An analysis someone asked for, and how far it is."""

    request_id: str
    call_id: str | None
    week_start: date | None
    dimensions: list[str] | None
    is_forced: bool
    status: str
    reason: str | None
    requested_via: str
    requested_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class _Found:
    call_id: str


_REVIEWS = """
newest as (
    select
        moment_reviews.evidence_id,
        moment_reviews.viewer_id,
        moment_reviews.verdict,
        moment_reviews.note,
        moment_reviews.reviewed_at,
        row_number() over (
            partition by moment_reviews.evidence_id, moment_reviews.viewer_id
            order by moment_reviews.review_id desc
        ) as nth_newest
    from ops.moment_reviews
    inner join marts.fct_calls on moment_reviews.call_id = fct_calls.call_id
    inner join visible_reps on fct_calls.rep_id = visible_reps.rep_id
    where moment_reviews.call_id = %(call_id)s
)

select
    newest.evidence_id,
    newest.viewer_id,
    newest.verdict,
    newest.note,
    newest.reviewed_at
from newest
where newest.nth_newest = 1
order by newest.reviewed_at, newest.evidence_id, newest.viewer_id
"""

_MOMENT = """
found as (
    select fct_evidence.call_id
    from marts.fct_evidence
    inner join visible_reps on fct_evidence.rep_id = visible_reps.rep_id
    where fct_evidence.evidence_id = %(evidence_id)s
)

select * from found
"""

_REQUESTS = """
requests as (
    select
        analysis_requests.request_id,
        analysis_requests.call_id,
        analysis_requests.week_start,
        analysis_requests.dimensions,
        analysis_requests.is_forced,
        analysis_requests.status,
        analysis_requests.reason,
        analysis_requests.requested_via,
        analysis_requests.requested_at,
        analysis_requests.finished_at
    from ops.analysis_requests
    where
        (
            analysis_requests.requested_by = %(viewer_id)s
            or %(sees_everyone)s
            or analysis_requests.call_id in (
                select fct_calls.call_id
                from marts.fct_calls
                inner join visible_reps on fct_calls.rep_id = visible_reps.rep_id
            )
        )
        and (%(call_id)s::text is null or analysis_requests.call_id = %(call_id)s)
        and (%(week_start)s::date is null or analysis_requests.week_start = %(week_start)s)
        and (not %(only_open)s or analysis_requests.status in ('received', 'processing'))
)

select * from requests
order by requested_at desc, request_id
"""

_ADD_REVIEW = """
insert into ops.moment_reviews (evidence_id, call_id, viewer_id, verdict, note)
values (%(evidence_id)s, %(call_id)s, %(viewer_id)s, %(verdict)s, %(note)s)
"""

_ADD_MARK = """
insert into ops.queue_marks (moment_id, viewer_id, mark, snoozed_until, note)
values (%(moment_id)s, %(viewer_id)s, %(mark)s, %(snoozed_until)s, %(note)s)
"""

_ADD_REQUEST = """
insert into ops.analysis_requests (call_id, week_start, dimensions, is_forced, requested_by, requested_via)
values (%(call_id)s, %(week_start)s, %(dimensions)s, %(is_forced)s, %(viewer_id)s, %(via)s)
"""

_ADD_AUDIT = """
insert into ops.audit_log (viewer_id, surface, action, arguments_sha256, row_count, latency_ms, outcome)
values (%(viewer_id)s, %(surface)s, %(action)s, %(arguments_sha256)s, %(row_count)s, %(latency_ms)s, %(outcome)s)
"""


def require_write(viewer: Viewer, what: str) -> None:
    if not viewer.can_write:
        raise NotAllowedError(f"You may read but not {what}: that needs a token or sign-in with the write scope.")


def _moment_call(database: Database, viewer: Viewer, evidence_id: str) -> str:
    found = database.row(viewer, _Found, _MOMENT, {"evidence_id": evidence_id})
    if found is None:
        raise NoSuchMomentError(evidence_id)
    return found.call_id


def moment_reviews(database: Database, viewer: Viewer, call_id: str) -> Rows[MomentReview]:
    """Who agreed or disagreed with the moments of a call."""
    return database.rows(viewer, MomentReview, _REVIEWS, {"call_id": call_id})


def review_moment(
    database: Database, viewer: Viewer, evidence_id: str, *, verdict: Verdict, note: str | None = None
) -> None:
    """A manager's opinion on one of the machine's moments; the machine's own answer stays as it was."""
    require_write(viewer, "review moments")
    if not viewer.sees_a_team:
        raise NotAllowedError("Moments are reviewed by managers. Talk to yours if you see one differently.")
    call_id = _moment_call(database, viewer, evidence_id)
    database.append(
        _ADD_REVIEW,
        {
            "evidence_id": evidence_id,
            "call_id": call_id,
            "viewer_id": viewer.viewer_id,
            "verdict": verdict,
            "note": (note or "").strip()[:NOTE_LIMIT] or None,
        },
    )


def mark_moment(
    database: Database,
    viewer: Viewer,
    moment_id: str,
    *,
    mark: Mark,
    snoozed_until: date | None = None,
    note: str | None = None,
) -> None:
    """Take a moment off one's queue, put it off, or put it back."""
    require_write(viewer, "change the coaching queue")
    _moment_call(database, viewer, moment_id)
    if mark == "snoozed" and snoozed_until is None:
        raise ValueError("a snoozed moment needs the day it comes back")
    database.append(
        _ADD_MARK,
        {
            "moment_id": moment_id,
            "viewer_id": viewer.viewer_id,
            "mark": mark,
            "snoozed_until": snoozed_until if mark == "snoozed" else None,
            "note": (note or "").strip()[:NOTE_LIMIT] or None,
        },
    )


def list_requests(
    database: Database,
    viewer: Viewer,
    *,
    call_id: str | None = None,
    week_start: date | None = None,
    only_open: bool = False,
    limit: int = 20,
) -> Rows[AnalysisRequest]:
    """Analyses asked for, newest first."""
    parameters = {"call_id": call_id, "week_start": week_start, "only_open": only_open}
    return database.rows(viewer, AnalysisRequest, _REQUESTS, parameters, limit=limit)


def request_call_analysis(
    database: Database,
    viewer: Viewer,
    call_id: str,
    *,
    dimensions: Sequence[str] | None = None,
    is_forced: bool = False,
    via: Literal["mcp", "dashboard"],
) -> AnalysisRequest:
    """Ask for one call; an open request for the same call is joined, not doubled."""
    require_write(viewer, "start an analysis")
    call_head(database, viewer, call_id)
    waiting = list_requests(database, viewer, call_id=call_id, only_open=True, limit=1)
    if not waiting:
        database.append(
            _ADD_REQUEST,
            {
                "call_id": call_id,
                "week_start": None,
                "dimensions": list(dimensions) if dimensions else None,
                "is_forced": is_forced,
                "viewer_id": viewer.viewer_id,
                "via": via,
            },
        )
        waiting = list_requests(database, viewer, call_id=call_id, only_open=True, limit=1)
    return waiting.rows[0]


def request_week_analysis(
    database: Database,
    viewer: Viewer,
    week_start: date,
    *,
    dimensions: Sequence[str] | None = None,
    is_forced: bool = False,
    via: Literal["mcp", "dashboard"],
) -> AnalysisRequest:
    """Ask for a whole week; for leaders and admins, because it spends money on everyone's calls."""
    require_write(viewer, "start an analysis")
    if not viewer.sees_everyone:
        raise NotAllowedError("Only leaders and admins may have a whole week analysed. Ask for single calls instead.")
    waiting = list_requests(database, viewer, week_start=week_start, only_open=True, limit=1)
    if not waiting:
        database.append(
            _ADD_REQUEST,
            {
                "call_id": None,
                "week_start": week_start,
                "dimensions": list(dimensions) if dimensions else None,
                "is_forced": is_forced,
                "viewer_id": viewer.viewer_id,
                "via": via,
            },
        )
        waiting = list_requests(database, viewer, week_start=week_start, only_open=True, limit=1)
    return waiting.rows[0]


def audit(
    database: Database,
    viewer_id: str,
    *,
    surface: str,
    action: str,
    arguments: Mapping[str, Any],
    row_count: int | None,
    latency_ms: int,
    outcome: str = "ok",
) -> None:
    """One row per look at people's data, arguments only as a hash; a log that cannot be written stops no read."""
    canonical = json.dumps(arguments, sort_keys=True, default=str)
    try:
        database.append(
            _ADD_AUDIT,
            {
                "viewer_id": viewer_id,
                "surface": surface,
                "action": action,
                "arguments_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
                "row_count": row_count,
                "latency_ms": latency_ms,
                "outcome": outcome[:200],
            },
        )
    except WarehouseError:
        logger.warning("could not write the audit row of %s", action)
