"""What reps said about the product, held against the knowledge base: right, wrong, or not said when asked."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer

StatementVerdict = Literal["correct", "inaccurate", "missed_opportunity"]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One sentence and the passage it was held against; of a missed opportunity the quote is the customer's."""

    call_id: str
    call_title: str | None
    account_name: str | None
    started_at: datetime
    rep_id: str
    rep_name: str
    verdict: StatementVerdict
    turn_id: int
    start_ms: int
    quote: str
    knowledge_id: str
    passage: str | None
    passage_source: str | None
    document_title: str | None
    why: str | None
    rubric_version: str
    is_sandbox: bool


@dataclass(frozen=True, kw_only=True)
class StatementSample(Statement):
    """One of the newest with its verdict, how many have that verdict, and on how many calls anything was said."""

    n_with_verdict: int
    n_calls: int


_FOUND = """
found as (
    select fct_statements.*
    from marts.fct_statements
    inner join visible_reps on fct_statements.rep_id = visible_reps.rep_id
    inner join marts.dim_reps on fct_statements.rep_id = dim_reps.rep_id
    where
        fct_statements.is_current
        and fct_statements.call_id not in (select deleted_calls.call_id from deleted_calls)
        and (%(call_id)s::text is null or fct_statements.call_id = %(call_id)s)
        and (%(rep_id)s::text is null or fct_statements.rep_id = %(rep_id)s)
        and (%(team_id)s::text is null or dim_reps.team_id = %(team_id)s)
        and (%(verdict)s::text is null or fct_statements.verdict = %(verdict)s)
        -- compared as what it is: through a cast the policies let no index be used
        and (%(since)s::date is null or fct_statements.started_at >= %(since)s::date::timestamptz)
        and (%(until)s::date is null or fct_statements.started_at < (%(until)s::date + 1)::timestamptz)
)
"""

_LISTED = """
, page as materialized (
    select *
    from found
    order by
        case found.verdict when 'inaccurate' then 1 when 'missed_opportunity' then 2 else 3 end,
        found.started_at desc,
        found.call_id,
        found.statement_number
    offset %(row_offset)s
    limit %(row_limit)s
)

select
    page.call_id,
    fct_calls.title as call_title,
    fct_calls.account_name,
    page.started_at,
    page.rep_id,
    dim_reps.rep_name,
    page.verdict,
    page.turn_id,
    coalesce(page.start_ms, 0) as start_ms,
    page.quote,
    page.knowledge_id,
    page.passage,
    page.passage_source,
    page.document_title,
    page.why,
    page.rubric_version,
    coalesce(page.is_sandbox, false) as is_sandbox
from page
inner join marts.fct_calls on page.call_id = fct_calls.call_id
inner join marts.dim_reps on page.rep_id = dim_reps.rep_id
order by
    case page.verdict when 'inaccurate' then 1 when 'missed_opportunity' then 2 else 3 end,
    page.started_at desc,
    page.call_id,
    page.statement_number
"""

_SAMPLED = """
, numbered as (
    select
        found.*,
        row_number() over (
            partition by found.verdict order by found.started_at desc, found.call_id, found.statement_number
        ) as nth,
        count(*) over (partition by found.verdict) as n_with_verdict
    from found
)

select
    numbered.call_id,
    fct_calls.title as call_title,
    fct_calls.account_name,
    numbered.started_at,
    numbered.rep_id,
    dim_reps.rep_name,
    numbered.verdict,
    numbered.turn_id,
    coalesce(numbered.start_ms, 0) as start_ms,
    numbered.quote,
    numbered.knowledge_id,
    numbered.passage,
    numbered.passage_source,
    numbered.document_title,
    numbered.why,
    numbered.rubric_version,
    coalesce(numbered.is_sandbox, false) as is_sandbox,
    numbered.n_with_verdict,
    (select count(distinct found.call_id) from found) as n_calls
from numbered
inner join marts.fct_calls on numbered.call_id = fct_calls.call_id
inner join marts.dim_reps on numbered.rep_id = dim_reps.rep_id
where numbered.nth <= %(per_verdict)s
order by numbered.verdict, numbered.nth
"""


def list_statements(
    database: Database,
    viewer: Viewer,
    *,
    call_id: str | None = None,
    rep_id: str | None = None,
    team_id: str | None = None,
    verdict: StatementVerdict | None = None,
    since: date | None = None,
    until: date | None = None,
    limit: int = 20,
    offset: int = 0,
) -> Rows[Statement]:
    """Wrong ones first, then chances missed, then what was right; the newest call first in each."""
    parameters = {
        "call_id": call_id,
        "rep_id": rep_id,
        "team_id": team_id,
        "verdict": verdict,
        "since": since,
        "until": until,
    }
    return database.rows(viewer, Statement, _FOUND + _LISTED, parameters, limit=limit, offset=offset)


def sample_statements(
    database: Database,
    viewer: Viewer,
    *,
    per_verdict: int,
    rep_id: str | None = None,
    team_id: str | None = None,
    since: date | None = None,
    until: date | None = None,
) -> Rows[StatementSample]:
    """The newest few of each verdict, with the counts of all of the period."""
    parameters = {
        "call_id": None,
        "rep_id": rep_id,
        "team_id": team_id,
        "verdict": None,
        "since": since,
        "until": until,
        "per_verdict": per_verdict,
    }
    return database.rows(viewer, StatementSample, _FOUND + _SAMPLED, parameters)
