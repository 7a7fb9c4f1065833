with

rubrics as (
    select * from {{ ref('stg_knowledge__rubrics') }}
),

markers as (
    select
        rubrics.dimension,
        rubrics.rubric_version,
        rubrics.is_current,
        criteria.criterion ->> 'criterion_id' as criterion_id,
        markers.marker ->> 'marker_id' as marker_id,
        markers.marker ->> 'kind' as kind,
        markers.marker ->> 'question' as question,
        markers.marker ->> 'anchor' as anchor,
        markers.marker ->> 'yes_example' as yes_example,
        markers.marker ->> 'evidence_side' as evidence_side
    from rubrics
    cross join
        lateral jsonb_array_elements({{ as_array("rubrics.body -> 'criteria'") }})
            as criteria (criterion)
    cross join lateral jsonb_array_elements({{ as_array("criteria.criterion -> 'markers'") }})
        as markers (marker)
)

select
    dimension,
    marker_id,
    rubric_version,
    criterion_id,
    kind,
    question,
    anchor,
    yes_example,
    evidence_side,
    is_current
from markers
