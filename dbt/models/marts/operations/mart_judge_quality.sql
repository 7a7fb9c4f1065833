with

results as (
    select * from {{ ref('stg_analysis__results') }}
    where dimension <> 'call_brief'
),

criterion_scores as (
    select * from {{ ref('fct_criterion_scores') }}
    where is_current
),

answers as (
    select
        dimension,
        rubric_version,
        count(*) as n_answers,
        sum(n_quotes) as n_quotes,
        sum(n_quotes_verified) as n_quotes_verified,
        sum(n_quotes_repaired) as n_quotes_repaired,
        sum(n_quotes_dropped) as n_quotes_dropped,
        bool_or(is_sandbox) as is_sandbox
    from results
    group by dimension, rubric_version
),

-- Several managers may have scored one call: their mean, back on the scale of levels.
humans as (
    select
        call_id,
        rep_id,
        criterion_id,
        round(avg(human_level)) as human_level
    from {{ ref('fct_manager_scores') }}
    where criterion_id is not null and human_level is not null
    group by call_id, rep_id, criterion_id
),

pairs as (
    select
        criterion_scores.dimension,
        criterion_scores.rubric_version,
        cast(criterion_scores.level as numeric) as machine_level,
        humans.human_level
    from criterion_scores
    inner join humans
        on
            criterion_scores.call_id = humans.call_id
            and criterion_scores.rep_id = humans.rep_id
            and criterion_scores.criterion_id = humans.criterion_id
    where criterion_scores.level is not null
),

agreement as (
    select
        dimension,
        rubric_version,
        count(*) as n_human_levels,
        avg(case when machine_level = human_level then 1.0 else 0.0 end) as exact_agreement,
        avg(case when abs(machine_level - human_level) <= 1 then 1.0 else 0.0 end)
            as within_one_agreement,
        avg(machine_level - human_level) as mean_signed_error,
        {{ quadratic_kappa('machine_level', 'human_level') }} as kappa
    from pairs
    group by dimension, rubric_version
),

opinions as (
    select
        dimension,
        rubric_version,
        count(*) as n_moments_reviewed,
        count(*) filter (where verdict = 'agree') as n_moments_agreed
    from {{ ref('fct_moment_reviews') }}
    group by dimension, rubric_version
),

repeats as (
    select
        dimension,
        rubric_version,
        count(*) as n_repeated,
        sum(n_flips) / nullif(sum(n_comparisons), 0) as marker_flip_rate,
        sqrt(avg(power(score_sd, 2))) as repeat_score_sd
    from {{ ref('int_repeats_compared') }}
    group by dimension, rubric_version
),

coverage as (
    select
        dimension,
        rubric_version,
        avg(case when score is null then 1.0 else 0.0 end) as na_share
    from {{ ref('fct_scores') }}
    where status = 'scored'
    group by dimension, rubric_version
),

-- A judge that pays for words gives long calls more.
lengths as (
    select
        scores.dimension,
        scores.rubric_version,
        {{ correlation('scores.score', 'calls.n_words') }} as length_correlation
    from {{ ref('fct_scores') }} as scores
    inner join {{ ref('fct_calls') }} as calls on scores.call_id = calls.call_id
    where scores.status = 'scored' and scores.score is not null and calls.n_words > 0
    group by scores.dimension, scores.rubric_version
)

select
    answers.dimension,
    answers.rubric_version,
    answers.is_sandbox,
    cast(answers.n_answers as integer) as n_answers,
    cast(answers.n_quotes as integer) as n_quotes,
    cast(answers.n_quotes_verified as integer) as n_quotes_verified,
    cast(answers.n_quotes_repaired as integer) as n_quotes_repaired,
    cast(answers.n_quotes_dropped as integer) as n_quotes_dropped,
    cast(coalesce(agreement.n_human_levels, 0) as integer) as n_human_levels,
    cast(coalesce(opinions.n_moments_reviewed, 0) as integer) as n_moments_reviewed,
    cast(coalesce(opinions.n_moments_agreed, 0) as integer) as n_moments_agreed,
    cast(coalesce(repeats.n_repeated, 0) as integer) as n_repeated,
    round(answers.n_quotes_verified / nullif(cast(answers.n_quotes as numeric), 0), 4)
        as quote_verified_rate,
    round(coverage.na_share, 4) as na_share,
    round(agreement.exact_agreement, 4) as exact_agreement,
    round(agreement.within_one_agreement, 4) as within_one_agreement,
    round(agreement.mean_signed_error, 3) as mean_signed_error,
    round(agreement.kappa, 3) as kappa,
    round(repeats.marker_flip_rate, 4) as marker_flip_rate,
    round(repeats.repeat_score_sd, 2) as repeat_score_sd,
    round(lengths.length_correlation, 2) as length_correlation
from answers
left join agreement
    on
        answers.dimension = agreement.dimension
        and answers.rubric_version = agreement.rubric_version
left join opinions
    on
        answers.dimension = opinions.dimension
        and answers.rubric_version = opinions.rubric_version
left join repeats
    on
        answers.dimension = repeats.dimension
        and answers.rubric_version = repeats.rubric_version
left join coverage
    on
        answers.dimension = coverage.dimension
        and answers.rubric_version = coverage.rubric_version
left join lengths
    on
        answers.dimension = lengths.dimension
        and answers.rubric_version = lengths.rubric_version
