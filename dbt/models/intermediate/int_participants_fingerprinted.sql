{{ config(indexes=[{'columns': ['call_id'], 'unique': True}]) }}
-- What the people heard in a call depend on, as one hash: its transcript, the call as Gong sent it,
-- and when it counts as held.
with

transcripts as (
    select * from {{ ref('int_transcripts_fingerprinted') }}
),

calls as (
    select * from {{ ref('int_calls_fingerprinted') }}
),

fingerprinted as (
    select
        transcripts.call_id,
        md5(concat_ws(
            '|',
            transcripts.source_hash,
            calls.source_hash,
            extract(epoch from transcripts.started_at)
        )) as source_hash
    from transcripts
    inner join calls on transcripts.call_id = calls.call_id
)

select * from fingerprinted
