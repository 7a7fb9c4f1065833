{# Gong has no call type: what the host wrote as purpose or title decides, first match wins. #}
{% macro call_type_of(title, purpose) -%}
    case
        {%- for call_type, pattern in [
            ('discovery', '(discover|intro|qualif|first call)'),
            ('technical', '(technical|deep[ -]?dive|architect|security review|proof of concept|poc)'),
            ('demo', 'demo'),
            ('negotiation', '(negotiat|pricing|contract|procurement|commercial)'),
            ('business_review', '(qbr|business review|renewal|success review)'),
            ('onboarding', '(onboard|kick-?off|enablement)'),
            ('check_in', '(check-?in|follow[ -]?up|sync)'),
        ] %}
        when concat_ws(' ', {{ purpose }}, {{ title }}) ~* '{{ pattern }}' then '{{ call_type }}'
    {%- endfor %}
        else 'other'
    end
{%- endmacro %}
