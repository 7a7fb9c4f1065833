with

source as (
    select * from {{ source('ops', 'webhook_inbox') }}
),

renamed as (
    select
        inbox_id,
        endpoint,
        event_key,
        scheme,
        call_id,
        call_started_at,
        is_test,
        status,
        reason,
        attempts,
        run_id,
        received_at,
        claimed_at,
        finished_at
    from source
)

select * from renamed
