{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['rep_id', 'started_at']},
            {'columns': ['source_hash'], 'unique': True},
        ],
        pre_hook="{{ delete_replaced_rows(parent=ref('int_briefs_chosen'), key=['call_id']) }}",
    )
}}

with

new_briefs as materialized (
    select chosen.*
    from {{ ref('int_briefs_chosen') }} as chosen
    where true {{ where_not_held('chosen') }}
),

briefs as (
    select
        new_briefs.*,
        results.answer -> 'brief' as brief
    from new_briefs
    inner join {{ ref('stg_analysis__results') }} as results
        on
            new_briefs.result_key = results.result_key
            and new_briefs.result_created_at = results.created_at
),

-- Of several readings of one side, the first the model gave counts.
sided as (
    select
        briefs.*,
        jsonb_path_query_first(briefs.brief, 'lax $.sentiment[*] ? (@.side == "customer")')
            as customer,
        jsonb_path_query_first(briefs.brief, 'lax $.sentiment[*] ? (@.side == "rep")') as rep
    from briefs
)

select
    call_id,
    rep_id,
    n_objections,
    n_next_steps,
    week_start,
    started_at,
    model,
    is_sandbox,
    result_created_at as scored_at,
    source_hash,
    customer ->> 'sentiment' as customer_sentiment,
    customer ->> 'why' as customer_sentiment_why,
    rep ->> 'sentiment' as rep_sentiment,
    rep ->> 'why' as rep_sentiment_why,
    brief ->> 'summary' as summary,
    brief ->> 'priority' as priority,
    brief ->> 'priority_reason' as priority_reason,
    jsonb_array_length(
        jsonb_path_query_array(brief, 'lax $.objections[*] ? (@.outcome == "unresolved")')
    ) as n_unresolved_objections,
    jsonb_array_length(jsonb_path_query_array(brief, 'lax $.flags[*] ? (@.kind == "risk")'))
        as n_risks
from sided
