{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['day']},
            {'columns': ['call_id']},
            {'columns': ['rep_id', 'started_at']},
        ],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_request_days_fingerprinted'),
            key=['day'],
            first_row='request_number = 1',
        ) }}",
        post_hook="{{ index_first_rows('request_number = 1') }}",
    )
}}

with

days as (
    select fingerprint.*
    from {{ ref('int_request_days_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint', 'request_number = 1') }}
),

calls as (
    select * from {{ ref('int_calls_classified') }}
),

prices as (
    select * from {{ ref('dim_model_prices') }}
),

requests as (
    select
        requests.*,
        days.day,
        days.source_hash,
        calls.call_id as known_call_id,
        -- The leader of a call writes its transcript to the cache: that is how long it is.
        max(requests.cache_write_5m_tokens) over (
            partition by requests.call_id, days.day
        ) as transcript_tokens,
        requests.input_tokens
        + requests.cache_read_tokens
        + requests.cache_write_5m_tokens
        + requests.cache_write_1h_tokens as prompt_tokens,
        row_number() over (
            partition by days.day order by requests.started_at, requests.request_id
        ) as request_number
    from {{ ref('stg_analysis__requests') }} as requests
    inner join days
        on
            requests.started_at >= days.day at time zone 'UTC'
            and requests.started_at < (days.day + 1) at time zone 'UTC'
    left join calls on requests.call_id = calls.call_id
),

-- The price of the day for a prompt of that size.
ranked_prices as (
    select
        prices.*,
        requests.request_id,
        requests.started_at,
        row_number() over (
            partition by requests.request_id, requests.started_at
            order by prices.valid_from desc, prices.prompt_tokens_above desc
        ) as closeness
    from requests
    inner join prices
        on
            requests.requested_model = prices.model
            and requests.day >= prices.valid_from
            and requests.prompt_tokens >= prices.prompt_tokens_above
),

priced as (
    select
        requests.*,
        case when requests.kind = 'batch' then ranked_prices.batch_multiplier else 1 end
            as price_factor
    from requests
    left join ranked_prices
        on
            requests.request_id = ranked_prices.request_id
            and requests.started_at = ranked_prices.started_at
            and ranked_prices.closeness = 1
),

final as (
    select
        priced.request_id,
        priced.started_at,
        priced.day,
        priced.api_request_id,
        priced.known_call_id as call_id,
        case when priced.known_call_id is not null or priced.call_id is null then priced.rep_id end
            as rep_id,
        priced.dimension,
        priced.result_key,
        priced.run_id,
        priced.requested_model,
        priced.model,
        priced.is_sandbox,
        priced.kind,
        priced.prefix_position,
        priced.attempt,
        priced.status,
        priced.stop_reason,
        priced.error_kind,
        priced.error,
        priced.error_kind is not null as is_failed,
        priced.kind = 'cache' or priced.cache_outcome = 'hit' as is_cache_hit,
        priced.cache_outcome,
        priced.input_tokens,
        priced.cache_read_tokens,
        priced.cache_write_5m_tokens + priced.cache_write_1h_tokens as cache_write_tokens,
        priced.cache_write_5m_tokens,
        priced.cache_write_1h_tokens,
        priced.output_tokens,
        priced.thinking_tokens,
        priced.cost_usd,
        priced.saved_usd,
        {{ usd_without_prompt_cache('priced', 'ranked_prices') }} as uncached_usd,
        {{ usd_with_rubric_only_cache('priced', 'ranked_prices') }} as rubric_only_usd,
        priced.latency_ms,
        priced.first_event_ms,
        cast(priced.request_number as integer) as request_number,
        priced.source_hash
    from priced
    left join ranked_prices
        on
            priced.request_id = ranked_prices.request_id
            and priced.started_at = ranked_prices.started_at
            and ranked_prices.closeness = 1
)

select * from final
