"""Quoted moments: what was said, when, and which marker it speaks for."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer
from streamlit_app.queries.words import find_words


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


# how many of the newest moments have their turns read before the word index is asked, which names every turn that was
# ever hit: some 50 ms, and for common words that few quotes hold another 300 ms
N_NEWEST = (8_000, 80_000)

# left out for who sees everyone: joined, every moment would be compared with every rep
_VISIBLE = "and fct_evidence.rep_id in (select visible_reps.rep_id from visible_reps)"

_FITTING = """
fitting as (
    select fct_evidence.*
    from marts.fct_evidence
    where
        fct_evidence.is_current
        {visible}
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
)
"""

_FOUND = """
, found as (
    select *
    from fitting
"""

# Words are looked for in the turn that the quote is from: quotes have no word index of their own. A common word stands
# in many turns, and the index would name them all; `is true` keeps it out of this.
_FOUND_IN_NEWEST = """
, newest as materialized (
    select
        fitting.evidence_id,
        fitting.call_id,
        fitting.turn_id
    from fitting
    order by {fitting_order}
    limit %(n_newest)s
),

-- several moments quote one turn: it is read once
turns as materialized (
    select
        newest.call_id,
        newest.turn_id
    from newest
    group by newest.call_id, newest.turn_id
),

hits as materialized (
    select
        turns.call_id,
        turns.turn_id
    from turns
    where exists (
        select 1
        from marts.fct_turns
        where
            fct_turns.call_id = turns.call_id
            and fct_turns.turn_id = turns.turn_id
            and (fct_turns.search @@ websearch_to_tsquery('english', %(text)s)) is true
    )
),

found as (
    select fct_evidence.*
    from newest
    inner join hits on newest.call_id = hits.call_id and newest.turn_id = hits.turn_id
    inner join marts.fct_evidence on newest.evidence_id = fct_evidence.evidence_id
"""

# one look-up for each turn that was hit: joined, every moment would be compared with every hit
_FOUND_BY_INDEX = """
, hits as materialized (
    select
        fct_turns.call_id,
        fct_turns.turn_id
    from marts.fct_turns
    where fct_turns.search @@ websearch_to_tsquery('english', %(text)s)
),

found as (
    select moment.*
    from hits
    cross join lateral (
        select fitting.*
        from fitting
        where
            fitting.call_id = hits.call_id
            and fitting.turn_id = hits.turn_id
        offset 0
    ) as moment
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


_AS_SAID = "#.start_ms, #.evidence_id"
# the week comes first because it is indexed: the newest weeks are read, the others are not even sorted
_NEWEST_CALL_FIRST = "#.week_start desc, #.started_at desc, #.start_ms, #.evidence_id"


def _ordered(statement: str, columns: str) -> str:
    """All its steps in one order; the columns are constants of this module."""
    for step in ("fitting", "found", "page"):
        statement = statement.replace(f"{{{step}_order}}", columns.replace("#", step))
    return statement


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
    """Moments of one call in the order they were said, of several calls newest call first.

    With common words the total is known only where the newest moments, `N_NEWEST` at most, did not fill the page.
    """
    text = " ".join((text or "").split())[:400] or None
    order = _AS_SAID if call_id is not None else _NEWEST_CALL_FIRST
    parameters: dict[str, Any] = {
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
    }

    fitting = _FITTING.replace("{visible}", "" if viewer.sees_everyone else _VISIBLE)

    def ask(found: str, counted: str | None) -> Rows[Moment]:
        statement = fitting + found
        return database.rows(
            viewer,
            Moment,
            _ordered(statement + _PAGE, order),
            parameters,
            limit=limit,
            offset=offset,
            counted=statement + counted if counted else None,
        )

    if text is None:
        return ask(_FOUND, _COUNTED if with_total else None)
    return find_words(
        fitting=fitting,
        parameters=parameters,
        database=database,
        viewer=viewer,
        steps=N_NEWEST,
        in_newest=lambda: ask(_FOUND_IN_NEWEST, None),
        by_index=lambda: ask(_FOUND_BY_INDEX, _COUNTED if with_total else None),
        offset=offset,
        with_total=with_total,
    )
