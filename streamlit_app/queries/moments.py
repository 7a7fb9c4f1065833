"""Quoted moments: what was said, when, and which marker it speaks for."""

from dataclasses import dataclass
from datetime import date, datetime

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One quote of one call with its place, its marker and what became of it."""

    evidence_id: str
    call_id: str
    call_title: str | None
    account_name: str | None
    started_at: datetime
    rep_id: str
    rep_name: str
    dimension: str
    criterion_id: str | None
    marker_id: str | None
    turn_id: int
    start_ms: int
    side: str
    quote: str
    quote_verified: bool
    polarity: str
    suggestion: str | None
    rubric_version: str
    call_url: str | None


_MOMENTS = """
moments as (
    select
        fct_evidence.evidence_id,
        fct_evidence.call_id,
        fct_calls.title as call_title,
        fct_calls.account_name,
        fct_calls.started_at,
        fct_evidence.week_start,
        fct_evidence.rep_id,
        dim_reps.rep_name,
        fct_evidence.dimension,
        fct_evidence.criterion_id,
        fct_evidence.marker_id,
        fct_evidence.turn_id,
        coalesce(fct_evidence.start_ms, 0) as start_ms,
        fct_evidence.side,
        fct_evidence.quote,
        fct_evidence.quote_verified,
        fct_evidence.polarity,
        fct_evidence.suggestion,
        fct_evidence.rubric_version,
        fct_evidence.call_url
    from marts.fct_evidence
    inner join visible_reps on fct_evidence.rep_id = visible_reps.rep_id
    inner join marts.fct_calls on fct_evidence.call_id = fct_calls.call_id
    inner join marts.dim_reps on fct_evidence.rep_id = dim_reps.rep_id
    where
        fct_evidence.is_current
        and not fct_calls.is_deleted
        and (%(call_id)s::text is null or fct_evidence.call_id = %(call_id)s)
        and (%(rep_id)s::text is null or fct_evidence.rep_id = %(rep_id)s)
        and (%(dimension)s::text is null or fct_evidence.dimension = %(dimension)s)
        and (%(criterion_id)s::text is null or fct_evidence.criterion_id = %(criterion_id)s)
        and (%(marker_id)s::text is null or fct_evidence.marker_id = %(marker_id)s)
        and (%(polarity)s::text is null or fct_evidence.polarity = %(polarity)s)
        and (%(side)s::text is null or fct_evidence.side = %(side)s)
        and (%(since)s::date is null or fct_calls.started_at >= %(since)s)
        and (%(until)s::date is null or fct_calls.started_at < %(until)s::date + 1)
"""

# words of the turn that the quote is from: quotes have no word index of their own
_SAID = """
        and exists (
            select 1
            from marts.fct_turns
            where
                fct_turns.call_id = fct_evidence.call_id
                and fct_turns.turn_id = fct_evidence.turn_id
                and fct_turns.search @@ websearch_to_tsquery('english', %(text)s)
        )
"""

_DETAILS = """
)

select
    moments.evidence_id,
    moments.call_id,
    moments.call_title,
    moments.account_name,
    moments.started_at,
    moments.rep_id,
    moments.rep_name,
    moments.dimension,
    moments.criterion_id,
    moments.marker_id,
    moments.turn_id,
    moments.start_ms,
    moments.side,
    moments.quote,
    moments.quote_verified,
    moments.polarity,
    moments.suggestion,
    moments.rubric_version,
    moments.call_url
from moments
"""

_COUNTED = """
)

select moments.evidence_id
from moments
"""


def list_moments(
    database: Database,
    viewer: Viewer,
    *,
    call_id: str | None = None,
    rep_id: str | None = None,
    dimension: str | None = None,
    criterion_id: str | None = None,
    marker_id: str | None = None,
    polarity: str | None = None,
    side: str | None = None,
    text: str | None = None,
    since: date | None = None,
    until: date | None = None,
    limit: int = 20,
    offset: int = 0,
    with_total: bool = False,
) -> Rows[Moment]:
    """Moments of one call in the order they were said, of several calls newest call first."""
    text = " ".join((text or "").split())[:400] or None
    moments = _MOMENTS + (_SAID if text else "")
    # the week comes first because it is indexed: the newest weeks are read, the others are not even sorted
    order = (
        "order by moments.start_ms, moments.evidence_id"
        if call_id is not None
        else "order by moments.week_start desc, moments.started_at desc, moments.start_ms, moments.evidence_id"
    )
    return database.rows(
        viewer,
        Moment,
        moments + _DETAILS + order,
        {
            "call_id": call_id,
            "rep_id": rep_id,
            "dimension": dimension,
            "criterion_id": criterion_id,
            "marker_id": marker_id,
            "polarity": polarity,
            "side": side,
            "text": text,
            "since": since,
            "until": until,
        },
        limit=limit,
        offset=offset,
        counted=moments + _COUNTED if with_total else None,
    )
