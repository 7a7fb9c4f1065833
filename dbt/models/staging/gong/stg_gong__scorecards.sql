with

source as (
    {{ optional_rows(source('gong', 'scorecards')) }}
),

renamed as (
    select
        stored ->> 'scorecard_id' as scorecard_id,
        stored ->> 'scorecard_name' as scorecard_name,
        stored ->> 'review_method' as review_method,
        stored -> 'questions' as questions
    from source
)

select * from renamed
