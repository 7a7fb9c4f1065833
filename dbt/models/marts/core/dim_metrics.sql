with

metrics as (
    select * from {{ ref('stg_knowledge__metrics') }}
)

select
    metric,
    title,
    definition,
    unit,
    grain,
    when_empty,
    caution,
    metric_source as source
from metrics
