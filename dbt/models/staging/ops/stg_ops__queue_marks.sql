with

source as (
    select * from {{ source('ops', 'queue_marks') }}
),

renamed as (
    select
        mark_id,
        moment_id,
        viewer_id,
        mark,
        snoozed_until,
        note,
        marked_at
    from source
)

select * from renamed
