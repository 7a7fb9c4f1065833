with

scores as (
    select * from {{ ref('int_scores_rolled') }}
),

-- Who left is compared with and not shown. Where Gong's users cannot be read, nobody has left.
reps as (
    select
        known.*,
        known.is_active or not bool_or(known.is_active) over () as is_here
    from {{ ref('dim_reps') }} as known
),

clock as (
    select * from {{ ref('int_reporting_clock_set') }}
),

windows as (
    select unnest(array[28, 90]) as window_days
),

-- Like with like: the role the rep has now, the rubric version of the window's newest call.
in_window as (
    select
        scores.rep_id,
        scores.dimension,
        scores.score,
        scores.rubric_version,
        scores.is_sandbox,
        reps.role,
        windows.window_days,
        clock.as_of,
        first_value(scores.rubric_version) over (
            partition by scores.dimension, windows.window_days
            order by scores.started_at desc, scores.call_id desc
        ) as newest_version
    from scores
    inner join reps on scores.rep_id = reps.rep_id and scores.role = reps.role
    cross join clock
    cross join windows
    where
        {{ day_of('scores.started_at') }} > clock.as_of - windows.window_days
        and {{ day_of('scores.started_at') }} <= clock.as_of
),

rep_means as (
    select
        dimension,
        window_days,
        as_of,
        role,
        rep_id,
        newest_version as rubric_version,
        bool_or(is_sandbox) as is_sandbox,
        count(*) as n,
        avg(score) as mean,
        coalesce(var_samp(score), 0) as variance
    from in_window
    where rubric_version = newest_version
    group by dimension, window_days, as_of, role, rep_id, newest_version
),

pooled as (
    select
        dimension,
        window_days,
        role,
        count(*) filter (where n >= {{ var('show_from_calls') }}) as n_reps,
        avg(mean) as group_mean,
        {{ pooled_variance('variance', 'n') }} as s2
    from rep_means
    group by dimension, window_days, role
),

spread as (
    select
        rep_means.dimension,
        rep_means.window_days,
        rep_means.role,
        {{ between_variance('rep_means.mean', 'pooled.s2', 'rep_means.n') }} as tau2
    from rep_means
    inner join pooled
        on
            rep_means.dimension = pooled.dimension
            and rep_means.window_days = pooled.window_days
            and rep_means.role = pooled.role
    group by rep_means.dimension, rep_means.window_days, rep_means.role
),

with_group as (
    select
        rep_means.*,
        pooled.n_reps,
        pooled.group_mean,
        pooled.s2,
        coalesce(spread.tau2, 0) as tau2,
        sum(spread.tau2 + pooled.s2 / rep_means.n) over role_group
        / power(count(*) over role_group, 2) as group_mean_variance
    from rep_means
    inner join pooled
        on
            rep_means.dimension = pooled.dimension
            and rep_means.window_days = pooled.window_days
            and rep_means.role = pooled.role
    inner join spread
        on
            rep_means.dimension = spread.dimension
            and rep_means.window_days = spread.window_days
            and rep_means.role = spread.role
    window role_group as (
        partition by rep_means.dimension, rep_means.window_days, rep_means.role
    )
),

shrunk as (
    select
        with_group.*,
        {{ shrunk_mean('mean', 'group_mean', 'tau2', 's2', 'n') }} as eb,
        {{ shrunk_half_width('tau2', 's2', 'n', 'group_mean_variance') }} as half_width,
        with_group.n >= {{ var('show_from_calls') }} as is_shown,
        with_group.n >= {{ var('rank_from_calls') }}
        and with_group.n_reps >= {{ var('rank_from_reps') }}
        and with_group.s2 is not null as is_ranked
    from with_group
)

select
    reps.team_id,
    reps.team_name,
    shrunk.dimension,
    shrunk.window_days,
    shrunk.as_of,
    shrunk.rep_id,
    reps.rep_name,
    shrunk.role,
    cast(shrunk.n as integer) as n_calls,
    case when shrunk.is_shown then {{ as_score('shrunk.mean') }} end as mean_score,
    case when shrunk.is_shown then {{ as_score('coalesce(shrunk.eb, shrunk.mean)') }} end as score,
    case when shrunk.is_shown then {{ as_score('shrunk.eb - shrunk.half_width') }} end as low,
    case when shrunk.is_shown then {{ as_score('shrunk.eb + shrunk.half_width') }} end as high,
    {{ tier_of(
        'shrunk.eb - shrunk.half_width',
        'shrunk.eb + shrunk.half_width',
        'shrunk.group_mean',
        'shrunk.is_ranked',
    ) }} as tier,
    shrunk.is_ranked,
    case
        when shrunk.is_ranked then null
        when shrunk.n < {{ var('rank_from_calls') }}
            then 'fewer than {{ var("rank_from_calls") }} scored calls in the window'
        else 'fewer than {{ var("rank_from_reps") }} reps in this role to compare with'
    end as unranked_reason,
    cast(shrunk.n_reps as integer) as n_reps_compared,
    {{ as_score('shrunk.group_mean') }} as group_mean,
    shrunk.rubric_version,
    shrunk.is_sandbox
from shrunk
inner join reps on shrunk.rep_id = reps.rep_id
where reps.is_here
