with

calls as (
    select * from {{ ref('stg_gong__calls') }}
),

accounts as (
    select * from {{ ref('int_call_crm_objects_unpacked') }}
    where kind = 'account' and rank_in_call = 1
),

deals as (
    select * from {{ ref('int_call_crm_objects_unpacked') }}
    where kind = 'deal' and rank_in_call = 1
),

classified as (
    select
        calls.call_id,
        calls.primary_user_id as rep_id,
        calls.url,
        -- What was said in a deleted call, and with whom, is not kept here.
        case when not calls.is_deleted then calls.title end as title,
        calls.started_at,
        {{ week_of('calls.started_at') }} as week_start,
        cast(calls.duration_s as integer) as duration_s,
        calls.direction,
        calls.scope,
        calls.language,
        {{ call_type_of('calls.title', 'calls.purpose') }} as call_type,
        accounts.object_id as account_id,
        coalesce(accounts.attributes ->> 'name', accounts.attributes ->> 'account name')
            as account_name,
        deals.object_id as deal_id,
        calls.is_private,
        calls.is_deleted,
        calls.loaded_at
    from calls
    left join accounts on calls.call_id = accounts.call_id
    left join deals on calls.call_id = deals.call_id
)

select * from classified
