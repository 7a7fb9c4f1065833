with

source as (
    {{ optional_rows(source('hubspot', 'companies')) }}
),

renamed as (
    select
        {{ property_of(['id', 'hs_object_id']) }} as account_id,
        {{ property_of(['name']) }} as account_name,
        {{ property_of(['domain']) }} as domain,
        {{ property_of(['industry']) }} as industry,
        {{ number_of(property_of(['numberofemployees'])) }} as n_employees,
        coalesce(cast({{ property_of(['is_deleted', 'archived']) }} as boolean), false)
            as is_deleted
    from source
)

select * from renamed
