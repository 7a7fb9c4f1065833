{{ config(indexes=[{'columns': ['call_id'], 'unique': True}]) }}
-- What a call's sentences and turns depend on, as one hash. No transcript is opened here: unpacking
-- all of them is what a run must not do.
with

transcripts as (
    select * from {{ ref('stg_gong__transcripts') }}
),

calls as (
    select * from {{ ref('int_calls_classified') }}
    where not is_deleted
),

speakers as (
    select
        call_id,
        string_agg(
            concat_ws('=', speaker_id, side, user_id, party_name), '|' order by party_number
        ) as speakers
    from {{ ref('int_call_parties_unpacked') }}
    where is_speaker
    group by call_id
),

fingerprinted as (
    select
        calls.call_id,
        calls.rep_id,
        calls.week_start,
        calls.started_at,
        transcripts.loaded_at as transcript_loaded_at,
        md5(concat_ws(
            '|',
            '{{ var("turn_version") }}',
            '{{ var("interaction_metric_version") }}',
            calls.call_id,
            calls.rep_id,
            transcripts.content_hash,
            speakers.speakers
        )) as source_hash
    from transcripts
    inner join calls on transcripts.call_id = calls.call_id
    left join speakers on calls.call_id = speakers.call_id
    where transcripts.transcript is not null
)

select * from fingerprinted
