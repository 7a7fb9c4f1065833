"""Dimension scores of people and teams: windows, trends and the calls behind them."""

from dataclasses import dataclass
from datetime import date, datetime

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.metrics import MIN_N_SHOW, MIN_N_TREND
from streamlit_app.queries.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class DimensionMean:
    """One dimension over a period: its mean, the equally long period before it, and whether they differ."""

    dimension: str
    since: date
    until: date
    n_calls: int
    n_reps: int
    mean_score: float | None
    low: float | None
    high: float | None
    previous_mean_score: float | None
    n_previous: int
    change: float | None
    is_clear_change: bool
    n_not_applicable: int
    rubric_version: str
    n_other_versions: int


@dataclass(frozen=True, kw_only=True)
class DimensionWeek:
    """Everyone in scope in one week; the running week is marked."""

    dimension: str
    week_start: date
    is_running_week: bool
    n_calls: int
    mean_score: float | None


@dataclass(frozen=True, kw_only=True)
class RepDimension:
    """Where one rep stands in one dimension, from the newest week of the trend mart."""

    rep_id: str
    rep_name: str
    role: str
    team_id: str
    team_name: str
    dimension: str
    week_start: date
    rolling_score: float | None
    rolling_n: int
    rolling_low: float | None
    rolling_high: float | None
    slope_per_week: float | None
    p_value: float | None
    q_value: float | None
    signal: str
    rubric_version: str | None
    n_calls: int


@dataclass(frozen=True, kw_only=True)
class TrendWeek:
    """One rep, one dimension, one week."""

    dimension: str
    week_start: date
    is_running_week: bool
    n_calls: int
    mean_score: float | None
    rolling_score: float | None
    rolling_n: int
    rolling_low: float | None
    rolling_high: float | None
    signal: str
    rubric_version: str | None
    has_version_break: bool


@dataclass(frozen=True, kw_only=True)
class ScoredCall:
    """One call x dimension of a rep."""

    call_id: str
    title: str | None
    account_name: str | None
    call_type: str | None
    started_at: datetime
    week_start: date
    is_running_week: bool
    dimension: str
    score: float | None
    na_reason: str | None
    n_markers_met: int
    n_markers_applicable: int
    rubric_version: str
    is_sandbox: bool


# Written out wherever they bound a week: of a joined row the planner knows no value, and reads every score there is.
_UNTIL = "coalesce(%(until)s::date, %(window_end)s::date)"
_SINCE = f"coalesce(%(since)s::date, {_UNTIL} - 27)"

_MEANS = """
bounds as (
    select
        {until} as until,
        {since} as since
),

-- scores of two rubric versions are never averaged: the newest version of the period counts
versions as (
    select
        fct_scores.dimension,
        fct_scores.rubric_version,
        max(fct_scores.started_at) as last_used_at
    from marts.fct_scores
    cross join bounds
    where
        fct_scores.is_current
        and fct_scores.score is not null
        and fct_scores.week_start >= {since} - 6
        and fct_scores.week_start <= {until}
        and fct_scores.started_at >= bounds.since
        and fct_scores.started_at < bounds.until + 1
    group by fct_scores.dimension, fct_scores.rubric_version
),

newest as (
    select distinct on (versions.dimension)
        versions.dimension,
        versions.rubric_version
    from versions
    order by versions.dimension asc, versions.last_used_at desc, versions.rubric_version asc
),

scores as (
    select
        fct_scores.dimension,
        fct_scores.rep_id,
        fct_scores.call_id,
        newest.rubric_version,
        fct_scores.rubric_version <> newest.rubric_version as is_other_version,
        case when fct_scores.rubric_version = newest.rubric_version then fct_scores.score end as score,
        fct_scores.started_at >= bounds.since as is_current_window
    from marts.fct_scores
    cross join bounds
    inner join newest on fct_scores.dimension = newest.dimension
    inner join visible_reps on fct_scores.rep_id = visible_reps.rep_id
    inner join marts.dim_reps on fct_scores.rep_id = dim_reps.rep_id
    where
        fct_scores.is_current
        and fct_scores.status = 'scored'
        and fct_scores.call_id not in (select deleted_calls.call_id from deleted_calls)
        and fct_scores.week_start >= {since} - ({until} - {since} + 1) - 6
        and fct_scores.week_start <= {until}
        and fct_scores.started_at >= bounds.since - (bounds.until - bounds.since + 1)
        and fct_scores.started_at < bounds.until + 1
        and fct_scores.dimension <> 'call_brief'
        and (%(team_id)s::text is null or dim_reps.team_id = %(team_id)s)
        and (%(rep_id)s::text is null or fct_scores.rep_id = %(rep_id)s)
        and (%(dimension)s::text is null or fct_scores.dimension = %(dimension)s)
),

summed as (
    select
        scores.dimension,
        count(scores.score) filter (where scores.is_current_window) as n_calls,
        count(distinct scores.rep_id) filter (where scores.is_current_window and scores.score is not null) as n_reps,
        count(*) filter (
            where scores.is_current_window and scores.score is null and not scores.is_other_version
        ) as n_not_applicable,
        min(scores.rubric_version) as rubric_version,
        count(*) filter (where scores.is_current_window and scores.is_other_version) as n_other_versions,
        avg(scores.score) filter (where scores.is_current_window) as mean_score,
        var_samp(scores.score) filter (where scores.is_current_window) as variance,
        count(scores.score) filter (where not scores.is_current_window) as n_previous,
        avg(scores.score) filter (where not scores.is_current_window) as previous_mean_score,
        var_samp(scores.score) filter (where not scores.is_current_window) as previous_variance
    from scores
    group by scores.dimension
),

judged as (
    select
        summed.*,
        sqrt(summed.variance / nullif(summed.n_calls, 0)) as standard_error,
        summed.mean_score - summed.previous_mean_score as change,
        sqrt(
            summed.variance / nullif(summed.n_calls, 0) + summed.previous_variance / nullif(summed.n_previous, 0)
        ) as change_error
    from summed
)

select
    judged.dimension,
    bounds.since,
    bounds.until,
    judged.n_calls,
    judged.n_reps,
    case when judged.n_calls >= %(min_n_show)s then round(judged.mean_score, 1) end as mean_score,
    case
        when judged.n_calls >= %(min_n_show)s
            then round(greatest(0, judged.mean_score - 1.96 * judged.standard_error), 1)
    end as low,
    case
        when judged.n_calls >= %(min_n_show)s
            then round(least(100, judged.mean_score + 1.96 * judged.standard_error), 1)
    end as high,
    case when judged.n_previous >= %(min_n_show)s then round(judged.previous_mean_score, 1) end as previous_mean_score,
    judged.n_previous,
    case
        when judged.n_calls >= %(min_n_show)s and judged.n_previous >= %(min_n_show)s then round(judged.change, 1)
    end as change,
    coalesce(
        judged.n_calls >= %(min_n_trend)s
        and judged.n_previous >= %(min_n_trend)s
        and abs(judged.change) > 1.96 * judged.change_error,
        false
    ) as is_clear_change,
    judged.n_not_applicable,
    judged.rubric_version,
    judged.n_other_versions
from judged
cross join bounds
order by judged.dimension
""".replace("{since}", _SINCE).replace("{until}", _UNTIL)

_WEEKS = """
weeks as (
    select
        mart_rep_trends.dimension,
        mart_rep_trends.week_start,
        bool_or(mart_rep_trends.is_running_week) as is_running_week,
        sum(mart_rep_trends.n_calls) as n_calls,
        -- the mean of calls, not of reps
        round(
            sum(mart_rep_trends.mean_score * mart_rep_trends.n_calls)
            / nullif(sum(mart_rep_trends.n_calls) filter (where mart_rep_trends.mean_score is not null), 0),
            1
        ) as mean_score
    from marts.mart_rep_trends
    cross join anchor
    inner join visible_reps on mart_rep_trends.rep_id = visible_reps.rep_id
    inner join marts.dim_reps on mart_rep_trends.rep_id = dim_reps.rep_id
    where
        mart_rep_trends.dimension <> 'call_brief'
        and mart_rep_trends.week_start > date_trunc('week', anchor.window_end)::date - 7 * %(n_weeks)s::integer
        and (%(team_id)s::text is null or dim_reps.team_id = %(team_id)s)
    group by mart_rep_trends.dimension, mart_rep_trends.week_start
)

select * from weeks
order by dimension, week_start
"""

_STANDINGS = """
dimensions as (
    select distinct dim_rubric_criteria.dimension
    from marts.dim_rubric_criteria
    where dim_rubric_criteria.is_current
),

-- one look-up per rep and dimension; numbering the weeks would read all of them
newest as (
    select trend.*
    from visible_reps
    cross join dimensions
    cross join lateral (
        select mart_rep_trends.*
        from marts.mart_rep_trends
        where
            mart_rep_trends.rep_id = visible_reps.rep_id
            and mart_rep_trends.dimension = dimensions.dimension
        order by mart_rep_trends.week_start desc
        limit 1
    ) as trend
    where %(rep_id)s::text is null or visible_reps.rep_id = %(rep_id)s
),

standings as (
    select
        newest.rep_id,
        dim_reps.rep_name,
        dim_reps.role,
        dim_reps.team_id,
        dim_reps.team_name,
        newest.dimension,
        newest.week_start,
        case when newest.rolling_n >= %(min_n_show)s then round(newest.rolling_score, 1) end as rolling_score,
        coalesce(newest.rolling_n, 0) as rolling_n,
        case when newest.rolling_n >= %(min_n_show)s then round(newest.rolling_low, 1) end as rolling_low,
        case when newest.rolling_n >= %(min_n_show)s then round(newest.rolling_high, 1) end as rolling_high,
        round(newest.slope_per_week::numeric, 2) as slope_per_week,
        newest.p_value,
        newest.q_value,
        newest.signal,
        newest.rubric_version,
        dim_reps.n_calls
    from newest
    inner join marts.dim_reps on newest.rep_id = dim_reps.rep_id
    where
        %(team_id)s::text is null
        or dim_reps.team_id = %(team_id)s
)

select * from standings
order by rep_name, rep_id, dimension
"""

_TREND = """
trend as (
    select
        mart_rep_trends.dimension,
        mart_rep_trends.week_start,
        mart_rep_trends.is_running_week,
        coalesce(mart_rep_trends.n_calls, 0) as n_calls,
        round(mart_rep_trends.mean_score, 1) as mean_score,
        case when mart_rep_trends.rolling_n >= %(min_n_show)s then round(mart_rep_trends.rolling_score, 1) end
            as rolling_score,
        coalesce(mart_rep_trends.rolling_n, 0) as rolling_n,
        case when mart_rep_trends.rolling_n >= %(min_n_show)s then round(mart_rep_trends.rolling_low, 1) end
            as rolling_low,
        case when mart_rep_trends.rolling_n >= %(min_n_show)s then round(mart_rep_trends.rolling_high, 1) end
            as rolling_high,
        mart_rep_trends.signal,
        mart_rep_trends.rubric_version,
        coalesce(mart_rep_trends.has_version_break, false) as has_version_break
    from marts.mart_rep_trends
    inner join visible_reps on mart_rep_trends.rep_id = visible_reps.rep_id
    where
        mart_rep_trends.rep_id = %(rep_id)s
        and mart_rep_trends.dimension <> 'call_brief'
        and (%(since)s::date is null or mart_rep_trends.week_start >= %(since)s)
)

select * from trend
order by dimension, week_start
"""

_SCORED_CALLS = """
scored_calls as (
    select
        fct_scores.call_id,
        fct_calls.title,
        fct_calls.account_name,
        fct_calls.call_type,
        fct_scores.started_at,
        fct_scores.week_start,
        fct_calls.is_running_week,
        fct_scores.dimension,
        round(fct_scores.score, 1) as score,
        fct_scores.na_reason,
        coalesce(fct_scores.n_markers_met, 0) as n_markers_met,
        coalesce(fct_scores.n_markers_applicable, 0) as n_markers_applicable,
        fct_scores.rubric_version,
        coalesce(fct_scores.is_sandbox, false) as is_sandbox
    from marts.fct_scores
    inner join visible_reps on fct_scores.rep_id = visible_reps.rep_id
    inner join marts.fct_calls on fct_scores.call_id = fct_calls.call_id
    where
        fct_scores.rep_id = %(rep_id)s
        and fct_scores.is_current
        and not fct_calls.is_deleted
        and fct_scores.dimension <> 'call_brief'
        and (%(since)s::date is null or fct_scores.started_at >= %(since)s)
)

select * from scored_calls
order by started_at desc, call_id, dimension
"""


def dimension_means(
    database: Database,
    viewer: Viewer,
    *,
    since: date | None = None,
    until: date | None = None,
    team_id: str | None = None,
    rep_id: str | None = None,
    dimension: str | None = None,
) -> Rows[DimensionMean]:
    """Mean of the calls of a period against the period before it; the last 28 days unless said otherwise."""
    return database.rows(
        viewer,
        DimensionMean,
        _MEANS,
        {
            "since": since,
            "until": until,
            "team_id": team_id,
            "rep_id": rep_id,
            "dimension": dimension,
            "min_n_show": MIN_N_SHOW,
            "min_n_trend": MIN_N_TREND,
        },
    )


def dimension_weeks(
    database: Database, viewer: Viewer, *, n_weeks: int = 12, team_id: str | None = None
) -> Rows[DimensionWeek]:
    """Weekly means of everyone in scope."""
    return database.rows(viewer, DimensionWeek, _WEEKS, {"n_weeks": n_weeks, "team_id": team_id})


def standings(
    database: Database, viewer: Viewer, *, team_id: str | None = None, rep_id: str | None = None
) -> Rows[RepDimension]:
    """Newest rolling score, interval and signal of every rep and dimension."""
    return database.rows(
        viewer, RepDimension, _STANDINGS, {"team_id": team_id, "rep_id": rep_id, "min_n_show": MIN_N_SHOW}
    )


def rep_trend(database: Database, viewer: Viewer, rep_id: str, *, since: date | None = None) -> Rows[TrendWeek]:
    """One rep's weeks."""
    return database.rows(viewer, TrendWeek, _TREND, {"rep_id": rep_id, "since": since, "min_n_show": MIN_N_SHOW})


def rep_scored_calls(database: Database, viewer: Viewer, rep_id: str, *, since: date | None = None) -> Rows[ScoredCall]:
    """One rep's calls, newest first, one row per dimension."""
    return database.rows(viewer, ScoredCall, _SCORED_CALLS, {"rep_id": rep_id, "since": since})
