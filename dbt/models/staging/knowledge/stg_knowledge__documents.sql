with

source as (
    select * from {{ source('knowledge', 'documents') }}
),

renamed as (
    select
        document_id,
        document_version,
        kind,
        title,
        body,
        is_current,
        loaded_at
    from source
)

select * from renamed
