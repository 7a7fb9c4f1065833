{#
    The 97.5 % point of Student's t by the Cornish-Fisher expansion around the normal one. Against
    tables: 2.769 for 2.776 at 4 degrees of freedom, exact to three digits from 8 on.
#}
{% macro t_975(df) -%}
    (1.95996 + 2.37227 / ({{ df }}) + 2.82250 / power({{ df }}, 2) + 2.55585 / power({{ df }}, 3))
{%- endmacro %}

{# Half the width of the 95 % interval of a mean of n values; null below two values. #}
{% macro mean_half_width(sd, n) -%}
    case
        when {{ n }} > 1
            then cast({{ t_975(n ~ ' - 1') }} * {{ sd }} / sqrt({{ n }}) as numeric)
    end
{%- endmacro %}

{#
    Scores live between 0 and 100, and so do their intervals. Null stays null: Postgres would make
    greatest(null, 0) a 0, and a missing score the worst one.
#}
{% macro as_score(expression) -%}
    case
        when {{ expression }} is not null
            then cast(
                round(cast(least(greatest({{ expression }}, 0), 100) as numeric), 2)
                as numeric(5, 2)
            )
    end
{%- endmacro %}
