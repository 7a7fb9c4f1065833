with

requests as (
    select * from {{ ref('fct_llm_requests') }}
),

summed as (
    select
        day,
        model,
        dimension,
        is_sandbox,
        cast(count(*) filter (where not is_cache_hit) as integer) as requests,
        cast(count(*) filter (where is_failed) as integer) as failed_requests,
        cast(count(*) filter (where is_cache_hit) as integer) as cache_hits,
        cast(sum(input_tokens) as bigint) as input_tokens,
        cast(sum(cache_read_tokens) as bigint) as cache_read_tokens,
        cast(sum(cache_write_tokens) as bigint) as cache_write_tokens,
        cast(sum(output_tokens) as bigint) as output_tokens,
        cast(count(distinct call_id) filter (where not is_failed) as integer) as calls_scored,
        sum(cost_usd) as cost_usd,
        sum(saved_usd) as saved_usd
    from requests
    group by day, model, dimension, is_sandbox
)

select * from summed
