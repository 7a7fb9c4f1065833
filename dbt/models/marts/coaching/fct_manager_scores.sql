with

answered as (
    select * from {{ ref('stg_gong__answered_scorecards') }}
),

calls as (
    select * from {{ ref('int_calls_classified') }}
    where not is_deleted
),

questions as (
    select * from {{ ref('int_scorecard_questions_matched') }}
),

answers as (
    select
        answered.answered_scorecard_id,
        answered.scorecard_id,
        answered.scorecard_name,
        answered.call_id,
        answered.reviewed_user_id as rep_id,
        answered.reviewer_user_id as reviewer_id,
        answered.reviewed_at,
        cast(unpacked.item ->> 'score' as numeric) as score,
        unpacked.item ->> 'questionId' as question_id,
        coalesce(cast(unpacked.item ->> 'isOverall' as boolean), false) as is_overall,
        coalesce(cast(unpacked.item ->> 'notApplicable' as boolean), false) as is_not_applicable,
        row_number() over (
            partition by answered.answered_scorecard_id, unpacked.item ->> 'questionId'
            order by unpacked.item_number
        ) as repeat_number
    from answered
    cross join
        lateral jsonb_array_elements({{ as_array('answered.answers') }})
        with ordinality as unpacked (item, item_number)
    where unpacked.item ->> 'questionId' is not null
),

final as (
    select
        answers.answered_scorecard_id,
        answers.question_id,
        answers.scorecard_id,
        questions.question_text,
        questions.dimension,
        questions.criterion_id,
        answers.call_id,
        answers.rep_id,
        answers.reviewer_id,
        answers.reviewed_at,
        answers.is_overall,
        answers.is_not_applicable,
        questions.min_score,
        questions.max_score,
        calls.week_start,
        calls.started_at,
        coalesce(answers.scorecard_name, questions.scorecard_name) as scorecard_name,
        case when not answers.is_not_applicable then answers.score end as raw_score,
        -- The machine's levels run from 1 to 5, whatever the scale of the form.
        case
            when
                not answers.is_not_applicable
                and answers.score is not null
                and questions.max_score > questions.min_score
                then least(greatest(round(
                    1 + 4 * (answers.score - questions.min_score)
                    / (questions.max_score - questions.min_score)
                ), 1), 5)
        end as human_level
    from answers
    inner join calls on answers.call_id = calls.call_id
    left join questions
        on
            answers.scorecard_id = questions.scorecard_id
            and answers.question_id = questions.question_id
    where answers.repeat_number = 1
)

select
    answered_scorecard_id,
    question_id,
    scorecard_id,
    scorecard_name,
    question_text,
    dimension,
    criterion_id,
    call_id,
    rep_id,
    reviewer_id,
    reviewed_at,
    is_overall,
    is_not_applicable,
    raw_score,
    min_score,
    max_score,
    cast(human_level as integer) as human_level,
    week_start,
    started_at
from final
