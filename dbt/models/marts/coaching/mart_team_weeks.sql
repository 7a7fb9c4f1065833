with

calls as (
    select * from {{ ref('fct_calls') }}
    where not is_deleted
),

reps as (
    select * from {{ ref('dim_reps') }}
),

clock as (
    select * from {{ ref('int_reporting_clock_set') }}
),

-- The team a rep was in when the call took place, not the one of today.
history as (
    select * from {{ ref('dim_reps_history') }}
),

assigned as (
    select
        calls.*,
        coalesce(history.team_id, reps.team_id, 'none') as team_id
    from calls
    left join reps on calls.rep_id = reps.rep_id
    left join history
        on
            calls.rep_id = history.rep_id
            and (calls.started_at >= history.valid_from or history.is_first)
            and (calls.started_at < history.valid_to or history.valid_to is null)
),

teams as (
    select
        assigned.team_id,
        min(assigned.week_start) as first_week,
        greatest(max(assigned.week_start), min(clock.running_week_start)) as last_week
    from assigned
    cross join clock
    group by assigned.team_id
),

weeks as (
    select
        teams.team_id,
        cast(weeks.week_start as date) as week_start
    from teams
    cross join lateral generate_series(teams.first_week, teams.last_week, interval '7 days')
        as weeks (week_start)
),

counted as (
    select
        team_id,
        week_start,
        count(*) as n_calls,
        count(*) filter (where is_eligible) as n_eligible_calls,
        count(*) filter (where is_eligible and is_scored) as n_scored_calls,
        count(distinct rep_id) as n_reps,
        sum(duration_s) as call_seconds,
        bool_or(is_sandbox) as is_sandbox
    from assigned
    group by team_id, week_start
)

select
    weeks.team_id,
    weeks.week_start,
    cast(coalesce(counted.n_calls, 0) as integer) as n_calls,
    cast(coalesce(counted.n_eligible_calls, 0) as integer) as n_eligible_calls,
    cast(coalesce(counted.n_scored_calls, 0) as integer) as n_scored_calls,
    cast(coalesce(counted.n_reps, 0) as integer) as n_reps,
    cast(coalesce(counted.call_seconds, 0) as bigint) as call_seconds,
    coalesce(
        'Team ' || managers.rep_name,
        case when weeks.team_id = 'none' then 'No team' else 'Team ' || weeks.team_id end
    ) as team_name,
    weeks.week_start = clock.running_week_start as is_running_week,
    round(counted.n_scored_calls / nullif(cast(counted.n_eligible_calls as numeric), 0), 4)
        as coverage,
    coalesce(counted.is_sandbox, false) as is_sandbox
from weeks
cross join clock
left join counted on weeks.team_id = counted.team_id and weeks.week_start = counted.week_start
left join reps as managers on weeks.team_id = managers.rep_id
