with

definitions as (
    select * from {{ ref('metric_definitions') }}
)

select
    metric,
    title,
    definition,
    unit,
    grain,
    when_empty,
    caution,
    source
from definitions
