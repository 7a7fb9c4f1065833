{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_answers_counted'),
            key=['call_id', 'rep_id', 'dimension', 'rubric_version'],
            first_row='finding_number = 1',
        ) }}",
        post_hook="{{ index_hashes('finding_number = 1') }}",
    )
}}

with

answers as materialized (
    select answer.*
    from {{ ref('int_answers_counted') }} as answer
    where
        answer.n_markers > 0
        {{ where_not_held('answer', 'finding_number = 1') }}
),

results as (
    select * from {{ ref('stg_analysis__results') }}
),

findings as (
    select
        answers.call_id,
        answers.rep_id,
        answers.dimension,
        unpacked.finding ->> 'criterion_id' as criterion_id,
        unpacked.finding ->> 'marker_id' as marker_id,
        answers.rubric_version,
        answers.is_current,
        unpacked.finding ->> 'verdict' as verdict,
        unpacked.finding ->> 'why' as why,
        jsonb_array_length({{ as_array("unpacked.finding -> 'evidence'") }}) as n_evidence,
        cast(unpacked.finding_number as integer) as finding_number,
        answers.source_hash
    from answers
    inner join results
        on
            answers.result_key = results.result_key
            and answers.result_created_at = results.created_at
    cross join
        lateral jsonb_array_elements({{ as_array("results.answer -> 'markers'") }})
        with ordinality as unpacked (finding, finding_number)
)

select * from findings
