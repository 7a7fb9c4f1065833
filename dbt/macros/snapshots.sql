{# History is not an archive: a deal that no source knows any more has none. #}
{% macro forget_unknown_deals() -%}
    delete from {{ this }} as stored
    where not exists (
        select 1 from {{ ref('int_deal_states_selected') }} as deals where deals.deal_id = stored.deal_id
    )
{%- endmacro %}
