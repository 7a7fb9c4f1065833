{# Dollars for so many tokens at a price per million. #}
{% macro usd(tokens, usd_per_mtok) -%}
    {{ tokens }} * ({{ usd_per_mtok }}) / 1000000.0
{%- endmacro %}

{#
    What a request would have cost without the prompt cache: what was read or written would have been
    plain input. A request whose price is unknown costs what it cost.
#}
{% macro usd_without_prompt_cache(request, price) -%}
    round(coalesce({{ request }}.cost_usd + {{ request }}.price_factor * (
        {{ usd(
            request ~ '.cache_read_tokens',
            price ~ '.input_usd_per_mtok - ' ~ price ~ '.cache_read_usd_per_mtok',
        ) }}
        - {{ usd(
            request ~ '.cache_write_5m_tokens',
            price ~ '.cache_write_5m_usd_per_mtok - ' ~ price ~ '.input_usd_per_mtok',
        ) }}
        - {{ usd(
            request ~ '.cache_write_1h_tokens',
            price ~ '.cache_write_1h_usd_per_mtok - ' ~ price ~ '.input_usd_per_mtok',
        ) }}
    ), {{ request }}.cost_usd), 8)
{%- endmacro %}

{#
    What it would have cost had only instructions and knowledge been cached, as most tools do: the
    transcript would have been plain input in every request of the call.
#}
{% macro usd_with_rubric_only_cache(request, price) -%}
    round(coalesce({{ request }}.cost_usd + {{ request }}.price_factor * (
        {{ usd(
            'least(' ~ request ~ '.cache_read_tokens, ' ~ request ~ '.transcript_tokens)',
            price ~ '.input_usd_per_mtok - ' ~ price ~ '.cache_read_usd_per_mtok',
        ) }}
        - {{ usd(
            request ~ '.cache_write_5m_tokens',
            price ~ '.cache_write_5m_usd_per_mtok - ' ~ price ~ '.input_usd_per_mtok',
        ) }}
    ), {{ request }}.cost_usd), 8)
{%- endmacro %}
