with

costs as (
    select * from {{ ref('mart_llm_costs') }}
),

scored as (
    select
        cast(date_trunc('month', day) as date) as month_start,
        is_sandbox,
        count(distinct call_id) as n_calls_scored
    from {{ ref('fct_llm_requests') }}
    where not is_failed
    group by cast(date_trunc('month', day) as date), is_sandbox
),

clock as (
    select * from {{ ref('int_reporting_clock_set') }}
),

months as (
    select
        cast(date_trunc('month', day) as date) as month_start,
        is_sandbox,
        sum(cost_usd) as cost_usd,
        sum(saved_usd) as saved_usd,
        sum(requests) as requests
    from costs
    group by cast(date_trunc('month', day) as date), is_sandbox
),

timed as (
    select
        months.*,
        cast(months.month_start + interval '1 month' as date) - months.month_start as n_days,
        least(
            clock.today - months.month_start + 1,
            cast(months.month_start + interval '1 month' as date) - months.month_start
        ) as n_days_elapsed
    from months
    cross join clock
)

select
    timed.month_start,
    timed.is_sandbox,
    timed.n_days,
    timed.n_days_elapsed,
    cast(timed.requests as integer) as requests,
    cast(coalesce(scored.n_calls_scored, 0) as integer) as n_calls_scored,
    timed.cost_usd,
    timed.saved_usd,
    timed.n_days_elapsed < timed.n_days as is_running_month,
    round(timed.cost_usd / nullif(scored.n_calls_scored, 0), 4) as cost_per_scored_call_usd,
    round(timed.cost_usd * timed.n_days / greatest(timed.n_days_elapsed, 1), 4) as projected_usd
from timed
left join scored
    on timed.month_start = scored.month_start and timed.is_sandbox = scored.is_sandbox
