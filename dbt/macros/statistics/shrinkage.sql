{#
    Empirical-Bayes shrinkage of a rep's mean towards the mean of the reps in the same role:
    the share kept is tau2 / (tau2 + s2 / n), s2 pooled within reps, tau2 between them.
#}
{% macro between_variance(means, within_variance, n) -%}
    greatest(0, var_samp({{ means }}) - avg({{ within_variance }} / {{ n }}))
{%- endmacro %}

{% macro pooled_variance(variance, n) -%}
    sum(({{ n }} - 1) * {{ variance }}) / nullif(sum({{ n }} - 1), 0)
{%- endmacro %}

{% macro share_kept(tau2, s2, n) -%}
    coalesce({{ tau2 }} / nullif({{ tau2 }} + {{ s2 }} / {{ n }}, 0), 1)
{%- endmacro %}

{% macro shrunk_mean(mean, group_mean, tau2, s2, n) -%}
    {{ group_mean }} + {{ share_kept(tau2, s2, n) }} * ({{ mean }} - {{ group_mean }})
{%- endmacro %}

{#
    Half the width of the shrunk mean's 95 % interval. The second term is the uncertainty of the group
    mean itself: without it a group whose reps do not differ (tau2 = 0) gets intervals of width zero.
#}
{% macro shrunk_half_width(tau2, s2, n, group_mean_variance) -%}
    1.96 * sqrt(
        {{ share_kept(tau2, s2, n) }} * {{ s2 }} / {{ n }}
        + power(1 - {{ share_kept(tau2, s2, n) }}, 2) * {{ group_mean_variance }}
    )
{%- endmacro %}

{# Tiers, not places: only an interval that leaves the group mean outside says anything. #}
{% macro tier_of(low, high, group_mean, is_ranked) -%}
    case
        when not {{ is_ranked }} then 'not ranked yet'
        when {{ low }} > {{ group_mean }} then 'clearly above'
        when {{ high }} < {{ group_mean }} then 'clearly below'
        else 'about average'
    end
{%- endmacro %}
