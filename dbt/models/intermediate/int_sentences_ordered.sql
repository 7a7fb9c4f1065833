{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[{'columns': ['call_id', 'sentence_number'], 'unique': True}],
        pre_hook=[
            "{{ set_local_memory(256) }}",
            "{{ delete_replaced_rows(
                parent=ref('int_transcripts_fingerprinted'),
                key=['call_id'],
                first_row='sentence_number = 1',
            ) }}",
        ],
        post_hook="{{ index_hashes('sentence_number = 1') }}",
    )
}}
-- Everything is ordered inside one call at a time: a sort over all sentences would go to disk.
with

fingerprints as materialized (
    select fingerprint.*
    from {{ ref('int_transcripts_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint', 'sentence_number = 1') }}
),

transcripts as (
    select
        transcripts.call_id,
        transcripts.transcript,
        fingerprints.source_hash
    from {{ ref('stg_gong__transcripts') }} as transcripts
    inner join fingerprints on transcripts.call_id = fingerprints.call_id
),

sentences as (
    select
        transcripts.call_id,
        ordered.sentence_number,
        ordered.turn_id,
        ordered.speaker_id,
        ordered.start_ms,
        ordered.end_ms,
        ordered.text,
        transcripts.source_hash,
        {{ count_words('ordered.text') }} as n_words
    from transcripts
    cross join lateral {{ ordered_sentences('transcripts.transcript') }} as ordered
)

select
    call_id,
    sentence_number,
    turn_id,
    speaker_id,
    start_ms,
    end_ms,
    text,
    n_words,
    {{ is_question('text') }} as is_question,
    {{ is_backchannel('text', 'n_words') }} as is_backchannel,
    source_hash
from sentences
