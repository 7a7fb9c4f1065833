{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['day', 'is_failed', 'dimension', 'model', 'is_sandbox', 'call_id', 'rep_id']},
            {'columns': ['call_id']},
            {'columns': ['rep_id', 'started_at']},
        ],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_request_days_fingerprinted'),
            key=['day'],
            first_row='request_number = 1',
        ) }}",
        post_hook="{{ index_hashes('request_number = 1') }}",
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
    inner join days on {{ day_of('requests.started_at') }} = days.day
    left join calls on requests.call_id = calls.call_id
    -- the requests are partitioned by quarter: the quarters before are not read
    where requests.started_at >= (
        select min(new_days.day) at time zone 'UTC' from days as new_days
    )
),

-- The price of the day for a prompt of that size.
priced as (
    select
        requests.*,
        day_prices.input_usd_per_mtok,
        day_prices.cache_read_usd_per_mtok,
        day_prices.cache_write_5m_usd_per_mtok,
        day_prices.cache_write_1h_usd_per_mtok,
        case when requests.kind = 'batch' then day_prices.batch_multiplier else 1 end
            as price_factor
    from requests
    left join lateral (
        select prices.*
        from prices
        where
            prices.model = requests.requested_model
            and prices.valid_from <= requests.day
            and prices.prompt_tokens_above <= requests.prompt_tokens
        order by prices.valid_from desc, prices.prompt_tokens_above desc
        limit 1
    ) as day_prices on true
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
        {{ usd_without_prompt_cache('priced', 'priced') }} as uncached_usd,
        {{ usd_with_rubric_only_cache('priced', 'priced') }} as rubric_only_usd,
        priced.latency_ms,
        priced.first_event_ms,
        cast(priced.request_number as integer) as request_number,
        priced.source_hash
    from priced
)

select * from final
