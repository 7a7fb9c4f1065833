{# What CRMs call the stage of a deal, among the attributes Gong passes on: names in lower case. #}
{% macro deal_stage_of(attributes) -%}
    coalesce(
        {{ attributes }} ->> 'stagename',
        {{ attributes }} ->> 'dealstage',
        {{ attributes }} ->> 'stage'
    )
{%- endmacro %}
