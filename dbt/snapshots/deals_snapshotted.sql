{% snapshot deals_snapshotted %}
{{
    config(
        schema='intermediate',
        unique_key='deal_id',
        strategy='check',
        check_cols=['account_id', 'stage', 'amount', 'close_date', 'is_closed'],
        post_hook="{{ forget_unknown_deals() }}",
    )
}}
-- Names stay out: what a deal went through is worth keeping, who it was with is kept once, in dim_deals.
select
    deal_id,
    account_id,
    stage,
    amount,
    close_date,
    is_closed
from {{ ref('int_deals_merged') }}
{% endsnapshot %}
