{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[{'columns': ['rep_id', 'started_at']}, {'columns': ['source_hash']}],
        pre_hook=[
            "{{ look_turns_up_by_key() }}",
            "{{ delete_replaced_brief_items('flag_number') }}",
        ],
    )
}}

with

{{ new_brief_items('flags', 'flag_number') }},

turns as (
    select * from {{ ref('fct_turns') }}
),

final as (
    select
        items.call_id,
        items.flag_number,
        items.rep_id,
        items.turn_id,
        turns.start_ms,
        items.week_start,
        items.started_at,
        items.call_url,
        items.is_sandbox,
        items.source_hash,
        items.item ->> 'kind' as kind,
        items.item ->> 'quote' as quote,
        items.item ->> 'why' as why
    from items
    left join turns on items.call_id = turns.call_id and items.turn_id = turns.turn_id
)

select * from final
