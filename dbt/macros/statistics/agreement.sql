{#
    Quadratic weighted kappa of two raters over paired levels: 1 - observed / expected squared
    disagreement, where the expected one is var(a) + var(b) + (mean a - mean b)^2 over the whole sample.
#}
{% macro quadratic_kappa(a, b) -%}
    1 - avg(power({{ a }} - {{ b }}, 2))
    / nullif(var_pop({{ a }}) + var_pop({{ b }}) + power(avg({{ a }}) - avg({{ b }}), 2), 0)
{%- endmacro %}

{# Pearson correlation of paired values; null under the number of pairs from which it says anything. #}
{% macro correlation(a, b) -%}
    case
        when count(*) >= {{ var('correlate_from_calls') }} then cast(corr({{ a }}, {{ b }}) as numeric)
    end
{%- endmacro %}
