"""How old the data is and how much of what was held was scored: shown beside every number."""

from dataclasses import dataclass
from datetime import date, datetime

from streamlit_app.queries.database import Database
from streamlit_app.queries.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """The state of what a viewer may see; `as_of` is when the newest row was loaded or scored."""

    as_of: datetime | None
    window_end: date | None
    latest_call_at: datetime | None
    n_calls_total: int
    n_calls: int
    n_eligible: int
    n_scored: int
    n_running_week: int
    has_sandbox: bool
    is_all_sandbox: bool

    @property
    def coverage(self) -> float | None:
        return self.n_scored / self.n_eligible if self.n_eligible else None

    @property
    def n_unscored(self) -> int:
        return self.n_eligible - self.n_scored


_FRESHNESS = """
calls as (
    select
        fct_calls.*,
        fct_calls.started_at >= anchor.window_end - 27 as is_in_window
    from marts.fct_calls
    cross join anchor
    inner join visible_reps on fct_calls.rep_id = visible_reps.rep_id
    inner join marts.dim_reps on fct_calls.rep_id = dim_reps.rep_id
    where
        not fct_calls.is_deleted
        and (%(team_id)s::text is null or dim_reps.team_id = %(team_id)s)
),

scored as (
    select max(fct_scores.scored_at) as scored_at
    from marts.fct_scores
    cross join anchor
    where fct_scores.week_start >= anchor.window_end - 13
),

counted as (
    select
        count(*) as n_calls_total,
        count(*) filter (where calls.is_in_window) as n_calls,
        count(*) filter (where calls.is_in_window and calls.is_eligible) as n_eligible,
        count(*) filter (where calls.is_in_window and calls.is_eligible and calls.is_scored) as n_scored,
        count(*) filter (where calls.is_running_week) as n_running_week,
        max(calls.started_at) as latest_call_at,
        max(calls.loaded_at) as loaded_at,
        bool_or(calls.is_sandbox) filter (where calls.is_scored) as has_sandbox,
        bool_and(calls.is_sandbox) filter (where calls.is_scored) as is_all_sandbox
    from calls
)

select
    greatest(counted.loaded_at, scored.scored_at) as as_of,
    anchor.window_end,
    counted.latest_call_at,
    counted.n_calls_total,
    counted.n_calls,
    counted.n_eligible,
    counted.n_scored,
    counted.n_running_week,
    coalesce(counted.has_sandbox, false) as has_sandbox,
    coalesce(counted.is_all_sandbox, false) as is_all_sandbox
from counted
cross join anchor
cross join scored
"""


def freshness(database: Database, viewer: Viewer, *, team_id: str | None = None) -> Freshness:
    """One row: always there, even over an empty warehouse."""
    found = database.row(viewer, Freshness, _FRESHNESS, {"team_id": team_id})
    if found is None:
        raise LookupError("an aggregate without grouping always has a row")
    return found
