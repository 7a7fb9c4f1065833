"""What a week's reviews say, read from the marts: for all reps and teams in a dozen statements."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.numeric import FloatLoader

from streamlit_app.queries.scores import ScoredCall, TrendWeek

Row = TypeVar("Row")

WEEKS_SHOWN = 12
# the window of skills and exercises: long enough for a handful of calls
SKILL_WEEKS = 4
MINIMUM_N = 5
# characters; a mail has no transcript around it, and "Mm-hmm." alone says nothing
TELLING_QUOTE = 25


@dataclass(frozen=True)
class Rep:
    rep_id: str
    rep_name: str
    email: str | None
    role: str
    team_id: str
    team_name: str
    manager_id: str | None
    n_calls: int
    n_scored: int
    is_sandbox: bool


@dataclass(frozen=True)
class Standing:
    """One rep and dimension at the end of the week. `signal` is the mart's word for the trend."""

    rep_id: str
    dimension: str
    n_calls: int
    mean_score: float | None
    rolling_score: float | None
    rolling_n: int
    rolling_low: float | None
    rolling_high: float | None
    signal: str


@dataclass(frozen=True)
class Moment:
    rep_id: str
    rep_name: str
    dimension: str
    criterion_title: str
    polarity: str
    quote: str
    start_ms: int
    call_title: str
    call_url: str | None
    started_at: datetime
    comment: str


@dataclass(frozen=True)
class Exercise:
    """The marker a rep missed most often where there was an opportunity for it.

    The moment that shows it, or its criterion, is a `gap` to close or a `strength` to repeat; its fields are null
    where nothing could be quoted.
    """

    rep_id: str
    criterion_title: str
    question: str
    yes_example: str | None
    n_met: int
    n_applicable: int
    polarity: str | None
    quote: str | None
    suggestion: str | None
    start_ms: int | None
    call_title: str | None
    call_url: str | None
    started_at: datetime | None


@dataclass(frozen=True)
class HeardCall:
    rep_id: str
    title: str
    call_url: str | None
    started_at: datetime
    mean_score: float
    n_dimensions: int


@dataclass(frozen=True)
class TeamWeek:
    team_id: str
    team_name: str
    week_start: date
    n_calls: int
    n_eligible_calls: int
    n_scored_calls: int
    n_reps: int


@dataclass(frozen=True)
class TeamScore:
    team_id: str
    team_name: str
    dimension: str
    week_start: date
    rolling_score: float | None
    rolling_low: float | None
    rolling_high: float | None
    rolling_n: int


@dataclass(frozen=True)
class Skill:
    """A criterion over a team's calls of the last four weeks; without a team, over everybody's."""

    team_id: str | None
    dimension: str
    criterion_title: str
    mean_level: float
    n_calls: int
    n_reps: int


@dataclass(frozen=True)
class Queued:
    team_id: str
    rep_name: str
    reason: str
    quote: str
    start_ms: int
    call_title: str
    call_url: str | None
    suggestion: str | None
    started_at: datetime


@dataclass(frozen=True)
class Cost:
    requests: int
    failed_requests: int
    cache_hits: int
    cost_usd: float
    saved_usd: float
    calls_scored: int
    is_sandbox: bool


@dataclass(frozen=True)
class Manager:
    manager_id: str
    manager_name: str
    email: str | None


@dataclass(frozen=True)
class WeekFacts:
    """Everything the week's reviews are made of; keyed by rep or team where it belongs to one."""

    week_start: date
    reps: tuple[Rep, ...]
    managers: Mapping[str, Manager]
    standings: Mapping[str, tuple[Standing, ...]]
    strengths: Mapping[str, tuple[Moment, ...]]
    gaps: Mapping[str, tuple[Moment, ...]]
    exercises: Mapping[str, Exercise]
    heard: Mapping[str, tuple[HeardCall, ...]]
    trends: Mapping[str, tuple[TrendWeek, ...]]
    scored_calls: Mapping[str, tuple[ScoredCall, ...]]
    team_weeks: Mapping[str, TeamWeek]
    team_scores: Mapping[str, tuple[TeamScore, ...]]
    skills: Mapping[str, tuple[Skill, ...]]
    queue: Mapping[str, tuple[Queued, ...]]
    costs: tuple[Cost, ...]


REPS = """
select
    reps.rep_id,
    reps.rep_name,
    reps.email,
    reps.role,
    reps.team_id,
    reps.team_name,
    reps.manager_id,
    count(calls.call_id) as n_calls,
    count(calls.call_id) filter (where calls.is_scored) as n_scored,
    coalesce(bool_or(calls.is_sandbox), false) as is_sandbox
from marts.dim_reps as reps
inner join marts.fct_calls as calls on reps.rep_id = calls.rep_id
where reps.is_active and not calls.is_deleted and calls.week_start = %(week)s
group by reps.rep_id, reps.rep_name, reps.email, reps.role, reps.team_id, reps.team_name, reps.manager_id
order by reps.rep_name, reps.rep_id
"""

MANAGERS = """
select rep_id as manager_id, rep_name as manager_name, email
from marts.dim_reps
where is_manager and is_active
order by rep_id
"""

STANDINGS = """
select rep_id, dimension, n_calls, mean_score, rolling_score, rolling_n, rolling_low, rolling_high, signal
from marts.mart_rep_trends
where week_start = %(week)s
order by rep_id, dimension
"""

# one moment of a criterion, its longest short quote first: three criteria say more than one thrice
MOMENTS = """
with week_moments as (
    select
        evidence.rep_id,
        reps.rep_name,
        evidence.dimension,
        coalesce(criteria.criterion_title, evidence.criterion_id) as criterion_title,
        evidence.polarity,
        evidence.quote,
        evidence.start_ms,
        coalesce(calls.title, 'Call') as call_title,
        evidence.call_url,
        calls.started_at,
        coalesce(evidence.suggestion, findings.why, '') as comment,
        evidence.suggestion is not null as has_suggestion,
        evidence.evidence_id,
        row_number() over (
            partition by evidence.rep_id, evidence.polarity, evidence.criterion_id
            order by
                (evidence.suggestion is not null) desc,
                (length(evidence.quote) between %(telling_quote)s and 220) desc,
                calls.started_at desc,
                evidence.evidence_id
        ) as place_in_criterion
    from marts.fct_evidence as evidence
    inner join marts.fct_calls as calls on evidence.call_id = calls.call_id
    inner join marts.dim_reps as reps on evidence.rep_id = reps.rep_id
    left join marts.dim_rubric_criteria as criteria
        on
            evidence.dimension = criteria.dimension
            and evidence.criterion_id = criteria.criterion_id
            and evidence.rubric_version = criteria.rubric_version
    left join marts.fct_marker_findings as findings
        on
            evidence.call_id = findings.call_id
            and evidence.rep_id = findings.rep_id
            and evidence.dimension = findings.dimension
            and evidence.marker_id = findings.marker_id
            and evidence.rubric_version = findings.rubric_version
    where
        evidence.is_current
        and evidence.quote_verified
        and evidence.week_start = %(week)s
        and not calls.is_deleted
),

ranked as (
    select
        *,
        row_number() over (
            partition by rep_id, polarity
            order by has_suggestion desc, length(quote) >= %(telling_quote)s desc, started_at desc, evidence_id
        ) as place
    from week_moments
    where place_in_criterion = 1
)

select
    rep_id, rep_name, dimension, criterion_title, polarity, quote, start_ms, call_title, call_url, started_at, comment
from ranked
where (polarity = 'strength' and place <= 3) or (polarity = 'gap' and place <= 2)
order by rep_id, polarity, place
"""

# a marker counts from five opportunities on
EXERCISES = """
with answered as (
    select
        findings.rep_id,
        findings.dimension,
        findings.criterion_id,
        findings.marker_id,
        findings.rubric_version,
        count(*) filter (where findings.verdict = 'yes') as n_met,
        count(*) as n_applicable
    from marts.fct_marker_findings as findings
    inner join marts.fct_calls as calls on findings.call_id = calls.call_id
    where
        findings.is_current
        and findings.verdict in ('yes', 'no')
        and calls.week_start between %(skills_since)s and %(week)s
        and not calls.is_deleted
    group by 1, 2, 3, 4, 5
    having count(*) >= %(minimum_n)s
),

chosen as (
    select distinct on (answered.rep_id)
        answered.*,
        coalesce(criteria.criterion_title, answered.criterion_id) as criterion_title,
        markers.question,
        markers.yes_example
    from answered
    inner join marts.dim_rubric_markers as markers
        on
            answered.dimension = markers.dimension
            and answered.marker_id = markers.marker_id
            and answered.rubric_version = markers.rubric_version
    left join marts.dim_rubric_criteria as criteria
        on
            answered.dimension = criteria.dimension
            and answered.criterion_id = criteria.criterion_id
            and answered.rubric_version = criteria.rubric_version
    -- a confirming marker is the customer's to meet; an exercise is for what the rep does
    where markers.kind = 'positive' and answered.n_met < answered.n_applicable
    order by
        answered.rep_id,
        answered.n_met::numeric / answered.n_applicable,
        answered.n_applicable desc,
        answered.marker_id
),

-- what is missing leaves nothing to quote: then another moment of the same criterion stands for it
shown as (
    select distinct on (chosen.rep_id)
        chosen.rep_id,
        evidence.polarity,
        evidence.quote,
        evidence.suggestion,
        evidence.start_ms,
        coalesce(calls.title, 'Call') as call_title,
        evidence.call_url,
        calls.started_at
    from chosen
    inner join marts.fct_evidence as evidence
        on
            chosen.rep_id = evidence.rep_id
            and chosen.dimension = evidence.dimension
            and chosen.criterion_id = evidence.criterion_id
            and chosen.rubric_version = evidence.rubric_version
    inner join marts.fct_calls as calls on evidence.call_id = calls.call_id
    where
        evidence.is_current
        and evidence.quote_verified
        and evidence.week_start between %(skills_since)s and %(week)s
        and not calls.is_deleted
    order by
        chosen.rep_id,
        (evidence.marker_id = chosen.marker_id) desc,
        (evidence.polarity = 'gap') desc,
        length(evidence.quote) >= %(telling_quote)s desc,
        calls.started_at desc,
        evidence.evidence_id
)

select
    chosen.rep_id,
    chosen.criterion_title,
    chosen.question,
    chosen.yes_example,
    chosen.n_met,
    chosen.n_applicable,
    shown.polarity,
    shown.quote,
    shown.suggestion,
    shown.start_ms,
    shown.call_title,
    shown.call_url,
    shown.started_at
from chosen
left join shown on chosen.rep_id = shown.rep_id
"""

HEARD = """
select
    scores.rep_id,
    coalesce(calls.title, 'Call') as title,
    calls.url as call_url,
    calls.started_at,
    avg(scores.score)::float as mean_score,
    count(scores.score)::int as n_dimensions
from marts.fct_scores as scores
inner join marts.fct_calls as calls on scores.call_id = calls.call_id
where scores.is_current and calls.week_start = %(week)s and not calls.is_deleted and scores.score is not null
group by scores.rep_id, calls.call_id, calls.title, calls.url, calls.started_at
having count(scores.score) >= 2
order by scores.rep_id, avg(scores.score) desc, calls.started_at
"""

TRENDS = """
select
    rep_id,
    dimension,
    week_start,
    is_running_week,
    n_calls,
    mean_score,
    rolling_score,
    rolling_n,
    rolling_low,
    rolling_high,
    signal,
    rubric_version,
    has_version_break
from marts.mart_rep_trends
where week_start between %(since)s and %(week)s
order by rep_id, dimension, week_start
"""

SCORED_CALLS = """
select
    scores.rep_id,
    scores.call_id,
    calls.title,
    calls.account_name,
    calls.call_type,
    calls.started_at,
    calls.week_start,
    calls.is_running_week,
    scores.dimension,
    scores.score,
    scores.na_reason,
    scores.n_markers_met,
    scores.n_markers_applicable,
    scores.rubric_version,
    scores.is_sandbox
from marts.fct_scores as scores
inner join marts.fct_calls as calls on scores.call_id = calls.call_id
where scores.is_current and not calls.is_deleted and calls.week_start between %(since)s and %(week)s
order by scores.rep_id, calls.started_at, scores.dimension
"""

TEAM_WEEKS = """
select team_id, team_name, week_start, n_calls, n_eligible_calls, n_scored_calls, n_reps
from marts.mart_team_weeks
where week_start = %(week)s and n_calls > 0
order by team_name, team_id
"""

TEAM_SCORES = """
select team_id, team_name, dimension, week_start, rolling_score, rolling_low, rolling_high, rolling_n
from marts.mart_team_scores
where week_start between %(since)s and %(week)s
order by team_name, team_id, dimension, week_start
"""

SKILLS = """
select
    reps.team_id,
    levels.dimension,
    coalesce(criteria.criterion_title, levels.criterion_id) as criterion_title,
    avg(levels.level)::float as mean_level,
    count(*)::int as n_calls,
    count(distinct levels.rep_id)::int as n_reps
from marts.fct_criterion_scores as levels
inner join marts.dim_reps as reps on levels.rep_id = reps.rep_id
left join marts.dim_rubric_criteria as criteria
    on
        levels.dimension = criteria.dimension
        and levels.criterion_id = criteria.criterion_id
        and levels.rubric_version = criteria.rubric_version
where levels.is_current and levels.level is not null and levels.week_start between %(skills_since)s and %(week)s
group by grouping sets (
    (reps.team_id, levels.dimension, levels.criterion_id, criteria.criterion_title),
    (levels.dimension, levels.criterion_id, criteria.criterion_title)
)
having count(*) >= %(minimum_n)s
order by avg(levels.level), levels.criterion_id
"""

QUEUE = """
select
    team_id, rep_name, reason, quote, start_ms, coalesce(call_title, 'Call') as call_title, call_url, suggestion,
    started_at
from marts.mart_coaching_queue
where
    state = 'open'
    and week_start between %(skills_since)s and %(week)s
    and length(quote) >= %(telling_quote)s
order by priority_points desc, started_at desc, moment_id
"""

COSTS = """
select
    coalesce(sum(requests), 0)::int as requests,
    coalesce(sum(failed_requests), 0)::int as failed_requests,
    coalesce(sum(cache_hits), 0)::int as cache_hits,
    coalesce(sum(cost_usd), 0)::float as cost_usd,
    coalesce(sum(saved_usd), 0)::float as saved_usd,
    coalesce(max(calls_scored), 0)::int as calls_scored,
    is_sandbox
from marts.mart_llm_costs
where day >= %(week)s and day < %(week)s::date + 7
group by is_sandbox
order by is_sandbox
"""


def read_facts(database_url: str, week_start: date) -> WeekFacts:
    """The week's facts. Raises psycopg.errors.UndefinedTable before the marts are built."""
    values: dict[str, Any] = {
        "week": week_start,
        "since": week_start - timedelta(weeks=WEEKS_SHOWN - 1),
        "skills_since": week_start - timedelta(weeks=SKILL_WEEKS - 1),
        "minimum_n": MINIMUM_N,
        "telling_quote": TELLING_QUOTE,
    }
    with psycopg.connect(database_url) as connection:
        read = _Reader(connection, values)
        moments = read.all(Moment, MOMENTS)
        return WeekFacts(
            week_start=week_start,
            reps=read.all(Rep, REPS),
            managers={manager.manager_id: manager for manager in read.all(Manager, MANAGERS)},
            standings=_by(read.all(Standing, STANDINGS), "rep_id"),
            strengths=_by((moment for moment in moments if moment.polarity == "strength"), "rep_id"),
            gaps=_by((moment for moment in moments if moment.polarity == "gap"), "rep_id"),
            exercises={exercise.rep_id: exercise for exercise in read.all(Exercise, EXERCISES)},
            heard=_by(read.all(HeardCall, HEARD), "rep_id"),
            trends=read.by_rep(TrendWeek, TRENDS),
            scored_calls=read.by_rep(ScoredCall, SCORED_CALLS),
            team_weeks={week.team_id: week for week in read.all(TeamWeek, TEAM_WEEKS)},
            team_scores=_by(read.all(TeamScore, TEAM_SCORES), "team_id"),
            skills=_by(read.all(Skill, SKILLS), "team_id"),
            queue=_by(read.all(Queued, QUEUE), "team_id"),
            costs=read.all(Cost, COSTS),
        )


class _Reader:
    def __init__(self, connection: psycopg.Connection[Any], values: dict[str, Any]) -> None:
        self._connection = connection
        self._connection.adapters.register_loader("numeric", FloatLoader)
        self._values = values

    def all(self, row: type[Row], statement: LiteralString) -> tuple[Row, ...]:
        with self._connection.cursor(row_factory=class_row(row)) as cursor:
            return tuple(cursor.execute(statement, self._values).fetchall())

    def by_rep(self, row: type[Row], statement: LiteralString) -> dict[str, tuple[Row, ...]]:
        """Rows of a type that has no rep of its own, keyed by the statement's `rep_id`."""
        found: dict[str, list[Row]] = defaultdict(list)
        with self._connection.cursor(row_factory=dict_row) as cursor:
            for values in cursor.execute(statement, self._values):
                found[values.pop("rep_id")].append(row(**values))
        return {rep_id: tuple(rows) for rep_id, rows in found.items()}


def _by(rows: Iterable[Row], attribute: str) -> dict[Any, tuple[Row, ...]]:
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[getattr(row, attribute)].append(row)
    return {key: tuple(members) for key, members in found.items()}


def company_skills(skills: Mapping[Any, Sequence[Skill]]) -> tuple[Skill, ...]:
    """The criteria over all teams: the statement's rows without a team."""
    return tuple(skills.get(None, ()))
