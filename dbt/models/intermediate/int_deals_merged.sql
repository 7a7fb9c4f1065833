{{ config(indexes=[{'columns': ['deal_id'], 'unique': True}]) }}
-- A deal as of now: HubSpot's own record where it is loaded, else what the newest call says of it.
with

calls as (
    select * from {{ ref('int_calls_classified') }}
    where not is_deleted
),

crm_objects as (
    select * from {{ ref('int_call_crm_objects_unpacked') }}
    where kind = 'deal'
),

hubspot as (
    select * from {{ ref('stg_hubspot__deals') }}
    where not is_deleted and deal_id is not null
),

told as (
    select distinct on (crm_objects.object_id)
        crm_objects.object_id as deal_id,
        calls.account_id,
        crm_objects.crm_system,
        coalesce(crm_objects.attributes ->> 'dealname', crm_objects.attributes ->> 'name')
            as deal_name,
        {{ deal_stage_of('crm_objects.attributes') }} as stage,
        {{ number_of("crm_objects.attributes ->> 'amount'") }} as amount,
        {{ date_of("coalesce(
            crm_objects.attributes ->> 'closedate', crm_objects.attributes ->> 'close_date'
        )") }} as close_date,
        cast(crm_objects.attributes ->> 'isclosed' as text) as is_closed_text
    from crm_objects
    inner join calls on crm_objects.call_id = calls.call_id
    order by
        crm_objects.object_id asc,
        coalesce(crm_objects.timing = 'Now', false) desc,
        calls.started_at desc,
        calls.call_id asc
),

merged as (
    select
        coalesce(hubspot.deal_id, told.deal_id) as deal_id,
        coalesce(hubspot.account_id, told.account_id) as account_id,
        coalesce(hubspot.deal_name, told.deal_name) as deal_name,
        coalesce(hubspot.stage, told.stage) as stage,
        coalesce(hubspot.amount, told.amount) as amount,
        coalesce(hubspot.close_date, told.close_date) as close_date,
        case when hubspot.deal_id is not null then 'HubSpot' else told.crm_system end as crm_system,
        coalesce(hubspot.is_closed, false)
        or coalesce(lower(told.is_closed_text) in ('true', '1'), false)
        or coalesce(hubspot.stage, told.stage) ~* '(closed|won|lost)' as is_closed
    from told
    full outer join hubspot on told.deal_id = hubspot.deal_id
)

select
    deal_id,
    account_id,
    deal_name,
    stage,
    amount,
    close_date,
    crm_system,
    coalesce(is_closed, false) as is_closed
from merged
