{{ config(indexes=[{'columns': ['call_id'], 'unique': True}]) }}
-- One brief per call: that of the call's own host, should several reps of a call have one.
with

answers as (
    select * from {{ ref('int_answers_counted') }}
    where has_brief and is_current
),

calls as (
    select * from {{ ref('int_calls_classified') }}
),

ranked as (
    select
        answers.*,
        row_number() over (
            partition by answers.call_id
            order by
                coalesce(answers.rep_id = calls.rep_id, false) desc,
                answers.result_created_at desc,
                answers.source_hash asc
        ) as choice
    from answers
    inner join calls on answers.call_id = calls.call_id
)

select
    source_hash,
    call_id,
    rep_id,
    week_start,
    started_at,
    call_url,
    result_key,
    result_created_at,
    model,
    is_sandbox,
    n_objections,
    n_next_steps,
    n_flags
from ranked
where choice = 1
