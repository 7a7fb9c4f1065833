with

source as (
    select * from {{ source('knowledge', 'rubrics') }}
),

renamed as (
    select
        dimension,
        rubric_version,
        title,
        body,
        is_current,
        loaded_at
    from source
)

select * from renamed
