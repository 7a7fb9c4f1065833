{# What is missing or is not a list reads as an empty one. #}
{% macro as_array(expression) -%}
    case
        when jsonb_typeof({{ expression }}) = 'array' then {{ expression }}
        else cast('[]' as jsonb)
    end
{%- endmacro %}

{# Gong's CRM fields as one object: values as text by lower-case name. A value may be any JSON. #}
{% macro crm_attributes(fields) -%}
    (
        select
            coalesce(
                jsonb_object_agg(lower(field.item ->> 'name'), field.item ->> 'value'),
                cast('{}' as jsonb)
            )
        from jsonb_array_elements({{ as_array(fields) }}) as field (item)
        where field.item ->> 'name' is not null
    )
{%- endmacro %}
