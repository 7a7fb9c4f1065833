with

source as (
    {{ optional_rows(source('gong', 'answered_scorecards')) }}
),

renamed as (
    select
        cast(stored ->> 'review_time' as timestamptz) as reviewed_at,
        stored ->> 'answered_scorecard_id' as answered_scorecard_id,
        stored ->> 'scorecard_id' as scorecard_id,
        stored ->> 'scorecard_name' as scorecard_name,
        stored ->> 'call_id' as call_id,
        stored ->> 'reviewed_user_id' as reviewed_user_id,
        stored ->> 'reviewer_user_id' as reviewer_user_id,
        stored -> 'answers' as answers
    from source
)

select * from renamed
