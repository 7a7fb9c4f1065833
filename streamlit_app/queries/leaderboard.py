"""Who others can learn from: shrunk scores with intervals and tiers, never places."""

from dataclasses import dataclass
from datetime import date

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One rep in one dimension and window."""

    dimension: str
    window_days: int
    as_of: date
    rep_id: str
    rep_name: str
    role: str
    team_id: str
    team_name: str
    n_calls: int
    mean_score: float | None
    score: float | None
    low: float | None
    high: float | None
    tier: str
    is_ranked: bool
    unranked_reason: str | None
    n_reps_compared: int | None
    group_mean: float | None
    rubric_version: str | None


_LEADERBOARD = """
standings as (
    select
        mart_leaderboard.dimension,
        mart_leaderboard.window_days,
        mart_leaderboard.as_of,
        mart_leaderboard.rep_id,
        mart_leaderboard.rep_name,
        mart_leaderboard.role,
        mart_leaderboard.team_id,
        mart_leaderboard.team_name,
        mart_leaderboard.n_calls,
        round(mart_leaderboard.mean_score, 1) as mean_score,
        round(mart_leaderboard.score, 1) as score,
        round(mart_leaderboard.low, 1) as low,
        round(mart_leaderboard.high, 1) as high,
        mart_leaderboard.tier,
        mart_leaderboard.is_ranked,
        mart_leaderboard.unranked_reason,
        mart_leaderboard.n_reps_compared,
        round(mart_leaderboard.group_mean, 1) as group_mean,
        mart_leaderboard.rubric_version
    from marts.mart_leaderboard
    inner join visible_reps on mart_leaderboard.rep_id = visible_reps.rep_id
    where
        mart_leaderboard.window_days = %(window_days)s
        and (%(dimension)s::text is null or mart_leaderboard.dimension = %(dimension)s)
        and (%(team_id)s::text is null or mart_leaderboard.team_id = %(team_id)s)
        and (%(rep_id)s::text is null or mart_leaderboard.rep_id = %(rep_id)s)
)

select * from standings
order by dimension, role, is_ranked desc, score desc nulls last, rep_name, rep_id
"""


def leaderboard(
    database: Database,
    viewer: Viewer,
    *,
    dimension: str | None = None,
    window_days: int = 90,
    team_id: str | None = None,
    rep_id: str | None = None,
    limit: int = 500,
    offset: int = 0,
    with_total: bool = False,
) -> Rows[Standing]:
    """Ranked reps first, the others with the reason why they are not ranked."""
    return database.rows(
        viewer,
        Standing,
        _LEADERBOARD,
        {"dimension": dimension, "window_days": window_days, "team_id": team_id, "rep_id": rep_id},
        limit=limit,
        offset=offset,
        with_total=with_total,
    )
