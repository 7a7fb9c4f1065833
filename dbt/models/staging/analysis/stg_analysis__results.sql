with

source as (
    select * from {{ source('analysis', 'results') }}
),

renamed as (
    select
        result_key,
        created_at,
        dimension,
        rubric_version,
        knowledge_version,
        prompt_version,
        transcript_hash,
        model,
        is_sandbox,
        answer,
        n_quotes,
        n_quotes_verified,
        n_quotes_repaired,
        n_quotes_dropped,
        cost_usd,
        expires_at
    from source
)

select * from renamed
