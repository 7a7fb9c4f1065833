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
        cast(count(*) filter (where is_cache_hit) as integer) as n_answers_served,
        cast(count(*) filter (where not is_cache_hit and not is_failed) as integer)
            as n_answers_made,
        cast(sum(cache_read_tokens) as bigint) as cache_read_tokens,
        cast(sum(input_tokens + cache_read_tokens + cache_write_tokens) as bigint)
            as prompt_tokens,
        sum(cost_usd) as cost_usd,
        sum(uncached_usd) + sum(saved_usd) as no_caching_usd,
        sum(rubric_only_usd) + sum(saved_usd) as rubric_only_usd,
        sum(uncached_usd - cost_usd) as saved_by_prompt_cache_usd,
        sum(saved_usd) as saved_by_result_cache_usd
    from requests
    where kind <> 'count'
    group by day, model, dimension, is_sandbox, source_hash
)

select
    day,
    model,
    dimension,
    is_sandbox,
    n_answers_served,
    n_answers_made,
    cache_read_tokens,
    prompt_tokens,
    cost_usd,
    no_caching_usd,
    rubric_only_usd,
    saved_by_prompt_cache_usd,
    saved_by_result_cache_usd,
    source_hash,
    round(n_answers_served / nullif(cast(n_answers_served + n_answers_made as numeric), 0), 4)
        as result_hit_rate,
    round(cache_read_tokens / nullif(cast(prompt_tokens as numeric), 0), 4) as prompt_hit_rate,
    no_caching_usd - cost_usd as saved_against_no_caching_usd,
    rubric_only_usd - cost_usd as saved_against_rubric_only_usd
from summed
