{#
    The rows of a source as JSON, or none where the loader has not made the table (yet): a tenant without
    scorecards or HubSpot still gets a whole warehouse. JSON, because such a table's columns vary too.
#}
{% macro optional_rows(relation) -%}
    {%- set found = none -%}
    {%- if execute and flags.WHICH not in ('parse', 'list') -%}
        {%- set found = load_relation(relation) -%}
    {%- endif -%}
    {%- if found -%}
        select to_jsonb(stored) as stored from {{ relation }} as stored
    {%- else -%}
        select cast(null as jsonb) as stored where false
    {%- endif -%}
{%- endmacro %}

{# The first property that is there, be it a column of the row or inside its `properties`. #}
{% macro property_of(names) -%}
    coalesce(
        {%- for name in names %}
        nullif(stored -> 'properties' ->> '{{ name }}', ''),
        nullif(stored ->> '{{ name }}', ''){{ ',' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{# A number from text that people typed; null when it is none. #}
{% macro number_of(text) -%}
    case
        when replace({{ text }}, ',', '') ~ '^\s*-?\d+(\.\d+)?([eE][-+]?\d+)?\s*$'
            then cast(replace({{ text }}, ',', '') as numeric)
    end
{%- endmacro %}

{# A day from text that begins with one; null when it does not. #}
{% macro date_of(text) -%}
    case
        when {{ text }} ~ '^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])'
            then to_date(left({{ text }}, 10), 'YYYY-MM-DD')
    end
{%- endmacro %}
