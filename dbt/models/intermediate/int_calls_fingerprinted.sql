{{ config(indexes=[{'columns': ['call_id'], 'unique': True}]) }}
-- What the people and things unpacked from a call depend on, as one hash. The loader writes a row,
-- and with it the time, only when something in the call changed.
with

calls as (
    select * from {{ ref('stg_gong__calls') }}
    where not is_deleted
),

fingerprinted as (
    select
        call_id,
        md5(concat_ws(
            '|',
            '{{ var("unpacking_version") }}',
            call_id,
            primary_user_id,
            content_hash,
            extract(epoch from loaded_at)
        )) as source_hash
    from calls
)

select * from fingerprinted
