{#
    A criterion's level from its markers: 1 + floor(4 * met / applicable + 0.5), halves up.
    A 5 needs the customer: at least one confirming marker applied and all that applied were met.
    A negative marker seen caps the level at 2. Nothing applicable gives null (N/A), never a 3.
#}
{% macro criterion_level(met, applicable, confirmed, confirming, harmful) -%}
    case
        when coalesce({{ applicable }}, 0) > 0
            then
                cast(
                    least(
                        1 + floor(4.0 * {{ met }} / {{ applicable }} + 0.5),
                        case
                            when {{ confirming }} > 0 and {{ confirmed }} = {{ confirming }} then 5
                            else 4
                        end,
                        case when {{ harmful }} > 0 then 2 else 5 end
                    ) as integer
                )
    end
{%- endmacro %}

{% macro weight_of_role(role, criteria) -%}
    case {{ role }}
        when 'SE' then {{ criteria }}.weight_se
        when 'CSM' then {{ criteria }}.weight_csm
        else {{ criteria }}.weight_ae
    end
{%- endmacro %}

{#
    A dimension's score from 0 to 100: the role-weighted mean of (level - 1) / 4 over the criteria that
    applied, or null when they hold less than 60 % of the role's weight.
#}
{% macro dimension_score(level, weight) -%}
    case
        when {{ applicable_weight_share(level, weight) }} >= 0.6
            then
                round(
                    cast(
                        100.0 * sum({{ weight }} * ({{ level }} - 1) / 4.0)
                        / nullif(sum({{ weight }}) filter (where {{ level }} is not null), 0)
                        as numeric
                    ),
                    2
                )
    end
{%- endmacro %}

{% macro applicable_weight_share(level, weight) -%}
    coalesce(sum({{ weight }}) filter (where {{ level }} is not null), 0)
    / nullif(cast(sum({{ weight }}) as numeric), 0)
{%- endmacro %}
