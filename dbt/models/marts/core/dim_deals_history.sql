with

states as (
    select * from {{ ref('deals_snapshotted') }}
),

final as (
    select
        deal_id,
        account_id,
        stage,
        amount,
        close_date,
        is_closed,
        -- dbt writes the server's local time without saying so
        dbt_valid_from at time zone current_setting('timezone') as valid_from,
        dbt_valid_to at time zone current_setting('timezone') as valid_to,
        dbt_valid_to is null as is_open,
        lag(stage) over (partition by deal_id order by dbt_valid_from) as stage_before
    from states
)

select * from final
