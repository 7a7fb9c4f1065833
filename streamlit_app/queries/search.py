"""Finding calls: words that were said, and what is known about the call."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer
from streamlit_app.queries.words import find_words


@dataclass(frozen=True, kw_only=True)
class FoundCall:
    """A call that fits, its scores, and where the words were said."""

    call_id: str
    title: str | None
    started_at: datetime
    is_running_week: bool
    call_type: str | None
    duration_s: int | None
    rep_id: str
    rep_name: str
    team_name: str
    account_name: str | None
    is_scored: bool
    is_sandbox: bool
    scores: dict[str, float | None]
    objection_types: list[str]
    n_hits: int
    hit_turn_id: int | None
    hit_start_ms: int | None
    hit_text: str | None
    call_url: str | None


# how many of the newest calls are read turn by turn before the word index is asked: some 300 turns each, 50 ms in all
N_NEWEST = 200

_FITTING = """
fitting as (
    select
        fct_calls.*,
        dim_reps.rep_name as host_name,
        dim_reps.team_name
    from marts.fct_calls
    inner join visible_reps on fct_calls.rep_id = visible_reps.rep_id
    inner join marts.dim_reps on fct_calls.rep_id = dim_reps.rep_id
    where
        not fct_calls.is_deleted
        and (%(rep_id)s::text is null or fct_calls.rep_id = %(rep_id)s)
        and (%(team_id)s::text is null or dim_reps.team_id = %(team_id)s)
        and (%(call_type)s::text is null or fct_calls.call_type = %(call_type)s)
        and (%(account)s::text is null or fct_calls.account_name ilike %(account_pattern)s)
        and (%(since)s::date is null or fct_calls.started_at >= %(since)s)
        and (%(until)s::date is null or fct_calls.started_at < %(until)s::date + 1)
        and (
            (%(min_score)s::numeric is null and %(max_score)s::numeric is null and %(dimension)s::text is null)
            or exists (
                select 1
                from marts.fct_scores
                where
                    fct_scores.call_id = fct_calls.call_id
                    and fct_scores.rep_id = fct_calls.rep_id
                    and fct_scores.is_current
                    and fct_scores.score is not null
                    and fct_scores.dimension <> 'call_brief'
                    and (%(dimension)s::text is null or fct_scores.dimension = %(dimension)s)
                    and (%(min_score)s::numeric is null or fct_scores.score >= %(min_score)s)
                    and (%(max_score)s::numeric is null or fct_scores.score < %(max_score)s)
            )
        )
        and (
            (%(objection_type)s::text is null and %(objection_outcome)s::text is null)
            or exists (
                select 1
                from marts.fct_objections
                where
                    fct_objections.call_id = fct_calls.call_id
                    and (%(objection_type)s::text is null or fct_objections.objection_type = %(objection_type)s)
                    and (%(objection_outcome)s::text is null or fct_objections.outcome = %(objection_outcome)s)
            )
        )
)
"""

_FOUND = """
, found as (
    select *
    from fitting
)
"""

# a common word stands in most calls, and the index would name them all; `is true` keeps it out of this
_FOUND_IN_NEWEST = """
, newest as materialized (
    select *
    from fitting
    order by fitting.started_at desc, fitting.call_id
    limit %(n_newest)s
),

found as (
    select newest.*
    from newest
    where exists (
        select 1
        from marts.fct_turns
        where
            fct_turns.call_id = newest.call_id
            and (fct_turns.search @@ websearch_to_tsquery('english', %(text)s)) is true
    )
)
"""

_FOUND_BY_INDEX = """
, hits as materialized (
    select distinct fct_turns.call_id
    from marts.fct_turns
    where fct_turns.search @@ websearch_to_tsquery('english', %(text)s)
),

found as (
    select fitting.*
    from fitting
    where fitting.call_id in (select hits.call_id from hits)
)
"""

_DETAILS = """
, page as materialized (
    select *
    from found
    order by found.started_at desc, found.call_id
    offset %(row_offset)s
    limit %(row_limit)s
)

select
    page.call_id,
    page.title,
    page.started_at,
    page.is_running_week,
    page.call_type,
    page.duration_s,
    page.rep_id,
    page.host_name as rep_name,
    page.team_name,
    page.account_name,
    page.is_scored,
    coalesce(page.is_sandbox, false) as is_sandbox,
    coalesce(
        (
            select jsonb_object_agg(fct_scores.dimension, round(fct_scores.score, 1))
            from marts.fct_scores
            where
                fct_scores.call_id = page.call_id
                and fct_scores.rep_id = page.rep_id
                and fct_scores.is_current
                and fct_scores.dimension <> 'call_brief'
        ),
        '{}'::jsonb
    ) as scores,
    coalesce(
        (
            select array_agg(distinct fct_objections.objection_type order by fct_objections.objection_type)
            from marts.fct_objections
            where fct_objections.call_id = page.call_id
        ),
        array[]::text []
    ) as objection_types,
    coalesce(hits.n_hits, 0) as n_hits,
    hits.turn_id as hit_turn_id,
    hit.start_ms as hit_start_ms,
    hit.text as hit_text,
    page.url as call_url
from page
left join lateral (
    select
        count(*) as n_hits,
        min(fct_turns.turn_id) as turn_id
    from marts.fct_turns
    where
        %(text)s::text is not null
        and fct_turns.call_id = page.call_id
        and (fct_turns.search @@ websearch_to_tsquery('english', %(text)s)) is true
) as hits on true
left join marts.fct_turns as hit on page.call_id = hit.call_id and hits.turn_id = hit.turn_id
order by page.started_at desc, page.call_id
"""

_COUNTED = """
select found.call_id
from found
"""


def search_calls(
    database: Database,
    viewer: Viewer,
    *,
    text: str | None = None,
    rep_id: str | None = None,
    team_id: str | None = None,
    dimension: str | None = None,
    min_score: float | None = None,
    max_score: float | None = None,
    objection_type: str | None = None,
    objection_outcome: str | None = None,
    account: str | None = None,
    call_type: str | None = None,
    since: date | None = None,
    until: date | None = None,
    limit: int = 20,
    offset: int = 0,
    with_total: bool = False,
) -> Rows[FoundCall]:
    """Newest first; `min_score` is included, `max_score` is not, and without a dimension any dimension may fit.

    With common words the total is known only where the newest calls, `N_NEWEST` and more further down, did not fill the
    page.
    """
    text = " ".join((text or "").split())[:400] or None
    escaped = (account or "").strip()[:200].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    parameters: dict[str, Any] = {
        "text": text,
        "rep_id": rep_id,
        "team_id": team_id,
        "dimension": dimension,
        "min_score": min_score,
        "max_score": max_score,
        "objection_type": objection_type,
        "objection_outcome": objection_outcome,
        "account": escaped or None,
        "account_pattern": f"%{escaped}%",
        "call_type": call_type,
        "since": since,
        "until": until,
    }

    def ask(found: str, counted: str | None) -> Rows[FoundCall]:
        statement = _FITTING + found
        return database.rows(
            viewer,
            FoundCall,
            statement + _DETAILS,
            parameters,
            limit=limit,
            offset=offset,
            counted=statement + counted if counted else None,
        )

    if text is None:
        return ask(_FOUND, _COUNTED if with_total else None)
    return find_words(
        fitting=_FITTING,
        parameters=parameters,
        database=database,
        viewer=viewer,
        # a page far down is still found among the newest where the words are said on every other call
        steps=(N_NEWEST + 2 * (offset + limit),),
        in_newest=lambda: ask(_FOUND_IN_NEWEST, None),
        by_index=lambda: ask(_FOUND_BY_INDEX, _COUNTED if with_total else None),
        offset=offset,
        with_total=with_total,
    )
