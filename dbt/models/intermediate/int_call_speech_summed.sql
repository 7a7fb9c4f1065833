{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[{'columns': ['call_id'], 'unique': True}, {'columns': ['source_hash']}],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_transcripts_fingerprinted'),
            key=['call_id'],
        ) }}",
    )
}}

with

fingerprints as materialized (
    select fingerprint.*
    from {{ ref('int_transcripts_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint') }}
),

summed as (
    select
        fingerprints.call_id,
        spoken.n_turns,
        spoken.n_sentences,
        spoken.n_words,
        fingerprints.source_hash
    from fingerprints
    cross join
        lateral (
            select
                cast(count(*) as integer) as n_sentences,
                cast(sum(sentences.n_words) as integer) as n_words,
                max(sentences.turn_id) as n_turns
            from {{ ref('int_sentences_ordered') }} as sentences
            where sentences.call_id = fingerprints.call_id
        ) as spoken
    where spoken.n_sentences > 0
)

select * from summed
