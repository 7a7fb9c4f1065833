{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['rep_id', 'criterion_id', 'week_start']},
            {'columns': ['week_start']},
        ],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_answers_counted'),
            key=['call_id', 'rep_id', 'dimension', 'rubric_version'],
            first_row='criterion_number = 1',
        ) }}",
        post_hook="{{ index_first_rows('criterion_number = 1') }}",
    )
}}

with

answers as (
    select answer.*
    from {{ ref('int_answers_counted') }} as answer
    where
        answer.dimension <> 'call_brief'
        {{ where_not_held('answer', 'criterion_number = 1') }}
),

criteria as (
    select * from {{ ref('dim_rubric_criteria') }}
),

markers as (
    select * from {{ ref('dim_rubric_markers') }}
),

findings as (
    select * from {{ ref('fct_marker_findings') }}
),

counted as (
    select
        answers.source_hash,
        markers.criterion_id,
        count(*) filter (where markers.kind <> 'negative' and findings.verdict in ('yes', 'no'))
            as n_applicable,
        count(*) filter (where markers.kind <> 'negative' and findings.verdict = 'yes') as n_met,
        count(*) filter (where markers.kind = 'confirming' and findings.verdict in ('yes', 'no'))
            as n_confirming,
        count(*) filter (where markers.kind = 'confirming' and findings.verdict = 'yes')
            as n_confirmed,
        count(*) filter (where markers.kind = 'negative' and findings.verdict = 'yes') as n_harmful
    from answers
    inner join findings
        on
            answers.call_id = findings.call_id
            and answers.rep_id = findings.rep_id
            and answers.dimension = findings.dimension
            and answers.rubric_version = findings.rubric_version
    inner join markers
        on
            findings.dimension = markers.dimension
            and findings.rubric_version = markers.rubric_version
            and findings.marker_id = markers.marker_id
    group by answers.source_hash, markers.criterion_id
),

levelled as (
    select
        answers.call_id,
        answers.rep_id,
        answers.dimension,
        criteria.criterion_id,
        answers.rubric_version,
        answers.is_current,
        answers.week_start,
        answers.started_at,
        answers.role,
        {{ criterion_level(
            met='counted.n_met',
            applicable='counted.n_applicable',
            confirmed='counted.n_confirmed',
            confirming='counted.n_confirming',
            harmful='counted.n_harmful',
        ) }} as level,
        {{ weight_of_role('answers.role', 'criteria') }} as weight,
        case
            when coalesce(counted.n_applicable, 0) = 0
                then 'no marker of this criterion applied in this call'
        end as na_reason,
        cast(coalesce(counted.n_met, 0) as integer) as n_markers_met,
        cast(coalesce(counted.n_applicable, 0) as integer) as n_markers_applicable,
        cast(coalesce(counted.n_harmful, 0) as integer) as n_negative_markers,
        criteria.criterion_number,
        answers.source_hash
    from answers
    inner join criteria
        on
            answers.dimension = criteria.dimension
            and answers.rubric_version = criteria.rubric_version
    left join counted
        on
            answers.source_hash = counted.source_hash
            and criteria.criterion_id = counted.criterion_id
)

select * from levelled
