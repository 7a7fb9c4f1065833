{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[{'columns': ['rep_id', 'started_at']}, {'columns': ['source_hash']}],
        pre_hook=[
            "{{ look_turns_up_by_key() }}",
            "{{ delete_replaced_rows(
                parent=ref('int_briefs_chosen'),
                key=['call_id'],
                first_row='objection_number = 1',
            ) }}",
        ],
    )
}}

with

briefs as (
    select brief.*
    from {{ ref('int_briefs_chosen') }} as brief
    where
        brief.n_objections > 0
        {{ where_not_held('brief', 'objection_number = 1') }}
),

results as (
    select * from {{ ref('stg_analysis__results') }}
),

-- Read twice below: kept as a step of its own, all turns would be copied first.
turns as not materialized (
    select * from {{ ref('fct_turns') }}
),

items as (
    select
        briefs.call_id,
        cast(unpacked.item_number as integer) as objection_number,
        briefs.rep_id,
        cast(unpacked.item ->> 'turn_id' as integer) as turn_id,
        cast(unpacked.item ->> 'response_turn_id' as integer) as response_turn_id,
        briefs.week_start,
        briefs.started_at,
        briefs.call_url,
        briefs.is_sandbox,
        briefs.source_hash,
        unpacked.item ->> 'objection_type' as objection_type,
        unpacked.item ->> 'quote' as quote,
        unpacked.item ->> 'outcome' as outcome
    from briefs
    inner join results
        on
            briefs.result_key = results.result_key
            and briefs.result_created_at = results.created_at
    cross join
        lateral
        jsonb_array_elements({{ as_array("results.answer -> 'brief' -> 'objections'") }})
        with ordinality as unpacked (item, item_number)
),

final as (
    select
        items.call_id,
        items.objection_number,
        items.rep_id,
        items.objection_type,
        items.turn_id,
        turns.start_ms,
        items.quote,
        items.response_turn_id,
        items.outcome,
        items.week_start,
        items.started_at,
        items.call_url,
        items.is_sandbox,
        items.source_hash,
        responses.start_ms - turns.end_ms as response_latency_ms
    from items
    left join turns on items.call_id = turns.call_id and items.turn_id = turns.turn_id
    left join turns as responses
        on
            items.call_id = responses.call_id
            and items.response_turn_id = responses.turn_id
)

select * from final
