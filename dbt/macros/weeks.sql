{# Weeks start on Monday, in UTC. #}
{% macro week_of(timestamp) -%}
    cast(date_trunc('week', {{ timestamp }} at time zone 'UTC') as date)
{%- endmacro %}

{% macro day_of(timestamp) -%}
    cast({{ timestamp }} at time zone 'UTC' as date)
{%- endmacro %}

{# `--vars 'today: 2026-11-20'` rebuilds the warehouse as it stood on a day. #}
{% macro today() -%}
    {%- if var('today', none) -%}
        date '{{ var("today") }}'
    {%- else -%}
        cast(current_timestamp at time zone 'UTC' as date)
    {%- endif -%}
{%- endmacro %}
