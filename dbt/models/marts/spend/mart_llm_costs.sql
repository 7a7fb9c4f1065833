{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_request_days_fingerprinted'),
            key=['day'],
        ) }}",
        post_hook="{{ index_hashes() }}",
    )
}}

with

days as (
    select fingerprint.*
    from {{ ref('int_request_days_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint') }}
),

requests as (
    select requests.*
    from {{ ref('fct_llm_requests') }} as requests
    inner join days on requests.day = days.day
),

summed as (
    select
        day,
        model,
        dimension,
        is_sandbox,
        source_hash,
        cast(count(*) filter (where not is_cache_hit) as integer) as requests,
        cast(count(*) filter (where is_failed) as integer) as failed_requests,
        cast(count(*) filter (where is_cache_hit) as integer) as cache_hits,
        cast(sum(input_tokens) as bigint) as input_tokens,
        cast(sum(cache_read_tokens) as bigint) as cache_read_tokens,
        cast(sum(cache_write_tokens) as bigint) as cache_write_tokens,
        cast(sum(output_tokens) as bigint) as output_tokens,
        cast(count(distinct call_id) filter (where not is_failed) as integer) as calls_scored,
        sum(cost_usd) as cost_usd,
        sum(saved_usd) as saved_usd,
        sum(uncached_usd) as uncached_usd
    from requests
    group by day, model, dimension, is_sandbox, source_hash
)

select * from summed
