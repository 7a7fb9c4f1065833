with

source as (
    select * from {{ source('gong', 'users') }}
),

renamed as (
    select
        -- ids
        id as user_id,
        -- text
        email_address,
        first_name,
        last_name,
        title,
        -- times
        _dlt_valid_from as valid_from,
        _dlt_valid_to as valid_to,
        -- cleaned
        nullif(manager_id, '') as manager_id,
        coalesce(active, true) as is_active
    from source
)

select * from renamed
