{{ config(indexes=[{'columns': ['call_id'], 'unique': True}]) }}

with

-- A call without a start is not lost: it counts when it was planned, or else when it was loaded.
calls as (
    select
        stg_calls.*,
        coalesce(stg_calls.started_at, stg_calls.scheduled_at, stg_calls.loaded_at) as happened_at
    from {{ ref('stg_gong__calls') }} as stg_calls
),

accounts as (
    select * from {{ ref('int_call_crm_objects_unpacked') }}
    where kind = 'account' and rank_in_call = 1
),

deals as (
    select * from {{ ref('int_call_crm_objects_unpacked') }}
    where kind = 'deal' and rank_in_call = 1
),

-- Where Gong names no CRM object, the loader's match by a guest's address does: open deals first.
linked as (
    select
        links.call_id,
        links.object_type,
        links.object_id,
        companies.account_name,
        row_number() over (
            partition by links.call_id, links.object_type
            order by
                coalesce(hubspot_deals.is_closed, false) asc,
                hubspot_deals.close_date desc nulls last,
                links.object_id asc
        ) as rank_in_call
    from {{ ref('stg_hubspot__call_links') }} as links
    left join {{ ref('stg_hubspot__deals') }} as hubspot_deals
        on links.object_id = hubspot_deals.deal_id and links.object_type = 'deal'
    left join {{ ref('stg_hubspot__companies') }} as companies
        on links.object_id = companies.account_id and links.object_type = 'company'
),

linked_accounts as (
    select * from linked
    where object_type = 'company' and rank_in_call = 1
),

linked_deals as (
    select * from linked
    where object_type = 'deal' and rank_in_call = 1
),

classified as (
    select
        calls.call_id,
        calls.primary_user_id as rep_id,
        calls.url,
        -- What was said in a deleted call, and with whom, is not kept here.
        case when not calls.is_deleted then calls.title end as title,
        calls.happened_at as started_at,
        {{ week_of('calls.happened_at') }} as week_start,
        cast(calls.duration_s as integer) as duration_s,
        calls.direction,
        calls.scope,
        calls.language,
        {{ call_type_of('calls.title', 'calls.purpose') }} as call_type,
        coalesce(accounts.object_id, linked_accounts.object_id) as account_id,
        coalesce(deals.object_id, linked_deals.object_id) as deal_id,
        coalesce(
            accounts.attributes ->> 'name',
            accounts.attributes ->> 'account name',
            case when accounts.object_id is null then linked_accounts.account_name end
        ) as account_name,
        calls.is_private,
        calls.is_deleted,
        calls.loaded_at
    from calls
    left join accounts on calls.call_id = accounts.call_id
    left join deals on calls.call_id = deals.call_id
    left join linked_accounts on calls.call_id = linked_accounts.call_id
    left join linked_deals on calls.call_id = linked_deals.call_id
)

select * from classified
