"""What is usual: the middle half of the calls a viewer may see, to read one rep's rhythm against."""

from dataclasses import dataclass

from streamlit_app.queries.database import Database
from streamlit_app.queries.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class UsualRhythm:
    """First and third quartile over the calls of the last 90 days; empty without a call that has times."""

    n_calls: int
    longest_monologue_s_low: float | None
    longest_monologue_s_high: float | None
    patience_s_low: float | None
    patience_s_high: float | None
    questions_per_hour_low: float | None
    questions_per_hour_high: float | None
    switches_per_min_low: float | None
    switches_per_min_high: float | None


_USUAL = """
spoken as (
    select
        fct_call_participants.longest_monologue_s,
        fct_call_participants.patience_s,
        fct_call_participants.questions_per_hour,
        fct_call_participants.switches_per_min
    from marts.fct_call_participants
    cross join anchor
    inner join marts.fct_calls on fct_call_participants.call_id = fct_calls.call_id
    inner join visible_reps on fct_calls.rep_id = visible_reps.rep_id
    where
        fct_call_participants.side = 'rep'
        and not fct_calls.is_deleted
        and fct_calls.started_at >= anchor.window_end - 89
),

quartiles as (
    select
        count(*) as n_calls,
        percentile_cont(array[0.25, 0.75]) within group (order by spoken.longest_monologue_s) as monologue,
        percentile_cont(array[0.25, 0.75]) within group (order by spoken.patience_s) as patience,
        percentile_cont(array[0.25, 0.75]) within group (order by spoken.questions_per_hour) as questions,
        percentile_cont(array[0.25, 0.75]) within group (order by spoken.switches_per_min) as switches
    from spoken
)

select
    quartiles.n_calls,
    quartiles.monologue[1] as longest_monologue_s_low,
    quartiles.monologue[2] as longest_monologue_s_high,
    quartiles.patience[1] as patience_s_low,
    quartiles.patience[2] as patience_s_high,
    quartiles.questions[1] as questions_per_hour_low,
    quartiles.questions[2] as questions_per_hour_high,
    quartiles.switches[1] as switches_per_min_low,
    quartiles.switches[2] as switches_per_min_high
from quartiles
"""


def usual_rhythm(database: Database, viewer: Viewer) -> UsualRhythm:
    """One row, always: no target, only what these people's calls are like."""
    found = database.row(viewer, UsualRhythm, _USUAL)
    if found is None:
        raise LookupError("an aggregate without grouping always has a row")
    return found
