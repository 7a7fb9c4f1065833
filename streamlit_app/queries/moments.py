"""Quoted moments: what was said, when, and which marker it speaks for."""

from dataclasses import dataclass
from datetime import date, datetime

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One quote of one call with its place and marker; beside a gap stands what the customer had said last."""

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
    customer_said: str | None


_FOUND = """
found as (
    select fct_evidence.*
    from marts.fct_evidence
    where
        fct_evidence.is_current
        and fct_evidence.rep_id in (select visible_reps.rep_id from visible_reps)
        and fct_evidence.call_id not in (select deleted_calls.call_id from deleted_calls)
        and (%(call_id)s::text is null or fct_evidence.call_id = %(call_id)s)
        and (%(rep_id)s::text is null or fct_evidence.rep_id = %(rep_id)s)
        and (%(dimension)s::text is null or fct_evidence.dimension = %(dimension)s)
        and (%(criterion_id)s::text is null or fct_evidence.criterion_id = %(criterion_id)s)
        and (%(marker_id)s::text is null or fct_evidence.marker_id = %(marker_id)s)
        and (%(polarity)s::text is null or fct_evidence.polarity = %(polarity)s)
        and (%(side)s::text is null or fct_evidence.side = %(side)s)
        and (%(since)s::date is null or fct_evidence.week_start >= %(since)s::date - 6)
        and (%(since)s::date is null or fct_evidence.started_at >= %(since)s)
        and (%(until)s::date is null or fct_evidence.started_at < %(until)s::date + 1)
"""

# words of the turn that the quote is from: quotes have no word index of their own
_HITS = """
hits as materialized (
    select
        fct_turns.call_id,
        fct_turns.turn_id
    from marts.fct_turns
    where fct_turns.search @@ websearch_to_tsquery('english', %(text)s)
),
"""

_SAID = """
        -- kept from becoming a join: it compared every moment with every hit
        and ((fct_evidence.call_id, fct_evidence.turn_id) in (select hits.call_id, hits.turn_id from hits)) is true
"""

_PAGE = """
),

page as materialized (
    select *
    from found
    order by {found_order}
    offset %(row_offset)s
    limit %(row_limit)s
)

select
    page.evidence_id,
    page.call_id,
    fct_calls.title as call_title,
    fct_calls.account_name,
    page.started_at,
    page.rep_id,
    dim_reps.rep_name,
    page.dimension,
    page.criterion_id,
    page.marker_id,
    page.turn_id,
    coalesce(page.start_ms, 0) as start_ms,
    page.side,
    page.quote,
    page.quote_verified,
    page.polarity,
    page.suggestion,
    page.rubric_version,
    page.call_url,
    before.text as customer_said
from page
inner join marts.fct_calls on page.call_id = fct_calls.call_id
inner join marts.dim_reps on page.rep_id = dim_reps.rep_id
-- what could have been done better only shows beside what it would have answered
left join lateral (
    select fct_turns.text
    from marts.fct_turns
    where
        page.polarity = 'gap'
        and page.side <> 'customer'
        and fct_turns.call_id = page.call_id
        and fct_turns.turn_id < page.turn_id
        and fct_turns.side = 'customer'
        and not fct_turns.is_backchannel
    order by fct_turns.turn_id desc
    limit 1
) as before on true
order by {page_order}
"""


def _ordered(columns: str) -> str:
    """The page in one order, inside and out; the columns are constants of this module."""
    inner, outer = (columns.replace("#", table) for table in ("found", "page"))
    return _PAGE.replace("{found_order}", inner).replace("{page_order}", outer)


_AS_SAID = _ordered("#.start_ms, #.evidence_id")
# the week comes first because it is indexed: the newest weeks are read, the others are not even sorted
_NEWEST_CALL_FIRST = _ordered("#.week_start desc, #.started_at desc, #.start_ms, #.evidence_id")

_COUNTED = """
)

select found.evidence_id
from found
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
    found = _HITS + _FOUND + _SAID if text else _FOUND
    return database.rows(
        viewer,
        Moment,
        found + (_AS_SAID if call_id is not None else _NEWEST_CALL_FIRST),
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
        counted=found + _COUNTED if with_total else None,
    )
