{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[{'columns': ['week_start', 'rep_id', 'dimension'], 'unique': True}],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_score_weeks_fingerprinted'),
            key=['week_start'],
            first_row='line_number = 1',
        ) }}",
        post_hook="{{ index_hashes('line_number = 1') }}",
    )
}}
-- No gaps: a week without calls is a row of its line, until twelve weeks have passed without one.
with

weeks as (
    select fingerprint.*
    from {{ ref('int_score_weeks_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint', 'line_number = 1') }}
),

last_calls as (
    select * from {{ ref('int_scores_rolled') }}
    where is_last_of_week
),

-- The week whose last call speaks for this one: itself, or the latest one before it.
candidates as (
    select
        weeks.week_start,
        weeks.source_hash,
        last_calls.rep_id,
        last_calls.dimension,
        last_calls.rubric_version,
        last_calls.rolling_n,
        last_calls.rolling_mean,
        last_calls.rolling_sd,
        last_calls.is_any_sandbox,
        last_calls.week_start as anchor_week,
        lead(last_calls.rubric_version) over latest_first as version_before,
        row_number() over latest_first as recency
    from weeks
    inner join last_calls
        on
            weeks.week_start >= last_calls.week_start
            and last_calls.week_start > weeks.week_start - 7 * {{ var('trend_window_weeks') }}
    window latest_first as (
        partition by weeks.week_start, last_calls.rep_id, last_calls.dimension
        order by last_calls.week_start desc
    )
),

spined as (
    select
        rep_id,
        dimension,
        week_start,
        rubric_version,
        rolling_n,
        rolling_mean,
        rolling_sd,
        is_any_sandbox,
        source_hash,
        cast(row_number() over (
            partition by week_start order by rep_id, dimension
        ) as integer) as line_number,
        coalesce(anchor_week = week_start and version_before <> rubric_version, false)
            as has_version_break
    from candidates
    where recency = 1
)

select * from spined
