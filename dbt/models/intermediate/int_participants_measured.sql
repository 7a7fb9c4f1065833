{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['call_id', 'speaker_id'], 'unique': True},
            {'columns': ['source_hash']},
        ],
        pre_hook=[
            "{{ set_local_memory(256) }}",
            "{{ delete_replaced_rows(
                parent=ref('int_transcripts_fingerprinted'),
                key=['call_id'],
            ) }}",
        ],
    )
}}
-- How people talked, with listener words ("mm-hmm", "right") left out of the turns: counted there
-- they would raise switches per minute 2.5 times. A sentence without length counts nowhere.
with

fingerprints as materialized (
    select fingerprint.*
    from {{ ref('int_transcripts_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint') }}
),

sentences as (
    select * from {{ ref('int_sentences_ordered') }}
),

parties as (
    select * from {{ ref('int_call_parties_unpacked') }}
    where is_speaker
),

-- One call at a time: nothing is sorted beyond a call, and a backfill costs what its calls cost.
measured as (
    select
        speakers.*,
        fingerprints.call_id,
        fingerprints.source_hash
    from fingerprints
    cross join lateral {{ measured_speakers('fingerprints.call_id') }} as speakers
)

select
    call_id,
    speaker_id,
    side,
    {{ speaker_label('side', 'side_number') }} as speaker_label,
    cast(talk_ms as integer) as talk_ms,
    round(cast(talk_ms as numeric) / nullif(call_talk_ms, 0), 4) as talk_ratio,
    cast(n_words as integer) as n_words,
    cast(n_turns as integer) as n_turns,
    cast(n_backchannels as integer) as n_backchannels,
    cast(n_questions as integer) as n_questions,
    round(60 * n_questions / nullif(call_minutes, 0), 2) as questions_per_hour,
    round(longest_monologue_s, 3) as longest_monologue_s,
    round(patience_s, 3) as patience_s,
    round(interruption_rate, 4) as interruption_rate,
    round(greatest(n_call_turns - 1, 0) / nullif(call_minutes, 0), 3) as switches_per_min,
    round(call_minutes, 2) as call_minutes,
    '{{ var("interaction_metric_version") }}' as metric_version,
    source_hash
from measured
