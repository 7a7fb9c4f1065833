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
        post_hook="{{ index_hashes('criterion_number = 1') }}",
    )
}}

with

answers as materialized (
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
        answers.call_id,
        answers.rep_id,
        answers.dimension,
        criteria.criterion_id,
        answers.rubric_version,
        answers.is_current,
        answers.week_start,
        answers.started_at,
        answers.role,
        {{ weight_of_role('answers.role', 'criteria') }} as weight,
        criteria.criterion_number,
        answers.source_hash,
        count(*) filter (where markers.kind <> 'negative' and findings.verdict in ('yes', 'no'))
            as n_applicable,
        count(*) filter (where markers.kind <> 'negative' and findings.verdict = 'yes') as n_met,
        count(*) filter (where markers.kind = 'confirming' and findings.verdict in ('yes', 'no'))
            as n_confirming,
        count(*) filter (where markers.kind = 'confirming' and findings.verdict = 'yes')
            as n_confirmed,
        count(*) filter (where markers.kind = 'negative' and findings.verdict = 'yes') as n_harmful
    from answers
    inner join criteria
        on
            answers.dimension = criteria.dimension
            and answers.rubric_version = criteria.rubric_version
    left join markers
        on
            criteria.dimension = markers.dimension
            and criteria.rubric_version = markers.rubric_version
            and criteria.criterion_id = markers.criterion_id
    left join findings
        on
            answers.call_id = findings.call_id
            and answers.rep_id = findings.rep_id
            and answers.dimension = findings.dimension
            and answers.rubric_version = findings.rubric_version
            and markers.marker_id = findings.marker_id
    group by
        answers.call_id,
        answers.rep_id,
        answers.dimension,
        criteria.criterion_id,
        answers.rubric_version,
        answers.is_current,
        answers.week_start,
        answers.started_at,
        answers.role,
        {{ weight_of_role('answers.role', 'criteria') }},
        criteria.criterion_number,
        answers.source_hash
),

final as (
    select
        call_id,
        rep_id,
        dimension,
        criterion_id,
        rubric_version,
        is_current,
        week_start,
        started_at,
        role,
        weight,
        cast(n_met as integer) as n_markers_met,
        cast(n_applicable as integer) as n_markers_applicable,
        cast(n_harmful as integer) as n_negative_markers,
        criterion_number,
        source_hash,
        {{ criterion_level(
            met='n_met',
            applicable='n_applicable',
            confirmed='n_confirmed',
            confirming='n_confirming',
            harmful='n_harmful',
        ) }} as level,
        case when n_applicable = 0 then 'no marker of this criterion applied in this call' end
            as na_reason
    from counted
)

select * from final
