{# Standard error of a least-squares slope from the sums of squares; null under three points. #}
{% macro slope_standard_error(sxx, syy, sxy, n) -%}
    case
        when {{ n }} > 2 and {{ sxx }} > 0
            then sqrt(
                greatest(0, {{ syy }} - power({{ sxy }}, 2) / {{ sxx }})
                / ({{ n }} - 2)
                / {{ sxx }}
            )
    end
{%- endmacro %}

{# Student's t as a normal deviate after Wallace (1959): p within 0.0005 from 6 degrees of freedom on. #}
{% macro t_as_normal(t, df) -%}
    (
        (8.0 * ({{ df }}) + 1) / (8.0 * ({{ df }}) + 3)
        * sqrt(({{ df }}) * ln(1 + power({{ t }}, 2) / ({{ df }})))
    )
{%- endmacro %}

{# Two-sided p of a normal deviate; erfc by Abramowitz and Stegun 7.1.26, error below 1.5e-7. #}
{% macro two_sided_p(z) -%}
    (
        with
        deviate as (select least(abs({{ z }}), 25.0) / sqrt(2.0) as x),
        scaled as (select deviate.x, 1 / (1 + 0.3275911 * deviate.x) as u from deviate)
        select
            exp(-power(scaled.x, 2)) * scaled.u * (
                0.254829592 + scaled.u * (
                    -0.284496736 + scaled.u * (
                        1.421413741 + scaled.u * (-1.453152027 + scaled.u * 1.061405429)
                    )
                )
            )
        from scaled
    )
{%- endmacro %}

{#
    Benjamini-Hochberg in two steps, because a window cannot hold a window:
    p * tests / rank, then the smallest of those at this p or above.
#}
{% macro benjamini_hochberg_scaled(p, family) -%}
    {{ p }} * count({{ p }}) over (partition by {{ family }})
    / nullif(count({{ p }}) over (partition by {{ family }} order by {{ p }}), 0)
{%- endmacro %}

{% macro benjamini_hochberg_q(p, scaled, family) -%}
    case
        when {{ p }} is not null
            then least(
                1,
                min({{ scaled }}) over (partition by {{ family }} order by {{ p }} desc nulls last)
            )
    end
{%- endmacro %}

{% macro trend_signal(slope, q, n, weeks) -%}
    case
        when
            {{ n }} < {{ var('trend_from_calls') }} or {{ weeks }} < {{ var('trend_from_weeks') }}
            then 'too few calls'
        when {{ q }} < {{ var('trend_q_below') }} and {{ slope }} > 0 then 'up'
        when {{ q }} < {{ var('trend_q_below') }} and {{ slope }} < 0 then 'down'
        else 'no clear change'
    end
{%- endmacro %}
