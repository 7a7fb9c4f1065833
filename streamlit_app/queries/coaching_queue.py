"""Which moment deserves a manager's time next, and why."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer

QueueState = Literal["open", "snoozed", "done"]


@dataclass(frozen=True, kw_only=True)
class QueuedMoment:
    """A moment with its points and the state its newest mark gives it."""

    moment_id: str
    call_id: str
    call_title: str | None
    account_name: str | None
    started_at: datetime
    rep_id: str
    rep_name: str
    team_id: str | None
    dimension: str
    criterion_id: str | None
    criterion_title: str | None
    turn_id: int
    start_ms: int
    quote: str
    customer_said: str | None
    suggestion: str | None
    reason: str | None
    deal_stage: str | None
    amount_at_stake: float | None
    priority: str | None
    skill_points: float
    recency_points: float
    deal_points: float
    sentiment_points: float
    risk_points: float
    suggestion_points: float
    priority_points: float
    state: QueueState
    snoozed_until: date | None
    note: str | None
    marked_by: str | None
    marked_at: datetime | None
    rubric_version: str
    is_sandbox: bool


_QUEUE = """
marks as (
    select distinct on (queue_marks.moment_id)
        queue_marks.moment_id,
        queue_marks.mark,
        queue_marks.snoozed_until,
        queue_marks.note,
        queue_marks.viewer_id as marked_by,
        queue_marks.marked_at
    from ops.queue_marks
    order by queue_marks.moment_id asc, queue_marks.mark_id desc
),

queue as (
    select
        mart_coaching_queue.moment_id,
        mart_coaching_queue.call_id,
        mart_coaching_queue.call_title,
        mart_coaching_queue.account_name,
        mart_coaching_queue.started_at,
        mart_coaching_queue.rep_id,
        mart_coaching_queue.rep_name,
        mart_coaching_queue.team_id,
        mart_coaching_queue.dimension,
        mart_coaching_queue.criterion_id,
        mart_coaching_queue.criterion_title,
        mart_coaching_queue.turn_id,
        coalesce(mart_coaching_queue.start_ms, 0) as start_ms,
        mart_coaching_queue.quote,
        mart_coaching_queue.suggestion,
        mart_coaching_queue.reason,
        mart_coaching_queue.deal_stage,
        mart_coaching_queue.amount_at_stake,
        mart_coaching_queue.priority,
        mart_coaching_queue.skill_points::numeric as skill_points,
        mart_coaching_queue.recency_points::numeric as recency_points,
        mart_coaching_queue.deal_points::numeric as deal_points,
        mart_coaching_queue.sentiment_points::numeric as sentiment_points,
        mart_coaching_queue.risk_points::numeric as risk_points,
        mart_coaching_queue.suggestion_points::numeric as suggestion_points,
        round(mart_coaching_queue.priority_points::numeric, 1) as priority_points,
        -- the mart's own state is as old as its build; a mark made since then counts at once
        case
            when marks.mark = 'done' then 'done'
            when marks.mark = 'snoozed' and marks.snoozed_until > (now() at time zone 'UTC')::date then 'snoozed'
            else 'open'
        end as state,
        marks.snoozed_until,
        marks.note,
        marks.marked_by,
        marks.marked_at,
        mart_coaching_queue.rubric_version,
        coalesce(mart_coaching_queue.is_sandbox, false) as is_sandbox
    from marts.mart_coaching_queue
    inner join visible_reps on mart_coaching_queue.rep_id = visible_reps.rep_id
    left join marks on mart_coaching_queue.moment_id = marks.moment_id
    where
        (%(rep_id)s::text is null or mart_coaching_queue.rep_id = %(rep_id)s)
        and (%(team_id)s::text is null or mart_coaching_queue.team_id = %(team_id)s)
        and (%(dimension)s::text is null or mart_coaching_queue.dimension = %(dimension)s)
),

found as (
    select *
    from queue
    where %(state)s::text is null or queue.state = %(state)s
)
"""

_PAGE = """
, page as materialized (
    select *
    from found
    order by found.priority_points desc, found.started_at desc, found.moment_id
    offset %(row_offset)s
    limit %(row_limit)s
)

select
    page.*,
    before.text as customer_said
from page
-- what the quote answers, or should have answered
left join lateral (
    select fct_turns.text
    from marts.fct_turns
    where
        fct_turns.call_id = page.call_id
        and fct_turns.turn_id < page.turn_id
        and fct_turns.side = 'customer'
        and not fct_turns.is_backchannel
    order by fct_turns.turn_id desc
    limit 1
) as before on true
order by page.priority_points desc, page.started_at desc, page.moment_id
"""

_COUNTED = """
select found.moment_id
from found
"""


def coaching_queue(
    database: Database,
    viewer: Viewer,
    *,
    state: QueueState | None = "open",
    rep_id: str | None = None,
    team_id: str | None = None,
    dimension: str | None = None,
    limit: int = 20,
    offset: int = 0,
    with_total: bool = False,
) -> Rows[QueuedMoment]:
    """The most rewarding moment first."""
    return database.rows(
        viewer,
        QueuedMoment,
        _QUEUE + _PAGE,
        {"state": state, "rep_id": rep_id, "team_id": team_id, "dimension": dimension},
        limit=limit,
        offset=offset,
        counted=_QUEUE + _COUNTED if with_total else None,
    )
