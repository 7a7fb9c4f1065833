{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['rep_id', 'dimension', 'started_at']},
            {'columns': ['week_start']},
            {'columns': ['source_hash'], 'unique': True},
        ],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_call_results_ranked'),
            key=['source_hash'],
        ) }}",
    )
}}

with

call_results as materialized (
    select call_result.*
    from {{ ref('int_call_results_ranked') }} as call_result
    where
        call_result.dimension <> 'call_brief'
        {{ where_not_held('call_result') }}
),

answers as (
    select * from {{ ref('int_answers_counted') }}
),

criterion_scores as (
    select * from {{ ref('fct_criterion_scores') }}
),

final as (
    select
        call_results.call_id,
        call_results.rep_id,
        call_results.dimension,
        call_results.rubric_version,
        call_results.is_current,
        call_results.week_start,
        call_results.started_at,
        call_results.role,
        cast(coalesce(weighed.n_markers_met, 0) as integer) as n_markers_met,
        cast(coalesce(weighed.n_markers_applicable, 0) as integer) as n_markers_applicable,
        call_results.result_key,
        answers.model,
        call_results.result_created_at as scored_at,
        call_results.status,
        call_results.source_hash,
        case when call_results.status = 'scored' then weighed.score end as score,
        case
            when call_results.status <> 'scored'
                then coalesce(call_results.reason, replace(call_results.status, '_', ' '))
            when answers.source_hash is null then 'the answer is no longer stored'
            when weighed.n_criteria = 0 then 'the rubric version is unknown'
            when weighed.score is null
                then 'criteria with less than 60 % of the weight applied in this call'
        end as na_reason,
        round(weighed.applicable_weight_share, 4) as applicable_weight_share,
        coalesce(answers.is_sandbox, false) as is_sandbox
    from call_results
    left join answers on call_results.source_hash = answers.source_hash
    cross join lateral (
        select
            {{ dimension_score('criteria.level', 'criteria.weight') }} as score,
            {{ applicable_weight_share('criteria.level', 'criteria.weight') }}
                as applicable_weight_share,
            count(*) as n_criteria,
            sum(criteria.n_markers_met) as n_markers_met,
            sum(criteria.n_markers_applicable) as n_markers_applicable
        from criterion_scores as criteria
        where
            criteria.call_id = call_results.call_id
            and criteria.rep_id = call_results.rep_id
            and criteria.dimension = call_results.dimension
            and criteria.rubric_version = call_results.rubric_version
    ) as weighed
)

select * from final
