with

source as (
    select * from {{ source('gong', 'calls') }}
),

renamed as (
    select
        -- ids
        id as call_id,
        primary_user_id,
        workspace_id,
        calendar_event_id,
        -- text
        url,
        title,
        direction,
        system as conferencing_system,
        scope,
        media,
        language,
        purpose,
        -- numbers
        duration as duration_s,
        -- times
        scheduled as scheduled_at,
        started as started_at,
        loaded_at,
        -- blocks as Gong sends them
        parties,
        context,
        content,
        interaction,
        collaboration,
        content_hash,
        -- flags
        coalesce(is_private, false) as is_private,
        coalesce(is_deleted, false) as is_deleted
    from source
)

select * from renamed
