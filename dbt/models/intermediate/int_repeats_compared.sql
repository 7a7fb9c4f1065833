{{ config(indexes=[{'columns': ['result_key'], 'unique': True}]) }}
-- The same question about the same transcript, answered more than once: how far the answers differ.
with

-- Read twice, and kept in between would be written to disk with every answer.
results as not materialized (
    select * from {{ ref('stg_analysis__results') }}
    where dimension <> 'call_brief'
),

-- Counted without opening an answer: repeats are rare, answers are large.
groups as (
    select
        result_key,
        count(*) as n_answers
    from results
    group by result_key
    having count(*) > 1
),

criteria as (
    select * from {{ ref('dim_rubric_criteria') }}
),

markers as (
    select * from {{ ref('dim_rubric_markers') }}
),

findings as (
    select
        results.result_key,
        results.created_at,
        results.dimension,
        results.rubric_version,
        unpacked.item ->> 'marker_id' as marker_id,
        unpacked.item ->> 'verdict' as verdict,
        first_value(unpacked.item ->> 'verdict') over (
            partition by results.result_key, unpacked.item ->> 'marker_id'
            order by results.created_at
        ) as first_verdict,
        row_number() over (
            partition by results.result_key, unpacked.item ->> 'marker_id'
            order by results.created_at
        ) as repeat_number
    from results
    inner join groups on results.result_key = groups.result_key
    cross join lateral jsonb_array_elements({{ as_array("results.answer -> 'markers'") }})
        as unpacked (item)
),

flips as (
    select
        result_key,
        count(*) filter (where repeat_number > 1) as n_comparisons,
        count(*) filter (where repeat_number > 1 and verdict <> first_verdict) as n_flips
    from findings
    group by result_key
),

levels as (
    select
        findings.result_key,
        findings.created_at,
        markers.criterion_id,
        max(criteria.weight_ae) as weight,
        {{ criterion_level(
            met="count(*) filter (where markers.kind <> 'negative' and findings.verdict = 'yes')",
            applicable="count(*) filter (
                where markers.kind <> 'negative' and findings.verdict in ('yes', 'no')
            )",
            confirmed="count(*) filter (
                where markers.kind = 'confirming' and findings.verdict = 'yes'
            )",
            confirming="count(*) filter (
                where markers.kind = 'confirming' and findings.verdict in ('yes', 'no')
            )",
            harmful="count(*) filter (
                where markers.kind = 'negative' and findings.verdict = 'yes'
            )",
        ) }} as level
    from findings
    inner join markers
        on
            findings.dimension = markers.dimension
            and findings.rubric_version = markers.rubric_version
            and findings.marker_id = markers.marker_id
    inner join criteria
        on
            markers.dimension = criteria.dimension
            and markers.rubric_version = criteria.rubric_version
            and markers.criterion_id = criteria.criterion_id
    group by findings.result_key, findings.created_at, markers.criterion_id
),

scores as (
    select
        result_key,
        created_at,
        {{ dimension_score('level', 'weight') }} as score
    from levels
    group by result_key, created_at
),

spreads as (
    select
        result_key,
        round(cast(stddev_samp(score) as numeric), 4) as score_sd
    from scores
    group by result_key
),

named as (
    select distinct
        result_key,
        dimension,
        rubric_version
    from findings
)

select
    named.result_key,
    named.dimension,
    named.rubric_version,
    groups.n_answers,
    flips.n_comparisons,
    flips.n_flips,
    spreads.score_sd
from named
inner join groups on named.result_key = groups.result_key
inner join flips on named.result_key = flips.result_key
left join spreads on named.result_key = spreads.result_key
