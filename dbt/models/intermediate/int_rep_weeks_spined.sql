-- No gaps: a week without calls is a row, and a line ends twelve weeks after its last call.
with

scores as (
    select * from {{ ref('int_scores_rolled') }}
),

clock as (
    select * from {{ ref('int_reporting_clock_set') }}
),

lines as (
    select
        scores.rep_id,
        scores.dimension,
        min(scores.week_start) as first_week,
        least(
            greatest(max(scores.week_start), min(clock.running_week_start)),
            max(scores.week_start) + 7 * {{ var('trend_window_weeks') }}
        ) as last_week
    from scores
    cross join clock
    group by scores.rep_id, scores.dimension
),

weeks as (
    select
        lines.rep_id,
        lines.dimension,
        cast(weeks.week_start as date) as week_start
    from lines
    cross join lateral generate_series(lines.first_week, lines.last_week, interval '7 days')
        as weeks (week_start)
),

last_calls as (
    select * from scores
    where is_last_of_week
),

-- The week whose last call speaks for this one: itself, or the latest one before it.
anchored as (
    select
        weeks.rep_id,
        weeks.dimension,
        weeks.week_start,
        max(last_calls.week_start) over (
            partition by weeks.rep_id, weeks.dimension order by weeks.week_start
        ) as anchor_week
    from weeks
    left join last_calls
        on
            weeks.rep_id = last_calls.rep_id
            and weeks.dimension = last_calls.dimension
            and weeks.week_start = last_calls.week_start
),

spined as (
    select
        anchored.rep_id,
        anchored.dimension,
        anchored.week_start,
        last_calls.rubric_version,
        last_calls.rolling_n,
        last_calls.rolling_mean,
        last_calls.rolling_sd,
        last_calls.is_any_sandbox,
        coalesce(
            lag(last_calls.rubric_version) over line <> last_calls.rubric_version, false
        ) as has_version_break
    from anchored
    inner join last_calls
        on
            anchored.rep_id = last_calls.rep_id
            and anchored.dimension = last_calls.dimension
            and anchored.anchor_week = last_calls.week_start
    window line as (
        partition by anchored.rep_id, anchored.dimension order by anchored.week_start
    )
)

select * from spined
