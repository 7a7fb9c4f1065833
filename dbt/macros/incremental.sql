{#
    Models that grow keep, on every row, the `source_hash` of the parent row it was computed from (a
    call's transcript, an answer). A run deletes the rows whose parent is gone or has another hash and
    computes only the parents that are not held: late, changed and erased data come out right, and a
    run costs what changed, not what is stored. Both steps share the model's transaction.

    The parents to compute are picked first, `as materialized`: how many are new is not known when the plan
    is made, and left to itself the server opened every answer before it asked which were new.

    Which parents are held is read from each parent's first row (`first_row`) through a small partial
    index alone: the rows themselves are read only of parents that changed.
#}
{% macro delete_replaced_rows(parent, key, first_row=none) %}
    {% if is_incremental() and lacks_hashes() %}
    delete from {{ this }}
    {% elif is_incremental() %}
    delete from {{ this }} as stored
    using {{ this }} as held
    where
        {% if first_row %}held.{{ first_row }} and{% endif %}
        held.source_hash = any(array(
            select known.source_hash
            from {{ this }} as known
            where
                {% if first_row %}known.{{ first_row }} and{% endif %}
                not exists (
                    select 1 from {{ parent }} as parent where parent.source_hash = known.source_hash
                )
        ))
        {% for column in key %}
        and stored.{{ column }} = held.{{ column }}
        {% endfor %}
    {% endif %}
{% endmacro %}

{# For a table whose rows are all computed anew: what no longer has a parent goes, `unique_key` replaces the rest. #}
{% macro delete_gone_rows(parent, key) %}
    {% if is_incremental() %}
    delete from {{ this }} as stored
    {% if not lacks_hashes() %}
    where not exists (
        select 1 from {{ parent }} as parent where parent.{{ key }} = stored.{{ key }}
    )
    {% endif %}
    {% endif %}
{% endmacro %}

{% macro where_not_held(alias, first_row=none) %}
    {% if is_incremental() and not lacks_hashes() %}
        and not exists (
            select 1 from {{ this }} as held
            where
                held.source_hash = {{ alias }}.source_hash
                {% if first_row %}and held.{{ first_row }}{% endif %}
        )
    {% endif %}
{% endmacro %}

{#
    Says something if an earlier release filled the table without hashes: it is then filled anew, and
    dbt adds the column.
#}
{% macro lacks_hashes() -%}
    {%- if execute and 'source_hash' not in adapter.get_columns_in_relation(this) | map(attribute='name') -%}
    yes
    {%- endif -%}
{%- endmacro %}

{#
    dbt makes `indexes` with a new table only, and cannot say `where` in them: this also reaches a table
    that an earlier release made. The oid in the name keeps a full refresh from colliding.
#}
{% macro index_hashes(first_row=none) %}
    {{- keep_index('held', '(source_hash)' ~ (' where ' ~ first_row if first_row else '')) -}}
{% endmacro %}

{% macro keep_index(name, definition) %}
    {% if execute %}
    {% set found = run_query("select cast(cast('" ~ this ~ "' as regclass) as oid)") %}
    create index if not exists {{ this.identifier }}_{{ name }}_{{ found.columns[0].values()[0] }}
    on {{ this }} {{ definition }}
    {% endif %}
{% endmacro %}

{#
    Reading the index alone needs to know which pages hold no row that is still being written. The server
    notes that when it vacuums, and would wait until a fifth of a table is new: a build does it at its end.
#}
{% macro vacuum_what_was_written() %}
    {% if execute and flags.WHICH in ('build', 'run') %}
    {% set found = run_query("
        select cast(oid as regclass) as relation
        from pg_class
        where
            relnamespace in (to_regnamespace('intermediate'), to_regnamespace('marts'))
            and relkind = 'r'
            and relpages > 1000
            and relallvisible < 0.9 * relpages
    ") %}
    {% for relation in found.columns[0].values() %}
        {% do adapter.add_query('vacuum (skip_locked) ' ~ relation, auto_begin=False) %}
    {% endfor %}
    {% endif %}
{% endmacro %}

{% macro set_local_memory(megabytes) -%}
    set local work_mem = '{{ megabytes }}MB'; set local maintenance_work_mem = '{{ megabytes }}MB'
{%- endmacro %}

{#
    A table that was just made has no statistics, and the next model cannot wait for autovacuum: without
    them a join of two such tables was planned row by row and ran for minutes instead of a second.
#}
{% macro analyze_if_new() %}
    {% if execute %}
    {% set known = run_query(
        "select count(*) from pg_statistic where starelid = cast('" ~ this ~ "' as regclass)"
    ) %}
    {% if known.columns[0].values()[0] == 0 %}
    set local default_statistics_target = 25; analyze {{ this }}
    {% endif %}
    {% endif %}
{% endmacro %}

{#
    How many weeks are new is not known when the plan is made: taken for one, a join of all weeks with all
    scores was planned row by row. Hashing costs next to nothing for one week and little for all.
#}
{% macro avoid_row_by_row_joins() -%}
    set local enable_nestloop = off
{%- endmacro %}

{#
    A few moments of a few calls are looked up among millions of turns. The planner takes a JSON list for a
    hundred entries and scans them all: a minute instead of a second.
#}
{% macro look_turns_up_by_key() -%}
    set local enable_seqscan = off
{%- endmacro %}
