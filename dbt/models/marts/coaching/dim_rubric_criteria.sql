with

rubrics as (
    select * from {{ ref('stg_knowledge__rubrics') }}
),

criteria as (
    select
        rubrics.dimension,
        rubrics.title as dimension_title,
        rubrics.rubric_version,
        rubrics.is_current,
        rubrics.loaded_at,
        cast(unpacked.criterion_number as integer) as criterion_number,
        cast(unpacked.criterion -> 'weights' ->> 'AE' as integer) as weight_ae,
        cast(unpacked.criterion -> 'weights' ->> 'SE' as integer) as weight_se,
        cast(unpacked.criterion -> 'weights' ->> 'CSM' as integer) as weight_csm,
        unpacked.criterion ->> 'criterion_id' as criterion_id,
        unpacked.criterion ->> 'title' as criterion_title,
        unpacked.criterion ->> 'source' as criterion_source,
        jsonb_array_length({{ as_array("unpacked.criterion -> 'markers'") }}) as n_markers
    from rubrics
    cross join
        lateral jsonb_array_elements({{ as_array("rubrics.body -> 'criteria'") }})
        with ordinality as unpacked (criterion, criterion_number)
)

select
    dimension,
    criterion_id,
    rubric_version,
    dimension_title,
    criterion_title,
    criterion_source,
    criterion_number,
    weight_ae,
    weight_se,
    weight_csm,
    n_markers,
    is_current,
    loaded_at
from criteria
