"""What a run brought, read from the marts as typed rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row, dict_row

# from coaching-domain practice: below five calls a mean says more about the calls than about the rep
MINIMUM_N_SHOWN = 5

Row = TypeVar("Row")


@dataclass(frozen=True)
class CallCounts:
    calls: int
    with_transcript: int
    eligible: int
    scored: int
    first_call_at: datetime | None
    last_call_at: datetime | None


@dataclass(frozen=True)
class RepScore:
    rep_name: str
    team_name: str
    role: str
    dimension: str
    n: int
    mean_score: float | None


@dataclass(frozen=True)
class Moment:
    rep_name: str
    call_title: str
    dimension: str
    polarity: str
    start_ms: int
    quote: str
    why: str
    call_url: str | None


@dataclass(frozen=True)
class RunCost:
    """What was sent since `since`, and what did not have to be; dollars at the price of the model asked for."""

    requests: int
    failed: int
    answers_from_cache: int
    answers_standing: int
    cost_usd: float
    saved_usd: float
    prompt_tokens: int
    prompt_tokens_from_cache: int
    output_tokens: int
    is_sandbox: bool


@dataclass(frozen=True)
class Summary:
    calls: CallCounts
    scores: tuple[RepScore, ...]
    moments: tuple[Moment, ...]
    cost: RunCost
    notes: tuple[str, ...]


def read_summary(database_url: str, *, since: datetime) -> Summary:
    """The warehouse as it stands, with what was spent since `since`."""
    with psycopg.connect(database_url) as connection:
        return Summary(
            calls=_one(connection, CallCounts, CALLS),
            scores=_all(connection, RepScore, SCORES),
            moments=_all(connection, Moment, MOMENTS),
            cost=_one(connection, RunCost, COST, {"since": since}),
            notes=_notes(connection),
        )


CALLS = """
select
    count(*) as calls,
    count(*) filter (where has_transcript) as with_transcript,
    count(*) filter (where is_eligible) as eligible,
    count(*) filter (where is_scored) as scored,
    min(started_at) as first_call_at,
    max(started_at) as last_call_at
from marts.fct_calls
where not is_deleted
"""

SCORES = """
select
    reps.rep_name,
    reps.team_name,
    reps.role,
    scores.dimension,
    count(scores.score) as n,
    avg(scores.score)::float as mean_score
from marts.fct_scores as scores
inner join marts.dim_reps as reps on scores.rep_id = reps.rep_id
where scores.is_current
group by reps.rep_name, reps.team_name, reps.role, scores.dimension
order by reps.team_name, reps.rep_name, scores.dimension
"""

# one strength and two gaps, each of another rep, the latest calls first, quotes long enough to say something
MOMENTS = """
with moments as (
    select
        reps.rep_id,
        reps.rep_name,
        calls.title as call_title,
        evidence.dimension,
        evidence.polarity,
        evidence.start_ms,
        evidence.quote,
        coalesce(evidence.suggestion, findings.why, '') as why,
        evidence.call_url,
        row_number() over (
            partition by evidence.polarity, evidence.rep_id
            order by calls.started_at desc, length(evidence.quote) desc, evidence.evidence_id
        ) as place_of_rep,
        dense_rank() over (
            partition by evidence.polarity
            order by md5(evidence.rep_id || evidence.polarity)
        ) as place_in_polarity
    from marts.fct_evidence as evidence
    inner join marts.fct_calls as calls on evidence.call_id = calls.call_id
    inner join marts.dim_reps as reps on evidence.rep_id = reps.rep_id
    left join marts.fct_marker_findings as findings
        on
            evidence.call_id = findings.call_id
            and evidence.rep_id = findings.rep_id
            and evidence.marker_id = findings.marker_id
            and evidence.rubric_version = findings.rubric_version
    where
        evidence.is_current
        and evidence.quote_verified
        and length(evidence.quote) between 40 and 240
        -- older calls would not be the latest, and a large warehouse has many
        and evidence.week_start > (select max(week_start) - 28 from marts.fct_calls)
),

first_of_rep as (
    select
        *,
        row_number() over (partition by rep_id order by place_in_polarity, polarity desc) as place_across
    from moments
    where place_of_rep = 1
),

chosen as (
    select
        *,
        row_number() over (partition by polarity order by place_across, place_in_polarity) as place
    from first_of_rep
)

select rep_name, call_title, dimension, polarity, start_ms, quote, why, call_url
from chosen
where (polarity = 'strength' and place = 1) or (polarity = 'gap' and place <= 2)
order by polarity desc, place
"""

COST = """
select
    count(*) filter (where kind <> 'cache') as requests,
    count(*) filter (where kind <> 'cache' and error_kind is not null) as failed,
    count(*) filter (where cache_outcome = 'hit') as answers_from_cache,
    (
        select count(*)
        from analysis.call_results
        where status = 'scored' and updated_at < %(since)s
    ) as answers_standing,
    coalesce(sum(cost_usd), 0)::float as cost_usd,
    coalesce(sum(saved_usd), 0)::float as saved_usd,
    coalesce(sum(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens), 0)::bigint
        as prompt_tokens,
    coalesce(sum(cache_read_tokens), 0)::bigint as prompt_tokens_from_cache,
    coalesce(sum(output_tokens), 0)::bigint as output_tokens,
    coalesce(bool_or(is_sandbox), false) as is_sandbox
from analysis.requests
where started_at >= %(since)s
"""

INELIGIBLE = """
select ineligible_reason as reason, count(*) as n
from marts.fct_calls
where not is_eligible and not is_deleted
group by ineligible_reason
order by count(*) desc, ineligible_reason
"""

DEAD_LETTERS = (
    "select stream, count(*) as n from ops.dead_letters where status = 'open' group by stream order by stream"
)


def _notes(connection: psycopg.Connection) -> tuple[str, ...]:
    with connection.cursor(row_factory=dict_row) as cursor:
        skipped = [f"{row['n']} not scored: {row['reason']}" for row in cursor.execute(INELIGIBLE)]
        letters = [
            f"{row['n']} {row['stream']} set aside: see `call-coach dead-letters list`"
            for row in cursor.execute(DEAD_LETTERS)
        ]
    return (*skipped, *letters)


def _one(connection: psycopg.Connection, row: type[Row], query: str, values: dict[str, Any] | None = None) -> Row:
    (found,) = _all(connection, row, query, values)
    return found


def _all(
    connection: psycopg.Connection, row: type[Row], query: str, values: dict[str, Any] | None = None
) -> tuple[Row, ...]:
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return tuple(cursor.execute(query.encode(), values).fetchall())


def by_rep(scores: Sequence[RepScore]) -> dict[tuple[str, str, str], dict[str, RepScore]]:
    """Scores as a grid: (team, rep, role) -> dimension -> score."""
    grid: dict[tuple[str, str, str], dict[str, RepScore]] = {}
    for score in scores:
        grid.setdefault((score.team_name, score.rep_name, score.role), {})[score.dimension] = score
    return grid
