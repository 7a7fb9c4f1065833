{#
    Steps `new_briefs` and `items`: the items of one list of the briefs whose rows this model does not hold
    yet. An item comes as JSON, with its place from 1, its turn, and what every mart of items says of its call.
#}
{% macro new_brief_items(list, number) -%}
    new_briefs as materialized (
        select chosen.*
        from {{ ref('int_briefs_chosen') }} as chosen
        where
            chosen.n_{{ list }} > 0
            {{ where_not_held('chosen', number ~ ' = 1') }}
    ),

    items as (
        select
            new_briefs.call_id,
            cast(unpacked.item_number as integer) as {{ number }},
            new_briefs.rep_id,
            cast(unpacked.item ->> 'turn_id' as integer) as turn_id,
            unpacked.item,
            new_briefs.week_start,
            new_briefs.started_at,
            new_briefs.call_url,
            new_briefs.is_sandbox,
            new_briefs.source_hash
        from new_briefs
        inner join {{ ref('stg_analysis__results') }} as results
            on
                new_briefs.result_key = results.result_key
                and new_briefs.result_created_at = results.created_at
        cross join
            lateral
            jsonb_array_elements({{ as_array("results.answer -> 'brief' -> '" ~ list ~ "'") }})
            with ordinality as unpacked (item, item_number)
    )
{%- endmacro %}

{# Rows of a brief that is gone or was replaced. #}
{% macro delete_replaced_brief_items(number) -%}
    {{ delete_replaced_rows(
        parent=ref('int_briefs_chosen'), key=['call_id'], first_row=number ~ ' = 1'
    ) }}
{%- endmacro %}
