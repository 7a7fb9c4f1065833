{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[{'columns': ['call_id', 'speaker_id'], 'unique': True}],
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

fingerprints as (
    select fingerprint.*
    from {{ ref('int_transcripts_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint') }}
),

parties as (
    select * from {{ ref('int_call_parties_unpacked') }}
    where is_speaker
),

sentences as (
    select
        sentences.call_id,
        sentences.sentence_number,
        sentences.speaker_id,
        sentences.start_ms,
        sentences.end_ms,
        sentences.n_words,
        sentences.is_question,
        sentences.is_backchannel,
        fingerprints.source_hash,
        coalesce(parties.side, 'unknown') as side,
        sentences.end_ms > sentences.start_ms as has_length
    from {{ ref('int_sentences_ordered') }} as sentences
    inner join fingerprints on sentences.call_id = fingerprints.call_id
    left join parties
        on sentences.call_id = parties.call_id and sentences.speaker_id = parties.speaker_id
),

marked as (
    select
        sentences.*,
        case
            when lag(sentences.speaker_id) over in_time = sentences.speaker_id then 0
            else 1
        end as begins_turn
    from sentences
    where sentences.has_length and not sentences.is_backchannel
    window in_time as (partition by sentences.call_id order by sentences.sentence_number)
),

numbered as (
    select
        marked.*,
        sum(marked.begins_turn) over (
            partition by marked.call_id order by marked.sentence_number
        ) as spoken_turn
    from marked
),

turns as (
    select
        call_id,
        spoken_turn,
        min(speaker_id) as speaker_id,
        min(side) as side,
        min(start_ms) as start_ms,
        max(end_ms) as end_ms
    from numbered
    group by call_id, spoken_turn
),

neighbours as (
    select
        turns.*,
        lag(turns.side) over in_turn as previous_side,
        turns.start_ms - lag(turns.end_ms) over in_turn as gap_ms
    from turns
    window in_turn as (partition by turns.call_id order by turns.spoken_turn)
),

speaker_turns as (
    select
        call_id,
        speaker_id,
        count(*) as n_turns,
        max(end_ms - start_ms) / 1000.0 as longest_monologue_s,
        {{ patience_s('gap_ms', "side in ('rep', 'team') and previous_side = 'customer'") }}
            as patience_s,
        {{ interruption_rate('gap_ms', "side in ('rep', 'team') and previous_side = 'customer'") }}
            as interruption_rate
    from neighbours
    group by call_id, speaker_id
),

speakers as (
    select
        call_id,
        speaker_id,
        side,
        source_hash,
        min(sentence_number) as first_sentence,
        coalesce(sum(end_ms - start_ms) filter (where has_length), 0) as talk_ms,
        sum(n_words) as n_words,
        count(*) filter (where has_length and is_question) as n_questions,
        count(*) filter (where is_backchannel) as n_backchannels
    from sentences
    group by call_id, speaker_id, side, source_hash
),

call_lengths as (
    select
        call_id,
        (max(end_ms) - min(start_ms)) / 60000.0 as call_minutes
    from sentences
    where has_length
    group by call_id
),

call_turns as (
    select
        call_id,
        count(*) as n_turns
    from turns
    group by call_id
),

joined as (
    select
        speakers.call_id,
        speakers.speaker_id,
        speakers.side,
        speakers.talk_ms,
        speakers.n_words,
        speakers.n_questions,
        speakers.n_backchannels,
        speaker_turns.longest_monologue_s,
        speaker_turns.patience_s,
        speaker_turns.interruption_rate,
        call_turns.n_turns as n_call_turns,
        call_lengths.call_minutes,
        speakers.source_hash,
        dense_rank() over (
            partition by speakers.call_id, speakers.side order by speakers.first_sentence
        ) as side_number,
        sum(speakers.talk_ms) over (partition by speakers.call_id) as call_talk_ms,
        coalesce(speaker_turns.n_turns, 0) as n_turns
    from speakers
    left join speaker_turns
        on
            speakers.call_id = speaker_turns.call_id
            and speakers.speaker_id = speaker_turns.speaker_id
    left join call_lengths on speakers.call_id = call_lengths.call_id
    left join call_turns on speakers.call_id = call_turns.call_id
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
from joined
