with

source as (
    select * from {{ source('ops', 'moment_reviews') }}
),

renamed as (
    select
        review_id,
        evidence_id,
        call_id,
        viewer_id,
        verdict,
        note,
        reviewed_at
    from source
)

select * from renamed
