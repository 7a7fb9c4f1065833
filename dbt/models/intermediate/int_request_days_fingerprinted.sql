{{ config(indexes=[{'columns': ['day'], 'unique': True}]) }}
-- Requests are replaced a day at a time; erased calls change the days they were asked about.
with

requests as (
    select * from {{ ref('stg_analysis__requests') }}
),

calls as (
    select * from {{ ref('int_calls_classified') }}
),

hashed as (
    select
        {{ day_of('requests.started_at') }} as day,
        hashtextextended(
            concat_ws(
                '|',
                requests.request_id,
                requests.status,
                requests.cost_usd,
                requests.latency_ms,
                calls.call_id
            ),
            0
        ) as request_hash
    from requests
    left join calls on requests.call_id = calls.call_id
),

fingerprinted as (
    select
        day,
        cast(count(*) as integer) as n_requests,
        md5(concat_ws('|', day, count(*), sum(request_hash))) as source_hash
    from hashed
    group by day
)

select * from fingerprinted
