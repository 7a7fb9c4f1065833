-- Which moment deserves a manager's time, and why. The points below are the whole rule:
--   skill gap   up to 30   10 for each level the rep's mean on the criterion lies under 4
--   recency     up to 20   falls evenly to nothing over the 28 days of the queue
--   deal        up to 20   open amount against the largest in the queue, on a log scale
--   sentiment   10 / 5     the customer sounded negative / mixed
--   risk        up to 15   the brief's priority is critical (15) or high (10)
--   something to say   5   a suggestion comes with the moment
with

evidence as (
    select * from {{ ref('fct_evidence') }}
    where is_current and polarity = 'gap'
),

clock as (
    select * from {{ ref('int_reporting_clock_set') }}
),

reps as (
    select * from {{ ref('dim_reps') }}
),

calls as (
    select * from {{ ref('fct_calls') }}
),

deals as (
    select * from {{ ref('dim_deals') }}
),

briefs as (
    select * from {{ ref('fct_call_briefs') }}
),

skills as (
    select * from {{ ref('mart_skill_gaps') }}
    where window_days = 90
),

criteria as (
    select * from {{ ref('dim_rubric_criteria') }}
),

marks as (
    select distinct on (moment_id)
        moment_id,
        mark,
        snoozed_until,
        viewer_id as marked_by,
        marked_at
    from {{ ref('stg_ops__queue_marks') }}
    order by moment_id asc, marked_at desc, mark_id desc
),

-- One moment per call and criterion: the one with something to say, else the first.
candidates as (
    select distinct on (evidence.call_id, evidence.rep_id, evidence.criterion_id)
        evidence.*,
        clock.as_of - {{ day_of('evidence.started_at') }} as age_days
    from evidence
    cross join clock
    where
        -- the week is indexed, the day is not
        evidence.week_start > clock.as_of - 35
        and {{ day_of('evidence.started_at') }} > clock.as_of - 28
        and {{ day_of('evidence.started_at') }} <= clock.as_of
    order by
        evidence.call_id asc,
        evidence.rep_id asc,
        evidence.criterion_id asc,
        (evidence.suggestion is not null) desc,
        evidence.turn_id asc,
        evidence.evidence_id asc
),

joined as (
    select
        candidates.*,
        reps.rep_name,
        reps.team_id,
        calls.title as call_title,
        calls.account_name,
        calls.deal_id,
        calls.is_sandbox,
        deals.stage as deal_stage,
        deals.amount_at_stake,
        briefs.customer_sentiment,
        briefs.priority,
        briefs.priority_reason,
        criteria.criterion_title,
        criteria.dimension_title,
        skills.mean_level,
        skills.n_applicable,
        skills.role_mean_level,
        max(deals.amount_at_stake) over () as largest_amount
    from candidates
    inner join reps on candidates.rep_id = reps.rep_id
    inner join calls on candidates.call_id = calls.call_id
    left join deals on calls.deal_id = deals.deal_id
    left join briefs on candidates.call_id = briefs.call_id
    left join criteria
        on
            candidates.dimension = criteria.dimension
            and candidates.criterion_id = criteria.criterion_id
            and candidates.rubric_version = criteria.rubric_version
    left join skills
        on
            candidates.rep_id = skills.rep_id
            and candidates.criterion_id = skills.criterion_id
            and candidates.rubric_version = skills.rubric_version
),

weighed as (
    select
        joined.*,
        round(coalesce(10 * least(greatest(4 - joined.mean_level, 0), 3), 0), 2) as skill_points,
        round(20 * (1 - joined.age_days / 28.0), 2) as recency_points,
        coalesce(
            round(
                20 * ln(1 + greatest(joined.amount_at_stake, 0))
                / nullif(ln(1 + greatest(joined.largest_amount, 0)), 0),
                2
            ),
            0
        ) as deal_points,
        case joined.customer_sentiment when 'negative' then 10 when 'mixed' then 5 else 0 end
            as sentiment_points,
        case joined.priority when 'critical' then 15 when 'high' then 10 else 0 end as risk_points,
        case when joined.suggestion is not null then 5 else 0 end as suggestion_points
    from joined
),

totalled as (
    select
        weighed.*,
        weighed.skill_points
        + weighed.recency_points
        + weighed.deal_points
        + weighed.sentiment_points
        + weighed.risk_points
        + weighed.suggestion_points as priority_points
    from weighed
),

marked as (
    select
        totalled.*,
        marks.snoozed_until,
        marks.marked_by,
        marks.marked_at,
        case
            when marks.mark = 'done' then 'done'
            when marks.mark = 'snoozed' and marks.snoozed_until > clock.today then 'snoozed'
            else 'open'
        end as state
    from totalled
    cross join clock
    left join marks on totalled.evidence_id = marks.moment_id
)

select
    evidence_id as moment_id,
    call_id,
    rep_id,
    rep_name,
    team_id,
    dimension,
    criterion_id,
    criterion_title,
    marker_id,
    rubric_version,
    turn_id,
    start_ms,
    quote,
    suggestion,
    call_title,
    call_url,
    started_at,
    week_start,
    account_name,
    deal_id,
    deal_stage,
    amount_at_stake,
    customer_sentiment,
    priority,
    concat_ws(
        ' ',
        coalesce(dimension_title, dimension) || ', '
        || lower(coalesce(criterion_title, criterion_id)) || ':',
        case
            when mean_level is not null
                then
                    'level ' || to_char(mean_level, 'FM0.0') || ' on average over ' || n_applicable
                    || ' calls (role: ' || to_char(role_mean_level, 'FM0.0') || ').'
            else 'fewer than {{ var("show_from_calls") }} calls so far.'
        end,
        case
            when amount_at_stake is not null
                then
                    'Deal of ' || to_char(amount_at_stake, 'FM999,999,999,990')
                    || coalesce(' in ' || deal_stage, '') || ' at stake.'
        end,
        case
            when customer_sentiment in ('negative', 'mixed')
                then 'The customer sounded ' || customer_sentiment || '.'
        end,
        case
            when priority in ('critical', 'high')
                then 'The call is rated ' || priority || coalesce(': ' || priority_reason, '.')
        end
    ) as reason,
    skill_points,
    recency_points,
    deal_points,
    sentiment_points,
    risk_points,
    suggestion_points,
    priority_points,
    cast(row_number() over (
        partition by state order by priority_points desc, started_at desc, evidence_id asc
    ) as integer) as queue_rank,
    cast(row_number() over (
        partition by rep_id, state order by priority_points desc, started_at desc, evidence_id asc
    ) as integer) as rep_queue_rank,
    state,
    snoozed_until,
    marked_by,
    marked_at,
    is_sandbox
from marked
