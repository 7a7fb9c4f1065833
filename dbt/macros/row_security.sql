{#
    A rebuilt table starts without policies. This runs in the transaction that swaps it in, so that nobody ever reads an
    unprotected mart; `ops.protect_mart` is made by the migrations.
#}
{% macro protect_mart() -%}
    select ops.protect_mart('{{ this }}'::regclass)
{%- endmacro %}
