with

source as (
    select * from {{ source('ops', 'dead_letters') }}
),

renamed as (
    select
        dead_letter_id,
        source as source_system,
        stream,
        key as source_key,
        error,
        attempts,
        status,
        first_seen_at,
        last_seen_at,
        resolved_at
    from source
)

select * from renamed
