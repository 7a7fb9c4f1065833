{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[{'columns': ['rep_id', 'started_at']}, {'columns': ['started_at']}],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_answers_counted'),
            key=['call_id', 'rep_id', 'dimension', 'rubric_version'],
            first_row='statement_number = 1',
        ) }}",
        post_hook="{{ index_hashes('statement_number = 1') }}",
    )
}}

with

answers as materialized (
    select answer.*
    from {{ ref('int_answers_counted') }} as answer
    where
        answer.n_statements > 0
        {{ where_not_held('answer', 'statement_number = 1') }}
),

results as (
    select * from {{ ref('stg_analysis__results') }}
),

passages as (
    select * from {{ ref('dim_passages') }}
),

statements as (
    select
        answers.call_id,
        answers.rep_id,
        answers.dimension,
        answers.rubric_version,
        answers.is_current,
        answers.week_start,
        answers.started_at,
        answers.call_url,
        answers.is_sandbox,
        answers.result_created_at,
        answers.source_hash,
        cast(unpacked.statement_number as integer) as statement_number,
        cast(unpacked.statement ->> 'turn_id' as integer) as turn_id,
        cast(unpacked.statement ->> 'start_ms' as integer) as start_ms,
        unpacked.statement ->> 'verdict' as verdict,
        unpacked.statement ->> 'quote' as quote,
        unpacked.statement ->> 'knowledge_id' as knowledge_id,
        unpacked.statement ->> 'why' as why
    from answers
    inner join results
        on
            answers.result_key = results.result_key
            and answers.result_created_at = results.created_at
    cross join
        lateral jsonb_array_elements({{ as_array("results.answer -> 'statements'") }})
        with ordinality as unpacked (statement, statement_number)
),

-- The passage as it read when the answer was made: today's wording may be another.
final as (
    select
        statements.call_id,
        statements.rep_id,
        statements.dimension,
        statements.rubric_version,
        statements.statement_number,
        statements.is_current,
        statements.verdict,
        statements.turn_id,
        statements.start_ms,
        statements.quote,
        statements.knowledge_id,
        passages.passage,
        passages.source as passage_source,
        passages.document_title,
        statements.why,
        statements.week_start,
        statements.started_at,
        statements.call_url,
        statements.is_sandbox,
        statements.source_hash
    from statements
    left join passages
        on
            statements.knowledge_id = passages.knowledge_id
            and (statements.result_created_at >= passages.loaded_at or passages.is_first)
            and (
                statements.result_created_at < passages.replaced_at
                or passages.replaced_at is null
            )
)

select * from final
