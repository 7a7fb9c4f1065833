{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[{'columns': ['rep_id', 'started_at']}, {'columns': ['source_hash']}],
        pre_hook="{{ delete_replaced_rows(parent=ref('int_briefs_chosen'), key=['call_id']) }}",
    )
}}

with

briefs as (
    select brief.*
    from {{ ref('int_briefs_chosen') }} as brief
    where true {{ where_not_held('brief') }}
),

results as (
    select
        briefs.call_id,
        results.answer -> 'brief' as brief
    from briefs
    inner join {{ ref('stg_analysis__results') }} as results
        on
            briefs.result_key = results.result_key
            and briefs.result_created_at = results.created_at
),

-- Of several readings of one side, the first the model gave counts.
sentiments as (
    select
        results.call_id,
        unpacked.item ->> 'side' as side,
        unpacked.item ->> 'sentiment' as sentiment,
        unpacked.item ->> 'why' as why,
        row_number() over (
            partition by results.call_id, unpacked.item ->> 'side' order by unpacked.item_number
        ) as reading
    from results
    cross join
        lateral jsonb_array_elements({{ as_array("results.brief -> 'sentiment'") }})
        with ordinality as unpacked (item, item_number)
),

sides as (
    select
        call_id,
        max(sentiment) filter (where side = 'customer') as customer_sentiment,
        max(why) filter (where side = 'customer') as customer_sentiment_why,
        max(sentiment) filter (where side = 'rep') as rep_sentiment,
        max(why) filter (where side = 'rep') as rep_sentiment_why
    from sentiments
    where reading = 1
    group by call_id
),

final as (
    select
        briefs.call_id,
        briefs.rep_id,
        sides.customer_sentiment,
        sides.customer_sentiment_why,
        sides.rep_sentiment,
        sides.rep_sentiment_why,
        briefs.n_objections,
        briefs.n_next_steps,
        briefs.week_start,
        briefs.started_at,
        briefs.model,
        briefs.is_sandbox,
        briefs.result_created_at as scored_at,
        briefs.source_hash,
        results.brief ->> 'summary' as summary,
        results.brief ->> 'priority' as priority,
        results.brief ->> 'priority_reason' as priority_reason,
        jsonb_array_length(
            jsonb_path_query_array(
                results.brief, 'lax $.objections[*] ? (@.outcome == "unresolved")'
            )
        ) as n_unresolved_objections,
        jsonb_array_length(
            jsonb_path_query_array(results.brief, 'lax $.flags[*] ? (@.kind == "risk")')
        ) as n_risks
    from briefs
    inner join results on briefs.call_id = results.call_id
    left join sides on briefs.call_id = sides.call_id
)

select * from final
