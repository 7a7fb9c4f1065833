with

source as (
    select * from {{ source('ops', 'review_deliveries') }}
),

renamed as (
    select
        delivery_id,
        review_id,
        channel,
        address,
        status,
        error,
        attempted_at
    from source
)

select * from renamed
