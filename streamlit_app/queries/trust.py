"""Can the judge be trusted, and is the pipeline healthy?"""

from dataclasses import dataclass
from datetime import date, datetime

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class JudgeQuality:
    """One dimension under one rubric version."""

    dimension: str
    rubric_version: str
    is_current: bool
    is_sandbox: bool
    n_answers: int
    n_quotes: int
    n_quotes_verified: int
    n_quotes_repaired: int
    n_quotes_dropped: int
    quote_verified_rate: float | None
    na_share: float | None
    n_human_levels: int
    exact_agreement: float | None
    within_one_agreement: float | None
    mean_signed_error: float | None
    kappa: float | None
    n_repeated: int
    marker_flip_rate: float | None
    repeat_score_sd: float | None
    length_correlation: float | None


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Managers' opinions on the moments of one dimension, the newest of each person."""

    dimension: str
    n_moments_reviewed: int
    n_opinions: int
    n_agree: int
    agreement_rate: float | None


@dataclass(frozen=True, kw_only=True)
class HealthDay:
    """One day of the pipeline."""

    day: date
    n_calls: int
    n_without_transcript: int
    n_eligible_calls: int
    n_scored_calls: int
    coverage: float | None
    n_calls_loaded: int
    last_loaded_at: datetime | None
    n_failed_scores: int
    median_hours_to_score: float | None
    n_requests: int
    n_failed_requests: int
    p95_request_ms: float | None
    n_dead_letters: int
    n_dead_letters_open: int
    n_events: int
    n_events_missed: int
    n_events_failed: int
    n_events_waiting: int
    median_event_s: float | None
    p95_event_s: float | None
    n_analyses_asked: int
    n_analyses_failed: int


_QUALITY = """
current_versions as (
    select distinct
        dim_rubric_criteria.dimension,
        dim_rubric_criteria.rubric_version
    from marts.dim_rubric_criteria
    where dim_rubric_criteria.is_current
),

quality as (
    select
        mart_judge_quality.dimension,
        mart_judge_quality.rubric_version,
        current_versions.rubric_version is not null as is_current,
        mart_judge_quality.is_sandbox,
        mart_judge_quality.n_answers,
        mart_judge_quality.n_quotes,
        mart_judge_quality.n_quotes_verified,
        mart_judge_quality.n_quotes_repaired,
        mart_judge_quality.n_quotes_dropped,
        mart_judge_quality.quote_verified_rate,
        mart_judge_quality.na_share,
        mart_judge_quality.n_human_levels,
        mart_judge_quality.exact_agreement,
        mart_judge_quality.within_one_agreement,
        -- a numeric has no negative zero, as a page would show it
        round(mart_judge_quality.mean_signed_error, 2) as mean_signed_error,
        mart_judge_quality.kappa,
        mart_judge_quality.n_repeated,
        mart_judge_quality.marker_flip_rate,
        mart_judge_quality.repeat_score_sd,
        mart_judge_quality.length_correlation
    from marts.mart_judge_quality
    left join current_versions
        on
            mart_judge_quality.dimension = current_versions.dimension
            and mart_judge_quality.rubric_version = current_versions.rubric_version
)

select * from quality
order by dimension, is_current desc, rubric_version
"""

_AGREEMENT = """
newest as (
    select distinct on (moment_reviews.evidence_id, moment_reviews.viewer_id)
        fct_evidence.dimension,
        moment_reviews.evidence_id,
        moment_reviews.verdict
    from ops.moment_reviews
    inner join marts.fct_evidence on moment_reviews.evidence_id = fct_evidence.evidence_id
    inner join visible_reps on fct_evidence.rep_id = visible_reps.rep_id
    order by moment_reviews.evidence_id asc, moment_reviews.viewer_id asc, moment_reviews.review_id desc
),

agreement as (
    select
        newest.dimension,
        count(distinct newest.evidence_id) as n_moments_reviewed,
        count(*) as n_opinions,
        count(*) filter (where newest.verdict = 'agree') as n_agree,
        round(count(*) filter (where newest.verdict = 'agree')::numeric / count(*), 4) as agreement_rate
    from newest
    group by newest.dimension
)

select * from agreement
order by dimension
"""

_HEALTH = """
health as (
    select mart_pipeline_health.*
    from marts.mart_pipeline_health
    where mart_pipeline_health.day >= (now() at time zone 'UTC')::date - (%(n_days)s::integer - 1)
)

select
    health.day,
    health.n_calls,
    health.n_without_transcript,
    health.n_eligible_calls,
    health.n_scored_calls,
    health.coverage,
    health.n_calls_loaded,
    health.last_loaded_at,
    health.n_failed_scores,
    health.median_hours_to_score,
    health.n_requests,
    health.n_failed_requests,
    health.p95_request_ms,
    health.n_dead_letters,
    health.n_dead_letters_open,
    health.n_events,
    health.n_events_missed,
    health.n_events_failed,
    health.n_events_waiting,
    health.median_event_s,
    health.p95_event_s,
    health.n_analyses_asked,
    health.n_analyses_failed
from health
order by health.day desc
"""


def judge_quality(database: Database, viewer: Viewer) -> Rows[JudgeQuality]:
    """Counts over all calls: they name nobody and are shown to everyone who is signed in."""
    return database.rows(viewer, JudgeQuality, _QUALITY)


def agreement(database: Database, viewer: Viewer) -> Rows[Agreement]:
    """Opinions on the moments a viewer may see, including those of a minute ago."""
    return database.rows(viewer, Agreement, _AGREEMENT)


def pipeline_health(database: Database, viewer: Viewer, *, n_days: int = 28) -> Rows[HealthDay]:
    """Newest day first; counts name nobody."""
    return database.rows(viewer, HealthDay, _HEALTH, {"n_days": n_days})
