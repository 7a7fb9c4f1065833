{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['source_hash'], 'unique': True},
            {'columns': ['call_id', 'dimension']},
        ],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_call_results_ranked'),
            key=['source_hash'],
        ) }}",
    )
}}
-- What each standing answer holds, so that no later model opens an answer for nothing.
with

call_results as materialized (
    select call_result.*
    from {{ ref('int_call_results_ranked') }} as call_result
    where
        call_result.result_key is not null
        {{ where_not_held('call_result') }}
),

answers as (
    select * from {{ ref('stg_analysis__results') }}
),

counted as (
    select
        call_results.source_hash,
        call_results.call_id,
        call_results.rep_id,
        call_results.dimension,
        call_results.rubric_version,
        call_results.is_current,
        call_results.week_start,
        call_results.started_at,
        call_results.call_url,
        call_results.role,
        call_results.result_key,
        call_results.result_created_at,
        answers.model,
        answers.is_sandbox,
        answers.n_quotes,
        answers.n_quotes_verified,
        answers.n_quotes_repaired,
        answers.n_quotes_dropped,
        jsonb_array_length({{ as_array("answers.answer -> 'markers'") }}) as n_markers,
        jsonb_array_length(jsonb_path_query_array(answers.answer, 'lax $.markers[*].evidence[*]'))
            as n_evidence,
        jsonb_array_length({{ as_array("answers.answer -> 'suggestions'") }}) as n_suggestions,
        jsonb_array_length({{ as_array("answers.answer -> 'statements'") }}) as n_statements,
        jsonb_array_length({{ as_array("answers.answer -> 'brief' -> 'objections'") }})
            as n_objections,
        jsonb_array_length({{ as_array("answers.answer -> 'brief' -> 'next_steps'") }})
            as n_next_steps,
        jsonb_array_length({{ as_array("answers.answer -> 'brief' -> 'flags'") }}) as n_flags,
        coalesce(jsonb_typeof(answers.answer -> 'brief') = 'object', false) as has_brief
    from call_results
    inner join answers
        on
            call_results.result_key = answers.result_key
            and call_results.result_created_at = answers.created_at
)

select * from counted
