with

criterion_scores as (
    select * from {{ ref('fct_criterion_scores') }}
    where is_current
),

criteria as (
    select * from {{ ref('dim_rubric_criteria') }}
),

reps as (
    select * from {{ ref('dim_reps') }}
),

clock as (
    select * from {{ ref('int_reporting_clock_set') }}
),

windows as (
    select unnest(array[28, 90]) as window_days
),

in_window as (
    select
        criterion_scores.rep_id,
        criterion_scores.dimension,
        criterion_scores.criterion_id,
        criterion_scores.level,
        criterion_scores.weight,
        criterion_scores.rubric_version,
        reps.role,
        windows.window_days,
        clock.as_of,
        first_value(criterion_scores.rubric_version) over (
            partition by criterion_scores.dimension, windows.window_days
            order by criterion_scores.started_at desc, criterion_scores.call_id desc
        ) as newest_version
    from criterion_scores
    inner join reps
        on criterion_scores.rep_id = reps.rep_id and criterion_scores.role = reps.role
    cross join clock
    cross join windows
    where
        -- the week is indexed, the day is not
        criterion_scores.week_start > clock.as_of - 97
        and {{ day_of('criterion_scores.started_at') }} > clock.as_of - windows.window_days
        and {{ day_of('criterion_scores.started_at') }} <= clock.as_of
),

rep_levels as (
    select
        rep_id,
        dimension,
        criterion_id,
        window_days,
        as_of,
        role,
        newest_version as rubric_version,
        max(weight) as weight,
        count(*) as n_calls,
        count(level) as n_applicable,
        avg(level) as mean_level,
        stddev_samp(level) as sd_level,
        count(*) filter (where level <= 2) as n_low
    from in_window
    where rubric_version = newest_version
    group by rep_id, dimension, criterion_id, window_days, as_of, role, newest_version
),

compared as (
    select
        rep_levels.*,
        rep_levels.n_applicable >= {{ var('show_from_calls') }} as is_shown,
        avg(rep_levels.mean_level) over (
            partition by rep_levels.criterion_id, rep_levels.window_days, rep_levels.role
        ) as role_mean_level,
        {{ mean_half_width('rep_levels.sd_level', 'rep_levels.n_applicable') }} as half_width
    from rep_levels
),

-- What would raise the rep's score most: the room up to level 5 times the criterion's weight.
ranked as (
    select
        compared.*,
        case when compared.is_shown then compared.weight * (5 - compared.mean_level) / 4 end
            as points_to_gain,
        case
            when compared.is_shown
                then row_number() over (
                    partition by compared.rep_id, compared.window_days, compared.is_shown
                    order by
                        compared.weight * (5 - compared.mean_level) desc,
                        compared.criterion_id asc
                )
        end as focus_rank
    from compared
)

select
    ranked.rep_id,
    reps.team_id,
    ranked.dimension,
    ranked.criterion_id,
    criteria.criterion_title,
    ranked.window_days,
    ranked.as_of,
    ranked.role,
    ranked.weight,
    cast(ranked.n_calls as integer) as n_calls,
    cast(ranked.n_applicable as integer) as n_applicable,
    cast(ranked.focus_rank as integer) as focus_rank,
    ranked.rubric_version,
    case when ranked.is_shown then round(ranked.mean_level, 2) end as mean_level,
    case when ranked.is_shown then round(greatest(ranked.mean_level - ranked.half_width, 1), 2) end
        as low,
    case when ranked.is_shown then round(least(ranked.mean_level + ranked.half_width, 5), 2) end
        as high,
    round(ranked.role_mean_level, 2) as role_mean_level,
    case when ranked.is_shown then round(ranked.mean_level - ranked.role_mean_level, 2) end
        as gap_to_role,
    case
        when ranked.is_shown then round(ranked.n_low / cast(ranked.n_applicable as numeric), 3)
    end as share_low,
    round(ranked.points_to_gain, 2) as points_to_gain
from ranked
inner join reps on ranked.rep_id = reps.rep_id
left join criteria
    on
        ranked.dimension = criteria.dimension
        and ranked.criterion_id = criteria.criterion_id
        and ranked.rubric_version = criteria.rubric_version
