with

reviews as (
    select * from {{ ref('stg_ops__moment_reviews') }}
),

evidence as (
    select * from {{ ref('fct_evidence') }}
),

-- Opinions are appended: of one person on one moment the newest counts.
ranked as (
    select
        reviews.*,
        row_number() over (
            partition by reviews.evidence_id, reviews.viewer_id
            order by reviews.reviewed_at desc, reviews.review_id desc
        ) as recency
    from reviews
),

final as (
    select
        ranked.evidence_id,
        ranked.viewer_id,
        ranked.verdict,
        ranked.note,
        ranked.reviewed_at,
        evidence.call_id,
        evidence.rep_id,
        evidence.dimension,
        evidence.criterion_id,
        evidence.marker_id,
        evidence.rubric_version,
        evidence.polarity,
        evidence.week_start
    from ranked
    -- A moment that is gone takes the opinions about it along.
    inner join evidence on ranked.evidence_id = evidence.evidence_id
    where ranked.recency = 1
)

select * from final
