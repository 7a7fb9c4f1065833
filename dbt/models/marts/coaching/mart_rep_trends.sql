{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[{'columns': ['week_start']}],
        pre_hook=[
            "{{ avoid_row_by_row_joins() }}",
            "{{ delete_replaced_rows(
                parent=ref('int_score_weeks_fingerprinted'),
                key=['week_start'],
                first_row='line_number = 1',
            ) }}",
        ],
        post_hook="{{ index_hashes('line_number = 1') }}",
    )
}}
{% set x = 'extract(epoch from scores.started_at - weeks.week_start) / 604800.0' %}

with

weeks as (
    select spine.*
    from {{ ref('int_rep_weeks_spined') }} as spine
    where true {{ where_not_held('spine', 'line_number = 1') }}
),

scores as (
    select * from {{ ref('int_scores_rolled') }}
),

clock as (
    select * from {{ ref('int_reporting_clock_set') }}
),

week_means as (
    select
        rep_id,
        dimension,
        rubric_version,
        week_start,
        count(*) as n_calls,
        avg(score) as mean_score
    from scores
    group by rep_id, dimension, rubric_version, week_start
),

-- Call by call, in weeks before the end of the row's week; one rubric version only.
regressions as (
    select
        weeks.rep_id,
        weeks.dimension,
        weeks.week_start,
        count(*) as n,
        count(distinct scores.week_start) as n_weeks,
        regr_slope(scores.score, {{ x }}) as slope,
        regr_sxx(scores.score, {{ x }}) as sxx,
        regr_syy(scores.score, {{ x }}) as syy,
        regr_sxy(scores.score, {{ x }}) as sxy
    from weeks
    inner join scores
        on
            weeks.rep_id = scores.rep_id
            and weeks.dimension = scores.dimension
            and weeks.rubric_version = scores.rubric_version
            and weeks.week_start >= scores.week_start
            and scores.week_start > weeks.week_start - 7 * {{ var('trend_window_weeks') }}
    group by weeks.rep_id, weeks.dimension, weeks.week_start
),

with_errors as (
    select
        regressions.*,
        {{ slope_standard_error('sxx', 'syy', 'sxy', 'n') }} as slope_se,
        regressions.n >= {{ var('trend_from_calls') }}
        and regressions.n_weeks >= {{ var('trend_from_weeks') }} as is_tested
    from regressions
),

tested as (
    select
        with_errors.*,
        case
            when not with_errors.is_tested then null
            when with_errors.slope_se > 0
                then {{ two_sided_p(t_as_normal('slope / slope_se', 'n - 2')) }}
            when with_errors.slope = 0 then 1
            else 0
        end as p_value
    from with_errors
),

scaled as (
    select
        tested.*,
        {{ benjamini_hochberg_scaled('p_value', 'week_start') }} as scaled_p
    from tested
),

controlled as (
    select
        scaled.*,
        {{ benjamini_hochberg_q('p_value', 'scaled_p', 'week_start') }} as q_value
    from scaled
),

joined as (
    select
        weeks.rep_id,
        weeks.dimension,
        weeks.week_start,
        weeks.week_start = clock.running_week_start as is_running_week,
        cast(coalesce(week_means.n_calls, 0) as integer) as n_calls,
        {{ as_score('week_means.mean_score') }} as mean_score,
        weeks.rolling_n >= {{ var('show_from_calls') }} as is_shown,
        weeks.rolling_n,
        weeks.rolling_mean,
        {{ mean_half_width('weeks.rolling_sd', 'weeks.rolling_n') }} as half_width,
        controlled.n as trend_n_calls,
        controlled.n_weeks as trend_n_weeks,
        case when controlled.is_tested then controlled.slope end as slope_per_week,
        case when controlled.is_tested then controlled.slope_se end as slope_se,
        controlled.p_value,
        controlled.q_value,
        {{ trend_signal(
            'controlled.slope',
            'controlled.q_value',
            'coalesce(controlled.n, 0)',
            'coalesce(controlled.n_weeks, 0)',
        ) }} as signal,
        weeks.rubric_version,
        weeks.has_version_break,
        weeks.is_any_sandbox as is_sandbox,
        weeks.line_number,
        weeks.source_hash
    from weeks
    cross join clock
    left join week_means
        on
            weeks.rep_id = week_means.rep_id
            and weeks.dimension = week_means.dimension
            and weeks.week_start = week_means.week_start
            and weeks.rubric_version = week_means.rubric_version
    left join controlled
        on
            weeks.rep_id = controlled.rep_id
            and weeks.dimension = controlled.dimension
            and weeks.week_start = controlled.week_start
)

select
    rep_id,
    dimension,
    week_start,
    is_running_week,
    n_calls,
    mean_score,
    case when is_shown then {{ as_score('rolling_mean') }} end as rolling_score,
    rolling_n,
    case when is_shown then {{ as_score('rolling_mean - half_width') }} end as rolling_low,
    case when is_shown then {{ as_score('rolling_mean + half_width') }} end as rolling_high,
    cast(coalesce(trend_n_calls, 0) as integer) as trend_n_calls,
    cast(coalesce(trend_n_weeks, 0) as integer) as trend_n_weeks,
    round(cast(slope_per_week as numeric), 4) as slope_per_week,
    round(cast(slope_se as numeric), 4) as slope_se,
    round(cast(p_value as numeric), 6) as p_value,
    round(cast(q_value as numeric), 6) as q_value,
    signal,
    rubric_version,
    has_version_break,
    is_sandbox,
    line_number,
    source_hash
from joined
