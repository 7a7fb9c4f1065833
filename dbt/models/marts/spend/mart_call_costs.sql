with

requests as (
    select * from {{ ref('fct_llm_requests') }}
    where call_id is not null
),

calls as (
    select * from {{ ref('fct_calls') }}
),

summed as (
    select
        call_id,
        cast(count(*) filter (where not is_cache_hit) as integer) as requests,
        cast(count(*) filter (where is_failed) as integer) as failed_requests,
        cast(count(*) filter (where is_cache_hit) as integer) as cache_hits,
        bool_or(is_sandbox) as is_sandbox,
        sum(cost_usd) as cost_usd,
        sum(saved_usd) as saved_usd,
        max(started_at) as last_request_at
    from requests
    group by call_id
)

select
    summed.call_id,
    calls.rep_id,
    calls.week_start,
    calls.call_type,
    calls.is_scored,
    calls.n_dimensions_scored,
    summed.requests,
    summed.failed_requests,
    summed.cache_hits,
    summed.is_sandbox,
    summed.cost_usd,
    summed.saved_usd,
    summed.last_request_at
from summed
inner join calls on summed.call_id = calls.call_id
