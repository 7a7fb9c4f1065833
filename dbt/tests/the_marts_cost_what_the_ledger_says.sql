with

ledger as (
    select coalesce(sum(cost_usd), 0) as cost_usd
    from {{ ref('stg_analysis__requests') }}
),

marts as (
    select coalesce(sum(cost_usd), 0) as cost_usd
    from {{ ref('mart_llm_costs') }}
)

select
    ledger.cost_usd as ledger_usd,
    marts.cost_usd as marts_usd
from ledger
cross join marts
-- eight decimals are kept of every request
where abs(ledger.cost_usd - marts.cost_usd) > 0.01
