"""Criterion levels: what a rep does reliably and what is worth practising."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer

SkillWindow = Literal[28, 90]


@dataclass(frozen=True, kw_only=True)
class Skill:
    """One rep and criterion over a window, beside the others of the same role."""

    rep_id: str
    rep_name: str
    role: str
    team_id: str
    team_name: str
    dimension: str
    criterion_id: str
    criterion_title: str | None
    window_days: int
    as_of: date
    mean_level: float | None
    low: float | None
    high: float | None
    n_applicable: int
    n_calls: int
    weight: float
    role_mean_level: float | None
    gap_to_role: float | None
    share_low: float | None
    points_to_gain: float | None
    focus_rank: int | None
    rubric_version: str


_SKILLS = """
skills as (
    select
        mart_skill_gaps.rep_id,
        dim_reps.rep_name,
        mart_skill_gaps.role,
        dim_reps.team_id,
        dim_reps.team_name,
        mart_skill_gaps.dimension,
        mart_skill_gaps.criterion_id,
        mart_skill_gaps.criterion_title,
        mart_skill_gaps.window_days,
        mart_skill_gaps.as_of,
        mart_skill_gaps.mean_level,
        mart_skill_gaps.low,
        mart_skill_gaps.high,
        mart_skill_gaps.n_applicable,
        mart_skill_gaps.n_calls,
        coalesce(mart_skill_gaps.weight, 0)::numeric as weight,
        mart_skill_gaps.role_mean_level,
        mart_skill_gaps.gap_to_role,
        mart_skill_gaps.share_low,
        mart_skill_gaps.points_to_gain,
        mart_skill_gaps.focus_rank,
        mart_skill_gaps.rubric_version
    from marts.mart_skill_gaps
    inner join visible_reps on mart_skill_gaps.rep_id = visible_reps.rep_id
    inner join marts.dim_reps on mart_skill_gaps.rep_id = dim_reps.rep_id
    where
        mart_skill_gaps.window_days = %(window_days)s
        and (%(team_id)s::text is null or dim_reps.team_id = %(team_id)s)
        and (%(rep_id)s::text is null or mart_skill_gaps.rep_id = %(rep_id)s)
        and (%(dimension)s::text is null or mart_skill_gaps.dimension = %(dimension)s)
)

select * from skills
order by rep_name, rep_id, dimension, criterion_id
"""


def skills(
    database: Database,
    viewer: Viewer,
    *,
    window_days: SkillWindow = 90,
    team_id: str | None = None,
    rep_id: str | None = None,
    dimension: str | None = None,
) -> Rows[Skill]:
    """Mean level per rep and criterion; withheld under five calls."""
    parameters = {"window_days": window_days, "team_id": team_id, "rep_id": rep_id, "dimension": dimension}
    return database.rows(viewer, Skill, _SKILLS, parameters)


def focus_skill(rows: Iterable[Skill]) -> Skill | None:
    """The criterion that would raise the rep's score most."""
    known = [skill for skill in rows if skill.points_to_gain is not None]
    return max(known, key=lambda skill: (skill.points_to_gain or 0, skill.criterion_id), default=None)
