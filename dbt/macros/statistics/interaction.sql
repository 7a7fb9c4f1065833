{# Median of the pauses before the turns that `answers` picks, talking over counted as no pause. #}
{% macro patience_s(gap_ms, answers) -%}
    cast(
        percentile_cont(0.5) within group (order by greatest({{ gap_ms }}, 0))
        filter (where {{ answers }})
        as numeric
    ) / 1000
{%- endmacro %}

{# Share of those turns that began more than 200 ms before the other had finished. #}
{% macro interruption_rate(gap_ms, answers) -%}
    avg(case when {{ gap_ms }} < -200 then 1.0 else 0.0 end) filter (where {{ answers }})
{%- endmacro %}
