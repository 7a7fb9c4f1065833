{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['call_id', 'rep_id', 'dimension'], 'unique': True},
            {'columns': ['week_start']},
        ],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_score_weeks_fingerprinted'),
            key=['week_start'],
            first_row='score_number = 1',
        ) }}",
        post_hook="{{ index_hashes('score_number = 1') }}",
    )
}}
-- Every scored call with the mean of the last ten of its line: one rep, dimension, rubric version.
-- A late call changes its own week and all after it: those are rolled anew, with the calls before.
with

-- Read by index, line by line: kept in between, it was searched once for every line.
scores as not materialized (
    select * from {{ ref('fct_scores') }}
    where is_current and status = 'scored' and score is not null
),

-- A week without scores has no row that could be held.
weeks as materialized (
    select fingerprint.*
    from {{ ref('int_score_weeks_fingerprinted') }} as fingerprint
    where
        fingerprint.week_start in (select scores.week_start from scores)
        {{ where_not_held('fingerprint', 'score_number = 1') }}
),

changed as (
    select scores.*
    from scores
    where scores.week_start >= (select min(weeks.week_start) from weeks)
),

lines as (
    select distinct
        rep_id,
        dimension,
        rubric_version
    from changed
),

calls_before as (
    select line_scores.*
    from lines
    cross join lateral (
        select scores.*
        from scores
        where
            scores.rep_id = lines.rep_id
            and scores.dimension = lines.dimension
            and scores.rubric_version = lines.rubric_version
            and scores.week_start < (select min(weeks.week_start) from weeks)
        order by scores.started_at desc, scores.call_id desc
        limit {{ var('rolling_calls_before') }}
    ) as line_scores
),

in_line as (
    select * from changed
    union all
    select * from calls_before
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
    from in_line
    window last_calls as (
        partition by rep_id, dimension, rubric_version
        order by started_at, call_id
        rows between {{ var('rolling_calls_before') }} preceding and current row
    )
)

select
    rolled.*,
    weeks.source_hash,
    cast(row_number() over (
        partition by rolled.week_start
        order by rolled.started_at, rolled.call_id, rolled.rep_id, rolled.dimension
    ) as integer) as score_number
from rolled
inner join weeks on rolled.week_start = weeks.week_start
