with

source as (
    select * from {{ source('ops', 'analysis_requests') }}
),

renamed as (
    select
        request_id,
        call_id,
        week_start,
        is_forced,
        requested_by,
        requested_via,
        status,
        reason,
        attempts,
        run_id,
        requested_at,
        finished_at
    from source
)

select * from renamed
