{#
    What Python's str.strip() takes off, spelled out: the server's own idea of white space depends on
    its locale, and the turns sent to Claude are built in Python.
#}
{% macro strip(text) -%}
    btrim(
        {{ text }},
        e' \t\n\r\f\v\u001c\u001d\u001e\u001f\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004'
        '\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'
    )
{%- endmacro %}

{% macro count_words(text) -%}
    regexp_count({{ text }}, '\S+')
{%- endmacro %}

{# Trusts the transcriber's question mark: on labelled speech it beats every lexical rule. #}
{% macro is_question(text) -%}
    {{ text }} ~ '\?\s*$'
{%- endmacro %}

{# Up to three words that only say "I am listening". #}
{% macro is_backchannel(text, n_words) -%}
    (
        {{ n_words }} <= 3
        and lower({{ text }}) ~ (
            '^(mm+|mm-?hmm|uh-?huh|yeah|yep|yes|no|right|ok(ay)?|sure|got it|i see|exactly|cool|great)'
            '\W*( \w+\W*){0,2}$'
        )
    )
{%- endmacro %}
