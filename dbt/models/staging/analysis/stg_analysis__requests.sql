with

source as (
    select * from {{ source('analysis', 'requests') }}
),

renamed as (
    select
        -- ids
        request_id,
        api_request_id,
        call_id,
        rep_id,
        dimension,
        result_key,
        run_id,
        -- what was asked
        requested_model,
        model,
        is_sandbox,
        kind,
        position as prefix_position,
        attempt,
        -- what came back
        status,
        stop_reason,
        error_kind,
        error,
        cache_outcome,
        -- numbers
        input_tokens,
        cache_read_tokens,
        cache_write_5m_tokens,
        cache_write_1h_tokens,
        output_tokens,
        thinking_tokens,
        cost_usd,
        saved_usd,
        latency_ms,
        first_event_ms,
        -- times
        started_at
    from source
)

select * from renamed
