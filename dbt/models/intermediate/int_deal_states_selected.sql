{{ config(indexes=[{'columns': ['deal_id'], 'unique': True}]) }}
-- Names stay out of the history: who a deal is with is kept once, in dim_deals.
select
    deal_id,
    account_id,
    stage,
    amount,
    close_date,
    is_closed
from {{ ref('int_deals_merged') }}
