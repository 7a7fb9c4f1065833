with

clock as (
    select * from {{ ref('int_reporting_clock_set') }}
),

calls as (
    select
        {{ day_of('started_at') }} as day,
        count(*) as n_calls,
        count(*) filter (where not has_transcript) as n_without_transcript,
        count(*) filter (where is_eligible) as n_eligible_calls,
        count(*) filter (where is_eligible and is_scored) as n_scored_calls
    from {{ ref('fct_calls') }}
    where not is_deleted
    group by {{ day_of('started_at') }}
),

loads as (
    select
        {{ day_of('loaded_at') }} as day,
        count(*) as n_calls_loaded,
        max(loaded_at) as last_loaded_at
    from {{ ref('fct_calls') }}
    group by {{ day_of('loaded_at') }}
),

scores as (
    select
        {{ day_of('started_at') }} as day,
        count(*) filter (where status in ('failed', 'refused', 'over_budget')) as n_failed_scores,
        percentile_cont(0.5) within group (
            order by extract(epoch from scored_at - started_at) / 3600
        ) filter (where scored_at is not null) as median_hours_to_score
    from {{ ref('fct_scores') }}
    where is_current
    group by {{ day_of('started_at') }}
),

requests as (
    select
        day,
        count(*) filter (where not is_cache_hit) as n_requests,
        count(*) filter (where is_failed) as n_failed_requests,
        percentile_cont(0.95) within group (order by latency_ms)
        filter (where not is_cache_hit and not is_failed) as p95_request_ms
    from {{ ref('fct_llm_requests') }}
    group by day
),

letters as (
    select
        {{ day_of('first_seen_at') }} as day,
        count(*) as n_dead_letters,
        count(*) filter (where status = 'open') as n_dead_letters_open
    from {{ ref('stg_ops__dead_letters') }}
    group by {{ day_of('first_seen_at') }}
),

events as (
    select
        day,
        -- a call that only the poll found had an event that never came
        count(*) filter (where endpoint is distinct from 'poll') as n_events,
        count(*) filter (where endpoint = 'poll') as n_events_missed,
        count(*) filter (where status in ('failed', 'parked')) as n_events_failed,
        count(*) filter (where status in ('received', 'processing')) as n_events_waiting,
        percentile_cont(0.5) within group (order by latency_s) as median_event_s,
        percentile_cont(0.95) within group (order by latency_s) as p95_event_s
    from {{ ref('fct_webhook_events') }}
    where not is_test
    group by day
),

asked as (
    select
        {{ day_of('requested_at') }} as day,
        count(*) as n_analyses_asked,
        count(*) filter (where status in ('failed', 'parked')) as n_analyses_failed
    from {{ ref('stg_ops__analysis_requests') }}
    group by {{ day_of('requested_at') }}
),

known_days as (
    select day from calls
    union
    select day from loads
    union
    select day from requests
    union
    select day from letters
    union
    select day from events
    union
    select day from asked
),

bounds as (
    select
        min(known_days.day) as first_day,
        greatest(min(clock.today), max(known_days.day)) as last_day
    from known_days
    cross join clock
),

days as (
    select cast(days.day as date) as day
    from bounds
    cross join lateral generate_series(bounds.first_day, bounds.last_day, interval '1 day')
        as days (day)
)

select
    days.day,
    cast(coalesce(calls.n_calls, 0) as integer) as n_calls,
    cast(coalesce(calls.n_without_transcript, 0) as integer) as n_without_transcript,
    cast(coalesce(calls.n_eligible_calls, 0) as integer) as n_eligible_calls,
    cast(coalesce(calls.n_scored_calls, 0) as integer) as n_scored_calls,
    cast(coalesce(loads.n_calls_loaded, 0) as integer) as n_calls_loaded,
    loads.last_loaded_at,
    cast(coalesce(scores.n_failed_scores, 0) as integer) as n_failed_scores,
    cast(coalesce(requests.n_requests, 0) as integer) as n_requests,
    cast(coalesce(requests.n_failed_requests, 0) as integer) as n_failed_requests,
    cast(coalesce(letters.n_dead_letters, 0) as integer) as n_dead_letters,
    cast(coalesce(letters.n_dead_letters_open, 0) as integer) as n_dead_letters_open,
    cast(coalesce(events.n_events, 0) as integer) as n_events,
    cast(coalesce(events.n_events_missed, 0) as integer) as n_events_missed,
    cast(coalesce(events.n_events_failed, 0) as integer) as n_events_failed,
    cast(coalesce(events.n_events_waiting, 0) as integer) as n_events_waiting,
    cast(coalesce(asked.n_analyses_asked, 0) as integer) as n_analyses_asked,
    cast(coalesce(asked.n_analyses_failed, 0) as integer) as n_analyses_failed,
    round(calls.n_scored_calls / nullif(cast(calls.n_eligible_calls as numeric), 0), 4) as coverage,
    round(cast(scores.median_hours_to_score as numeric), 2) as median_hours_to_score,
    round(cast(requests.p95_request_ms as numeric), 0) as p95_request_ms,
    round(cast(events.median_event_s as numeric), 3) as median_event_s,
    round(cast(events.p95_event_s as numeric), 3) as p95_event_s
from days
left join calls on days.day = calls.day
left join loads on days.day = loads.day
left join scores on days.day = scores.day
left join requests on days.day = requests.day
left join letters on days.day = letters.day
left join events on days.day = events.day
left join asked on days.day = asked.day
