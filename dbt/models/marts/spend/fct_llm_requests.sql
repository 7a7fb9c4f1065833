with

requests as (
    select * from {{ ref('stg_analysis__requests') }}
)

select
    request_id,
    api_request_id,
    call_id,
    rep_id,
    dimension,
    result_key,
    run_id,
    requested_model,
    model,
    is_sandbox,
    kind,
    prefix_position,
    attempt,
    status,
    stop_reason,
    error_kind,
    error,
    error_kind is not null as is_failed,
    kind = 'cache' or cache_outcome = 'hit' as is_cache_hit,
    cache_outcome,
    input_tokens,
    cache_read_tokens,
    cache_write_5m_tokens + cache_write_1h_tokens as cache_write_tokens,
    cache_write_5m_tokens,
    cache_write_1h_tokens,
    output_tokens,
    thinking_tokens,
    cost_usd,
    saved_usd,
    latency_ms,
    first_event_ms,
    started_at,
    {{ day_of('started_at') }} as day
from requests
