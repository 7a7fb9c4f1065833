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

with

fingerprints as (
    select fingerprint.*
    from {{ ref('int_score_weeks_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint', 'line_number = 1') }}
),

weeks as (
    select
        team_weeks.*,
        fingerprints.source_hash
    from {{ ref('mart_team_weeks') }} as team_weeks
    inner join fingerprints on team_weeks.week_start = fingerprints.week_start
),

scores as (
    select * from {{ ref('int_scores_rolled') }}
),

history as (
    select * from {{ ref('dim_reps_history') }}
),

assigned as (
    select
        scores.*,
        coalesce(history.team_id, 'none') as team_id
    from scores
    left join history
        on
            scores.rep_id = history.rep_id
            and (scores.started_at >= history.valid_from or history.is_first)
            and (scores.started_at < history.valid_to or history.valid_to is null)
),

dimensions as (
    select
        team_id,
        dimension,
        min(week_start) as first_week
    from assigned
    group by team_id, dimension
),

spined as (
    select
        weeks.team_id,
        weeks.team_name,
        dimensions.dimension,
        weeks.week_start,
        weeks.is_running_week,
        weeks.source_hash,
        cast(row_number() over (
            partition by weeks.week_start order by weeks.team_id, dimensions.dimension
        ) as integer) as line_number
    from weeks
    inner join dimensions
        on weeks.team_id = dimensions.team_id and weeks.week_start >= dimensions.first_week
),

-- 28 days that end with the week: a single week is mostly noise.
windowed as (
    select
        spined.team_id,
        spined.dimension,
        spined.week_start,
        assigned.score,
        assigned.rep_id,
        assigned.is_sandbox,
        assigned.rubric_version,
        assigned.week_start = spined.week_start as is_this_week,
        first_value(assigned.rubric_version) over (
            partition by spined.team_id, spined.dimension, spined.week_start
            order by assigned.started_at desc, assigned.call_id desc
        ) as newest_version
    from spined
    inner join assigned
        on
            spined.team_id = assigned.team_id
            and spined.dimension = assigned.dimension
            and spined.week_start >= assigned.week_start
            and assigned.week_start > spined.week_start - 28
),

counted as (
    select
        team_id,
        dimension,
        week_start,
        newest_version as rubric_version,
        count(*) filter (where is_this_week) as n_calls,
        avg(score) filter (where is_this_week) as mean_score,
        count(*) as rolling_n,
        count(distinct rep_id) as rolling_reps,
        avg(score) as rolling_mean,
        stddev_samp(score) as rolling_sd,
        bool_or(is_sandbox) as is_sandbox
    from windowed
    where rubric_version = newest_version
    group by team_id, dimension, week_start, newest_version
),

measured as (
    select
        counted.*,
        counted.rolling_n >= {{ var('show_from_calls') }} as is_shown,
        {{ mean_half_width('counted.rolling_sd', 'counted.rolling_n') }} as half_width
    from counted
)

select
    spined.team_id,
    spined.team_name,
    spined.dimension,
    spined.week_start,
    spined.is_running_week,
    cast(coalesce(measured.n_calls, 0) as integer) as n_calls,
    {{ as_score('measured.mean_score') }} as mean_score,
    cast(coalesce(measured.rolling_n, 0) as integer) as rolling_n,
    cast(coalesce(measured.rolling_reps, 0) as integer) as rolling_reps,
    case when measured.is_shown then {{ as_score('measured.rolling_mean') }} end as rolling_score,
    case
        when measured.is_shown
            then {{ as_score('measured.rolling_mean - measured.half_width') }}
    end as rolling_low,
    case
        when measured.is_shown
            then {{ as_score('measured.rolling_mean + measured.half_width') }}
    end as rolling_high,
    measured.rubric_version,
    coalesce(measured.is_sandbox, false) as is_sandbox,
    spined.line_number,
    spined.source_hash
from spined
left join measured
    on
        spined.team_id = measured.team_id
        and spined.dimension = measured.dimension
        and spined.week_start = measured.week_start
