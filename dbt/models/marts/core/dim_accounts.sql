with

calls as (
    select * from {{ ref('int_calls_classified') }}
    where not is_deleted and account_id is not null
),

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
    where not is_deleted and account_id is not null
),

deals as (
    select
        account_id,
        count(*) filter (where not is_closed) as n_open_deals,
        sum(amount) filter (where not is_closed) as amount_at_stake
    from {{ ref('int_deals_merged') }}
    group by account_id
),

told as (
    select
        account_id,
        (
            array_agg(account_name order by started_at desc, call_id asc)
            filter (where account_name is not null)
        )[1
        ] as account_name,
        count(*) as n_calls,
        max(started_at) as last_call_at
    from calls
    group by account_id
),

merged as (
    select
        companies.domain,
        companies.industry,
        companies.n_employees,
        told.n_calls,
        told.last_call_at,
        coalesce(companies.account_id, told.account_id) as account_id,
        coalesce(companies.account_name, told.account_name) as account_name
    from told
    full outer join companies on told.account_id = companies.account_id
),

final as (
    select
        merged.account_id,
        merged.account_name,
        merged.domain,
        merged.industry,
        cast(merged.n_employees as integer) as n_employees,
        cast(coalesce(deals.n_open_deals, 0) as integer) as n_open_deals,
        deals.amount_at_stake,
        cast(coalesce(merged.n_calls, 0) as integer) as n_calls,
        merged.last_call_at
    from merged
    left join deals on merged.account_id = deals.account_id
)

select * from final
