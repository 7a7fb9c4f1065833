"""Criterion levels: what a rep does reliably and what is worth practising."""

from collections.abc import Iterable
from dataclasses import dataclass

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.metrics import MIN_N_SHOW
from streamlit_app.queries.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class Skill:
    """One rep and criterion over a window."""

    rep_id: str
    rep_name: str
    role: str
    team_id: str
    team_name: str
    dimension: str
    criterion_id: str
    mean_level: float | None
    n_calls: int
    n_not_applicable: int
    team_mean_level: float | None
    weight: float
    gap: float | None


_SKILLS = """
levels as (
    select
        fct_criterion_scores.rep_id,
        dim_reps.rep_name,
        dim_reps.role,
        dim_reps.team_id,
        dim_reps.team_name,
        fct_criterion_scores.dimension,
        fct_criterion_scores.criterion_id,
        fct_criterion_scores.level,
        coalesce(fct_criterion_scores.weight, 0) as weight
    from marts.fct_criterion_scores
    cross join anchor
    inner join visible_reps on fct_criterion_scores.rep_id = visible_reps.rep_id
    inner join marts.dim_reps on fct_criterion_scores.rep_id = dim_reps.rep_id
    inner join marts.fct_calls on fct_criterion_scores.call_id = fct_calls.call_id
    where
        fct_criterion_scores.is_current
        and not fct_calls.is_deleted
        and fct_calls.started_at >= anchor.window_end - (%(window_days)s::integer - 1)
        and (%(team_id)s::text is null or dim_reps.team_id = %(team_id)s)
),

everyone as (
    select
        levels.dimension,
        levels.criterion_id,
        avg(levels.level) as team_mean_level
    from levels
    group by levels.dimension, levels.criterion_id
    having count(levels.level) >= %(min_n_show)s
),

skills as (
    select
        levels.rep_id,
        min(levels.rep_name) as rep_name,
        min(levels.role) as role,
        min(levels.team_id) as team_id,
        min(levels.team_name) as team_name,
        levels.dimension,
        levels.criterion_id,
        case when count(levels.level) >= %(min_n_show)s then round(avg(levels.level), 2) end as mean_level,
        count(levels.level) as n_calls,
        count(*) - count(levels.level) as n_not_applicable,
        max(levels.weight)::numeric as weight
    from levels
    group by levels.rep_id, levels.dimension, levels.criterion_id
)

select
    skills.rep_id,
    skills.rep_name,
    skills.role,
    skills.team_id,
    skills.team_name,
    skills.dimension,
    skills.criterion_id,
    skills.mean_level,
    skills.n_calls,
    skills.n_not_applicable,
    round(everyone.team_mean_level, 2) as team_mean_level,
    skills.weight,
    -- what the distance to a 5 weighs: a heavy criterion at 3 matters more than a light one at 2
    round((5 - skills.mean_level) * skills.weight / 100, 2) as gap
from skills
left join everyone
    on skills.dimension = everyone.dimension and skills.criterion_id = everyone.criterion_id
where %(rep_id)s::text is null or skills.rep_id = %(rep_id)s
order by skills.rep_name, skills.rep_id, skills.dimension, skills.criterion_id
"""


def skills(
    database: Database,
    viewer: Viewer,
    *,
    window_days: int = 91,
    team_id: str | None = None,
    rep_id: str | None = None,
) -> Rows[Skill]:
    """Mean level per rep and criterion beside the mean of everyone in scope."""
    return database.rows(
        viewer,
        Skill,
        _SKILLS,
        {"window_days": window_days, "team_id": team_id, "rep_id": rep_id, "min_n_show": MIN_N_SHOW},
    )


def focus_skill(rows: Iterable[Skill]) -> Skill | None:
    """The criterion whose distance to the top weighs most, among those with enough calls."""
    known = [skill for skill in rows if skill.gap is not None]
    return max(known, key=lambda skill: (skill.gap or 0, skill.criterion_id), default=None)
