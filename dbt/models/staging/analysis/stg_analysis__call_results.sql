with

source as (
    select * from {{ source('analysis', 'call_results') }}
),

renamed as (
    select
        call_id,
        rep_id,
        dimension,
        rubric_version,
        week_start,
        result_key,
        result_created_at,
        status,
        reason,
        is_cache_hit,
        run_id,
        updated_at
    from source
)

select * from renamed
