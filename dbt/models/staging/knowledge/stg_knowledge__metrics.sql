with

source as (
    select * from {{ source('knowledge', 'metrics') }}
),

renamed as (
    select
        metric,
        title,
        definition,
        unit,
        grain,
        when_empty,
        caution,
        source as metric_source,
        loaded_at
    from source
)

select * from renamed
