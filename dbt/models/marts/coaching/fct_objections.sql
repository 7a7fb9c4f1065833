{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[{'columns': ['rep_id', 'started_at']}, {'columns': ['source_hash']}],
        pre_hook=[
            "{{ look_turns_up_by_key() }}",
            "{{ delete_replaced_brief_items('objection_number') }}",
        ],
    )
}}

with

{{ new_brief_items('objections', 'objection_number') }},

-- Read twice below: kept as a step of its own, all turns would be copied first.
turns as not materialized (
    select * from {{ ref('fct_turns') }}
),

answered as (
    select
        items.*,
        cast(items.item ->> 'response_turn_id' as integer) as response_turn_id
    from items
),

final as (
    select
        answered.call_id,
        answered.objection_number,
        answered.rep_id,
        answered.turn_id,
        turns.start_ms,
        answered.response_turn_id,
        answered.week_start,
        answered.started_at,
        answered.call_url,
        answered.is_sandbox,
        answered.source_hash,
        answered.item ->> 'objection_type' as objection_type,
        answered.item ->> 'quote' as quote,
        answered.item ->> 'outcome' as outcome,
        responses.start_ms - turns.end_ms as response_latency_ms
    from answered
    left join turns on answered.call_id = turns.call_id and answered.turn_id = turns.turn_id
    left join turns as responses
        on
            answered.call_id = responses.call_id
            and answered.response_turn_id = responses.turn_id
)

select * from final
