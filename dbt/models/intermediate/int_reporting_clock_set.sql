{{ config(indexes=[{'columns': ['today'], 'unique': True}]) }}
-- The one place that asks what day it is. Windows end with the newest scored call, not with today:
-- a warehouse that was not loaded for a while says so in `as_of` and is not shown as idle.
with

scored_calls as (
    select max(started_at) as newest_scored_at
    from {{ ref('int_call_results_ranked') }}
    where status = 'scored'
),

clock as (
    select
        {{ today() }} as today,
        cast(date_trunc('week', {{ today() }}) as date) as running_week_start,
        least({{ today() }}, coalesce({{ day_of('scored_calls.newest_scored_at') }}, {{ today() }}))
            as as_of
    from scored_calls
)

select * from clock
