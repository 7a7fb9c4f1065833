with

events as (
    select * from {{ ref('stg_ops__webhook_inbox') }}
),

calls as (
    select * from {{ ref('int_calls_classified') }}
),

final as (
    select
        events.inbox_id,
        events.endpoint,
        events.scheme,
        -- The id of a call that was erased does not live on in its events.
        calls.call_id,
        events.is_test,
        events.status,
        events.reason,
        events.attempts,
        events.run_id,
        events.received_at,
        events.claimed_at,
        events.finished_at,
        extract(epoch from events.claimed_at - events.received_at) as waited_s,
        extract(epoch from events.finished_at - events.received_at) as latency_s,
        {{ day_of('events.received_at') }} as day
    from events
    left join calls on events.call_id = calls.call_id
)

select * from final
