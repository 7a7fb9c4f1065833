with

weeks as (
    select
        team_id,
        week_start,
        lag(week_start) over (partition by team_id order by week_start) as previous_week
    from {{ ref('mart_team_weeks') }}
)

select *
from weeks
where week_start - previous_week <> 7
