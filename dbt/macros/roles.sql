{# The role decides the weights of a rubric; `other` is weighted as AE. #}
{% macro role_of(title) -%}
    case
        when {{ title }} ilike '%account exec%' then 'AE'
        when {{ title }} ilike '%solutions%' or {{ title }} ilike '%sales engineer%' then 'SE'
        when {{ title }} ilike '%customer success%' then 'CSM'
        else 'other'
    end
{%- endmacro %}
