with

source as (
    {{ optional_rows(source('hubspot', 'call_links')) }}
),

renamed as (
    select
        stored ->> 'call_id' as call_id,
        stored ->> 'object_type' as object_type,
        stored ->> 'object_id' as object_id,
        stored ->> 'matched_by' as matched_by
    from source
)

select * from renamed
