with

source as (
    {{ optional_rows(source('hubspot', 'deals')) }}
),

renamed as (
    select
        {{ property_of(['id', 'hs_object_id']) }} as deal_id,
        {{ property_of(['dealname', 'name']) }} as deal_name,
        {{ property_of(['dealstage', 'stage']) }} as stage,
        {{ number_of(property_of(['amount'])) }} as amount,
        {{ date_of(property_of(['closedate', 'close_date'])) }} as close_date,
        {{ property_of(['company_id', 'associated_company_id', 'hs_primary_associated_company']) }}
            as account_id,
        coalesce(
            cast({{ property_of(['hs_is_closed']) }} as boolean), false
        ) as is_closed,
        coalesce(cast({{ property_of(['is_deleted', 'archived']) }} as boolean), false)
            as is_deleted
    from source
)

select * from renamed
