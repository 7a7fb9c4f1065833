{#
    The sentences of one transcript in order of time, numbered, with the turn each belongs to.

    A sentence is left out when it holds nothing but white space. One without a start begins where the
    latest known one before it began, one without an end ends where it starts. Order is start, then
    place in the transcript. A turn is an unbroken run of one voice; no voice reads as `unknown`.
    dagster_project/analysis/transcripts.py follows the same rule, and a test compares the two.
#}
{% macro ordered_sentences(transcript) -%}
    (
        with

        spoken as (
            select
                cast(trunc(cast(sentences.sentence ->> 'start' as numeric)) as integer) as start_ms,
                cast(trunc(cast(sentences.sentence ->> 'end' as numeric)) as integer) as end_ms,
                coalesce(nullif(monologues.monologue ->> 'speakerId', ''), 'unknown') as speaker_id,
                {{ strip("sentences.sentence ->> 'text'") }} as text,
                row_number() over (
                    order by monologues.monologue_number, sentences.sentence_number
                ) as position
            from
                jsonb_array_elements({{ as_array(transcript) }})
                with ordinality as monologues (monologue, monologue_number)
            cross join
                lateral jsonb_array_elements(
                    {{ as_array("monologues.monologue -> 'sentences'") }}
                ) with ordinality as sentences (sentence, sentence_number)
            where {{ strip("sentences.sentence ->> 'text'") }} <> ''
        ),

        started as (
            select
                speaker_id,
                end_ms,
                text,
                position,
                coalesce(
                    start_ms,
                    max(start_ms) over (
                        order by position rows between unbounded preceding and 1 preceding
                    ),
                    0
                ) as start_ms
            from spoken
        ),

        marked as (
            select
                speaker_id,
                start_ms,
                text,
                coalesce(end_ms, start_ms) as end_ms,
                row_number() over in_time as sentence_number,
                case
                    when lag(speaker_id) over in_time = speaker_id then 0
                    else 1
                end as begins_turn
            from started
            window in_time as (order by start_ms, position)
        )

        select
            cast(sentence_number as integer) as sentence_number,
            cast(sum(begins_turn) over (order by sentence_number) as integer) as turn_id,
            speaker_id,
            start_ms,
            end_ms,
            text
        from marked
        where {{ transcript }} is not null
    )
{%- endmacro %}

{# The names Claude saw: REP, TEAM_1, CUSTOMER_1, ... in order of first speech. #}
{% macro speaker_label(side, number) -%}
    case when {{ side }} = 'rep' then 'REP' else upper({{ side }}) || '_' || {{ number }} end
{%- endmacro %}
