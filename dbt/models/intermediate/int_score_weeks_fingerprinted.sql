{{ config(indexes=[{'columns': ['week_start'], 'unique': True}]) }}
-- A week's figures follow from all scores up to it and from who was in which team. A late call
-- changes its own week and those after it; the weeks before stay as they are.
with

scores as (
    select * from {{ ref('fct_scores') }}
    where is_current and status = 'scored' and score is not null
),

clock as (
    select * from {{ ref('int_reporting_clock_set') }}
),

memberships as (
    select
        rep_id,
        valid_from,
        concat_ws(
            '|', rep_id, team_id, extract(epoch from valid_from), extract(epoch from valid_to)
        ) as membership
    from {{ ref('dim_reps_history') }}
),

teams as (
    select md5(string_agg(membership, ',' order by rep_id, valid_from)) as teams_hash
    from memberships
),

bounds as (
    select
        min(scores.week_start) as first_week,
        greatest(max(scores.week_start), min(clock.running_week_start)) as last_week
    from scores
    cross join clock
),

weeks as (
    select cast(weeks.week_start as date) as week_start
    from bounds
    cross join lateral generate_series(bounds.first_week, bounds.last_week, interval '7 days')
        as weeks (week_start)
),

week_hashes as (
    select
        week_start,
        sum(hashtextextended(concat_ws('|', source_hash, score), 0)) as scores_hash
    from scores
    group by week_start
),

fingerprinted as (
    select
        weeks.week_start,
        md5(concat_ws(
            '|',
            weeks.week_start,
            weeks.week_start = clock.running_week_start,
            teams.teams_hash,
            sum(week_hashes.scores_hash) over (order by weeks.week_start)
        )) as source_hash
    from weeks
    cross join clock
    cross join teams
    left join week_hashes on weeks.week_start = week_hashes.week_start
)

select * from fingerprinted
