{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['rep_id', 'dimension', 'week_start']},
            {'columns': ['rep_id', 'week_start']},
            {'columns': ['source_hash']},
            {'columns': ['week_start']},
        ],
        pre_hook=[
            "{{ look_turns_up_by_key() }}",
            "{{ delete_replaced_rows(
                parent=ref('int_answers_counted'),
                key=['source_hash'],
                first_row='evidence_number = 1',
            ) }}",
        ],
        post_hook=[
            "{{ index_hashes('evidence_number = 1') }}",
            "{{ keep_index('turn', '(call_id, turn_id)') }}",
        ],
    )
}}

with

answers as materialized (
    select answer.*
    from {{ ref('int_answers_counted') }} as answer
    where
        answer.n_evidence + answer.n_suggestions > 0
        {{ where_not_held('answer', 'evidence_number = 1') }}
),

-- Every step carries what it needs of the answer along: joined again, answers and moments would be
-- compared row by row, which a backfill of years does not survive.
opened as (
    select
        answers.call_id,
        answers.rep_id,
        answers.dimension,
        answers.rubric_version,
        answers.is_current,
        answers.week_start,
        answers.started_at,
        answers.call_url,
        answers.source_hash,
        results.answer
    from answers
    inner join {{ ref('stg_analysis__results') }} as results
        on
            answers.result_key = results.result_key
            and answers.result_created_at = results.created_at
),

markers as (
    select * from {{ ref('dim_rubric_markers') }}
),

turns as (
    select * from {{ ref('fct_turns') }}
),

quotes as (
    select
        opened.*,
        findings.finding ->> 'marker_id' as marker_id,
        findings.finding ->> 'verdict' as verdict,
        cast(quotes.quote ->> 'turn_id' as integer) as turn_id,
        cast(quotes.quote ->> 'start_ms' as integer) as start_ms,
        quotes.quote ->> 'side' as side,
        quotes.quote ->> 'quote' as quote,
        cast(null as text) as suggestion
    from opened
    cross join
        lateral jsonb_array_elements({{ as_array("opened.answer -> 'markers'") }})
            as findings (finding)
    cross join
        lateral jsonb_array_elements({{ as_array("findings.finding -> 'evidence'") }})
            as quotes (quote)
    -- What failed the check against the transcript is counted elsewhere, never shown as a quote.
    where cast(quotes.quote ->> 'quote_verified' as boolean)
),

-- A suggestion points at a turn, whose words are its quote. Done later in the call, it is moot.
suggestions as (
    select
        opened.*,
        suggestions.suggestion ->> 'marker_id' as marker_id,
        'suggestion' as verdict,
        turns.turn_id,
        turns.start_ms,
        turns.side,
        turns.text as quote,
        suggestions.suggestion ->> 'suggestion' as suggestion
    from opened
    cross join
        lateral jsonb_array_elements({{ as_array("opened.answer -> 'suggestions'") }})
            as suggestions (suggestion)
    inner join turns
        on
            opened.call_id = turns.call_id
            and turns.turn_id = cast(suggestions.suggestion ->> 'turn_id' as integer)
    where suggestions.suggestion ->> 'already_done_turn_id' is null
),

moments as (
    select * from quotes
    union all
    select * from suggestions
),

identified as (
    select
        moments.call_id,
        moments.rep_id,
        moments.dimension,
        markers.criterion_id,
        moments.marker_id,
        moments.rubric_version,
        moments.is_current,
        moments.turn_id,
        moments.start_ms,
        moments.side,
        moments.quote,
        true as quote_verified,
        moments.suggestion,
        moments.week_start,
        moments.started_at,
        moments.call_url,
        moments.source_hash,
        md5(concat_ws(
            '|',
            moments.call_id,
            moments.rep_id,
            moments.dimension,
            moments.marker_id,
            moments.rubric_version,
            moments.turn_id,
            moments.quote,
            moments.suggestion
        )) as evidence_id,
        case
            when moments.verdict = 'suggestion' then 'gap'
            when (moments.verdict = 'yes') = (markers.kind <> 'negative') then 'strength'
            else 'gap'
        end as polarity
    from moments
    inner join markers
        on
            moments.dimension = markers.dimension
            and moments.rubric_version = markers.rubric_version
            and moments.marker_id = markers.marker_id
),

-- The same sentence quoted twice for one marker is one moment.
numbered as (
    select
        identified.*,
        row_number() over (partition by identified.evidence_id order by identified.start_ms)
            as repeat_number
    from identified
),

final as (
    select
        numbered.*,
        cast(row_number() over (
            partition by numbered.source_hash
            order by numbered.turn_id, numbered.evidence_id
        ) as integer) as evidence_number
    from numbered
    where numbered.repeat_number = 1
)

select
    evidence_id,
    call_id,
    rep_id,
    dimension,
    criterion_id,
    marker_id,
    rubric_version,
    is_current,
    turn_id,
    start_ms,
    side,
    quote,
    quote_verified,
    polarity,
    suggestion,
    week_start,
    started_at,
    call_url,
    evidence_number,
    source_hash
from final
