{#
    The items of one list of the briefs whose rows this model does not hold yet: the item itself as JSON, its
    place from 1, its turn, and what every mart of brief items carries about its call.
#}
{% macro new_brief_items(list, number) -%}
    select
        briefs.call_id,
        cast(unpacked.item_number as integer) as {{ number }},
        briefs.rep_id,
        cast(unpacked.item ->> 'turn_id' as integer) as turn_id,
        unpacked.item,
        briefs.week_start,
        briefs.started_at,
        briefs.call_url,
        briefs.is_sandbox,
        briefs.source_hash
    from {{ ref('int_briefs_chosen') }} as briefs
    inner join {{ ref('stg_analysis__results') }} as results
        on
            briefs.result_key = results.result_key
            and briefs.result_created_at = results.created_at
    cross join
        lateral
        jsonb_array_elements({{ as_array("results.answer -> 'brief' -> '" ~ list ~ "'") }})
        with ordinality as unpacked (item, item_number)
    where
        briefs.n_{{ list }} > 0
        {{ where_not_held('briefs', number ~ ' = 1') }}
{%- endmacro %}

{# Rows of a brief that is gone or was replaced. #}
{% macro delete_replaced_brief_items(number) -%}
    {{ delete_replaced_rows(
        parent=ref('int_briefs_chosen'), key=['call_id'], first_row=number ~ ' = 1'
    ) }}
{%- endmacro %}
