with

deals as (
    select * from {{ ref('int_deals_merged') }}
),

calls as (
    select
        deal_id,
        count(*) as n_calls,
        max(started_at) as last_call_at
    from {{ ref('int_calls_classified') }}
    where not is_deleted
    group by deal_id
),

accounts as (
    select * from {{ ref('dim_accounts') }}
),

final as (
    select
        deals.deal_id,
        deals.deal_name,
        deals.account_id,
        accounts.account_name,
        deals.stage,
        deals.amount,
        deals.close_date,
        deals.is_closed,
        deals.crm_system,
        cast(coalesce(calls.n_calls, 0) as integer) as n_calls,
        calls.last_call_at,
        case when not deals.is_closed then deals.amount end as amount_at_stake
    from deals
    left join accounts on deals.account_id = accounts.account_id
    left join calls on deals.deal_id = calls.deal_id
)

select * from final
