{{ config(indexes=[{'columns': ['scorecard_id', 'question_id'], 'unique': True}]) }}
-- A question is about a criterion when its text begins with the criterion's title or holds its id;
-- about a dimension as a whole when it is that dimension's name.
with

scorecards as (
    select * from {{ ref('stg_gong__scorecards') }}
),

criteria as (
    select * from {{ ref('dim_rubric_criteria') }}
    where is_current
),

dimensions as (
    select distinct
        dimension,
        dimension_title
    from criteria
),

questions as (
    select distinct on (scorecards.scorecard_id, unpacked.item ->> 'questionId')
        scorecards.scorecard_id,
        scorecards.scorecard_name,
        unpacked.item ->> 'questionId' as question_id,
        unpacked.item ->> 'questionText' as question_text,
        coalesce({{ number_of("unpacked.item ->> 'minRange'") }}, 1) as min_score,
        coalesce({{ number_of("unpacked.item ->> 'maxRange'") }}, 5) as max_score
    from scorecards
    cross join
        lateral jsonb_array_elements({{ as_array('scorecards.questions') }})
            as unpacked (item)
    where unpacked.item ->> 'questionId' is not null
    order by scorecards.scorecard_id, unpacked.item ->> 'questionId'
),

matched as (
    select distinct on (questions.scorecard_id, questions.question_id)
        questions.*,
        criteria.criterion_id,
        coalesce(criteria.dimension, dimensions.dimension) as dimension
    from questions
    left join criteria
        on
            questions.question_text ilike criteria.criterion_title || '%'
            or questions.question_text ilike '%' || criteria.criterion_id || '%'
    left join dimensions
        on
            lower(questions.question_text)
            in (lower(dimensions.dimension), lower(dimensions.dimension_title))
    order by
        questions.scorecard_id asc,
        questions.question_id asc,
        criteria.criterion_id asc nulls last,
        dimensions.dimension asc nulls last
)

select * from matched
