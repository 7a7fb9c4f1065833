with

source as (
    select * from {{ source('ops', 'reviews') }}
),

renamed as (
    select
        review_id,
        week_start,
        kind,
        recipient_id,
        version,
        subject,
        markdown,
        rendered_at
    from source
)

select * from renamed
