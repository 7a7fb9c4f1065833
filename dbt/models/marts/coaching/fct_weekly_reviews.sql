with

reviews as (
    select * from {{ ref('stg_ops__reviews') }}
),

deliveries as (
    select
        review_id,
        count(*) filter (where status in ('sent', 'written')) as n_delivered,
        count(*) filter (where status = 'failed') as n_failed,
        max(attempted_at) filter (where status in ('sent', 'written')) as last_delivered_at
    from {{ ref('stg_ops__review_deliveries') }}
    group by review_id
),

final as (
    select
        reviews.review_id,
        reviews.week_start,
        reviews.kind,
        reviews.recipient_id,
        reviews.version,
        reviews.subject,
        reviews.markdown,
        reviews.rendered_at,
        cast(coalesce(deliveries.n_delivered, 0) as integer) as n_delivered,
        cast(coalesce(deliveries.n_failed, 0) as integer) as n_failed,
        deliveries.last_delivered_at,
        row_number() over (
            partition by reviews.week_start, reviews.kind, reviews.recipient_id
            order by reviews.rendered_at desc, reviews.review_id desc
        ) = 1 as is_newest
    from reviews
    left join deliveries on reviews.review_id = deliveries.review_id
)

select * from final
