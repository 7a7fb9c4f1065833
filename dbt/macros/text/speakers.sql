{#
    How each voice of one call talked, from the steps `sentences` and `parties` of the model. A turn is an
    unbroken run of one voice, listener words left out; its numbers follow from its neighbours.
#}
{% macro measured_speakers(call_id) -%}
    (
        with

        spoken as (
            select
                sentences.sentence_number,
                sentences.speaker_id,
                sentences.start_ms,
                sentences.end_ms,
                sentences.n_words,
                sentences.is_question,
                sentences.is_backchannel,
                coalesce(parties.side, 'unknown') as side,
                sentences.end_ms > sentences.start_ms as has_length
            from sentences
            left join parties
                on
                    sentences.call_id = parties.call_id
                    and sentences.speaker_id = parties.speaker_id
            where sentences.call_id = {{ call_id }}
        ),

        marked as (
            select
                spoken.*,
                case
                    when
                        lag(spoken.speaker_id) over (order by spoken.sentence_number)
                        = spoken.speaker_id
                        then 0
                    else 1
                end as begins_turn
            from spoken
            where spoken.has_length and not spoken.is_backchannel
        ),

        numbered as (
            select
                marked.*,
                sum(marked.begins_turn) over (order by marked.sentence_number) as spoken_turn
            from marked
        ),

        turns as (
            select
                spoken_turn,
                min(speaker_id) as speaker_id,
                min(side) as side,
                min(start_ms) as start_ms,
                max(end_ms) as end_ms
            from numbered
            group by spoken_turn
        ),

        neighbours as (
            select
                turns.*,
                lag(turns.side) over in_turn as previous_side,
                turns.start_ms - lag(turns.end_ms) over in_turn as gap_ms,
                count(*) over () as n_call_turns
            from turns
            window in_turn as (order by turns.spoken_turn)
        ),

        speaker_turns as materialized (
            select
                speaker_id,
                count(*) as n_turns,
                max(end_ms - start_ms) / 1000.0 as longest_monologue_s,
                {{ patience_s(
                    'gap_ms', "side in ('rep', 'team') and previous_side = 'customer'"
                ) }} as patience_s,
                {{ interruption_rate(
                    'gap_ms', "side in ('rep', 'team') and previous_side = 'customer'"
                ) }} as interruption_rate,
                max(n_call_turns) as n_call_turns
            from neighbours
            group by speaker_id
        ),

        speakers as (
            select
                speaker_id,
                side,
                min(sentence_number) as first_sentence,
                min(start_ms) filter (where has_length) as start_ms,
                max(end_ms) filter (where has_length) as end_ms,
                coalesce(sum(end_ms - start_ms) filter (where has_length), 0) as talk_ms,
                sum(n_words) as n_words,
                count(*) filter (where has_length and is_question) as n_questions,
                count(*) filter (where is_backchannel) as n_backchannels
            from spoken
            group by speaker_id, side
        )

        select
            speakers.speaker_id,
            speakers.side,
            speakers.talk_ms,
            speakers.n_words,
            speakers.n_questions,
            speakers.n_backchannels,
            speaker_turns.longest_monologue_s,
            speaker_turns.patience_s,
            speaker_turns.interruption_rate,
            coalesce(speaker_turns.n_turns, 0) as n_turns,
            max(speaker_turns.n_call_turns) over () as n_call_turns,
            (max(speakers.end_ms) over () - min(speakers.start_ms) over ()) / 60000.0
                as call_minutes,
            sum(speakers.talk_ms) over () as call_talk_ms,
            dense_rank() over (
                partition by speakers.side order by speakers.first_sentence
            ) as side_number
        from speakers
        left join speaker_turns on speakers.speaker_id = speaker_turns.speaker_id
    )
{%- endmacro %}
