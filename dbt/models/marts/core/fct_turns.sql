{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[{'columns': ['search'], 'type': 'gin'}],
        pre_hook=[
            "{{ set_local_memory(256) }}",
            "{{ delete_replaced_rows(
                parent=ref('int_transcripts_fingerprinted'),
                key=['call_id'],
                first_row='turn_id = 1',
            ) }}",
        ],
        post_hook="{{ index_hashes('turn_id = 1') }}",
    )
}}

with

fingerprints as materialized (
    select fingerprint.*
    from {{ ref('int_transcripts_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint', 'turn_id = 1') }}
),

speakers as (
    select * from {{ ref('int_call_parties_unpacked') }}
    where is_speaker
),

turns as (
    select
        spoken.*,
        fingerprints.call_id,
        fingerprints.rep_id,
        fingerprints.source_hash
    from fingerprints
    cross join lateral (
        select
            sentences.turn_id,
            cast(sum(sentences.n_words) as integer) as n_words,
            min(sentences.speaker_id) as speaker_id,
            min(sentences.start_ms) as start_ms,
            max(sentences.end_ms) as end_ms,
            string_agg(sentences.text, ' ' order by sentences.sentence_number) as text,
            bool_or(sentences.is_question) as is_question
        from {{ ref('int_sentences_ordered') }} as sentences
        where sentences.call_id = fingerprints.call_id
        group by sentences.turn_id
    ) as spoken
),

sided as (
    select
        turns.*,
        coalesce(speakers.side, 'unknown') as side,
        min(turns.turn_id) over (partition by turns.call_id, turns.speaker_id) as first_turn_id
    from turns
    left join speakers
        on turns.call_id = speakers.call_id and turns.speaker_id = speakers.speaker_id
),

-- So that a page and a prompt speak of the same person.
labelled as (
    select
        sided.*,
        dense_rank() over (
            partition by sided.call_id, sided.side order by sided.first_turn_id
        ) as side_number
    from sided
),

final as (
    select
        call_id,
        turn_id,
        rep_id,
        speaker_id,
        side,
        {{ speaker_label('side', 'side_number') }} as speaker_label,
        start_ms,
        end_ms,
        text,
        n_words,
        is_question,
        {{ is_backchannel('text', 'n_words') }} as is_backchannel,
        -- More words than a tsvector's megabyte holds would stop the build.
        to_tsvector('english', left(text, 200000)) as search,
        source_hash
    from labelled
)

select * from final
