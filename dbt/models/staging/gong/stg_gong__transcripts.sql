with

source as (
    select * from {{ source('gong', 'transcripts') }}
),

renamed as (
    select
        call_id,
        started as started_at,
        loaded_at,
        transcript,
        content_hash
    from source
)

select * from renamed
