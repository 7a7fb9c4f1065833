{{ config(indexes=[{'columns': ['call_id', 'rep_id', 'dimension'], 'unique': True}]) }}
-- Every scored call with the mean of the last ten of its line: one rep, dimension, rubric version.
with

scores as (
    select * from {{ ref('fct_scores') }}
    where is_current and status = 'scored' and score is not null
),

rolled as (
    select
        call_id,
        rep_id,
        dimension,
        rubric_version,
        week_start,
        started_at,
        role,
        score,
        is_sandbox,
        cast(count(*) over last_calls as integer) as rolling_n,
        round(avg(score) over last_calls, 4) as rolling_mean,
        stddev_samp(score) over last_calls as rolling_sd,
        bool_or(is_sandbox) over last_calls as is_any_sandbox,
        row_number() over (
            partition by rep_id, dimension, week_start order by started_at desc, call_id desc
        ) = 1 as is_last_of_week
    from scores
    window last_calls as (
        partition by rep_id, dimension, rubric_version
        order by started_at, call_id
        rows between {{ var('rolling_calls_before') }} preceding and current row
    )
)

select * from rolled
