"""One call: its head, what was said, how it was scored and what follows from it."""

from dataclasses import dataclass
from datetime import datetime

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class CallHead:
    """A call as lists and its own page show it."""

    call_id: str
    title: str | None
    url: str | None
    started_at: datetime
    is_running_week: bool
    duration_s: int | None
    call_type: str | None
    language: str | None
    rep_id: str
    rep_name: str
    role: str
    team_id: str
    team_name: str
    account_id: str | None
    account_name: str | None
    deal_id: str | None
    n_turns: int | None
    n_words: int | None
    has_transcript: bool
    is_eligible: bool
    ineligible_reason: str | None
    is_scored: bool
    is_sandbox: bool


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn of the transcript."""

    turn_id: int
    side: str
    speaker_label: str
    start_ms: int
    end_ms: int
    text: str
    n_words: int
    is_question: bool
    is_backchannel: bool


@dataclass(frozen=True, kw_only=True)
class CallScore:
    """One dimension of a call."""

    dimension: str
    score: float | None
    na_reason: str | None
    role: str
    n_markers_met: int
    n_markers_applicable: int
    applicable_weight_share: float | None
    rubric_version: str
    model: str | None
    is_sandbox: bool
    status: str
    scored_at: datetime | None
    rep_mean_score: float | None
    rep_n_calls: int


@dataclass(frozen=True, kw_only=True)
class CriterionLevel:
    """One criterion of a call."""

    dimension: str
    criterion_id: str
    level: float | None
    weight: float | None
    na_reason: str | None
    n_markers_met: int
    n_markers_applicable: int
    rubric_version: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The answer to one marker's question about a call."""

    dimension: str
    criterion_id: str
    marker_id: str
    verdict: str
    why: str | None
    n_evidence: int


_HEAD = """
heads as (
    select
        fct_calls.call_id,
        fct_calls.title,
        fct_calls.url,
        fct_calls.started_at,
        fct_calls.is_running_week,
        fct_calls.duration_s,
        fct_calls.call_type,
        fct_calls.language,
        fct_calls.rep_id,
        dim_reps.rep_name,
        dim_reps.role,
        dim_reps.team_id,
        dim_reps.team_name,
        fct_calls.account_id,
        fct_calls.account_name,
        fct_calls.deal_id,
        fct_calls.n_turns,
        fct_calls.n_words,
        fct_calls.has_transcript,
        fct_calls.is_eligible,
        fct_calls.ineligible_reason,
        fct_calls.is_scored,
        coalesce(fct_calls.is_sandbox, false) as is_sandbox
    from marts.fct_calls
    inner join visible_reps on fct_calls.rep_id = visible_reps.rep_id
    inner join marts.dim_reps on fct_calls.rep_id = dim_reps.rep_id
    where
        not fct_calls.is_deleted
        and (%(call_id)s::text is null or fct_calls.call_id = %(call_id)s)
        and (%(rep_id)s::text is null or fct_calls.rep_id = %(rep_id)s)
)

select * from heads
order by started_at desc, call_id
"""

_TURNS = """
turns as (
    select
        fct_turns.turn_id,
        fct_turns.side,
        fct_turns.speaker_label,
        coalesce(fct_turns.start_ms, 0) as start_ms,
        coalesce(fct_turns.end_ms, fct_turns.start_ms, 0) as end_ms,
        fct_turns.text,
        fct_turns.n_words,
        fct_turns.is_question,
        fct_turns.is_backchannel
    from marts.fct_turns
    inner join marts.fct_calls on fct_turns.call_id = fct_calls.call_id
    inner join visible_reps on fct_calls.rep_id = visible_reps.rep_id
    where
        fct_turns.call_id = %(call_id)s
        and not fct_calls.is_deleted
        and fct_turns.turn_id >= %(first_turn_id)s
        and (%(last_turn_id)s::integer is null or fct_turns.turn_id <= %(last_turn_id)s)
)

select * from turns
order by turn_id
"""

_SCORES = """
scores as (
    select
        fct_scores.dimension,
        round(fct_scores.score, 1) as score,
        fct_scores.na_reason,
        fct_scores.role,
        coalesce(fct_scores.n_markers_met, 0) as n_markers_met,
        coalesce(fct_scores.n_markers_applicable, 0) as n_markers_applicable,
        fct_scores.applicable_weight_share,
        fct_scores.rubric_version,
        fct_scores.model,
        coalesce(fct_scores.is_sandbox, false) as is_sandbox,
        fct_scores.status,
        fct_scores.scored_at,
        fct_scores.rep_id
    from marts.fct_scores
    inner join visible_reps on fct_scores.rep_id = visible_reps.rep_id
    inner join marts.fct_calls on fct_scores.call_id = fct_calls.call_id
    where
        fct_scores.call_id = %(call_id)s
        and fct_scores.is_current
        and not fct_calls.is_deleted
        and fct_scores.dimension <> 'call_brief'
),

rep_means as (
    select
        mart_leaderboard.dimension,
        mart_leaderboard.rep_id,
        round(mart_leaderboard.mean_score, 1) as rep_mean_score,
        mart_leaderboard.n_calls as rep_n_calls
    from marts.mart_leaderboard
    where mart_leaderboard.window_days = 90
)

select
    scores.dimension,
    scores.score,
    scores.na_reason,
    scores.role,
    scores.n_markers_met,
    scores.n_markers_applicable,
    scores.applicable_weight_share,
    scores.rubric_version,
    scores.model,
    scores.is_sandbox,
    scores.status,
    scores.scored_at,
    rep_means.rep_mean_score,
    coalesce(rep_means.rep_n_calls, 0) as rep_n_calls
from scores
left join rep_means on scores.dimension = rep_means.dimension and scores.rep_id = rep_means.rep_id
order by scores.dimension
"""

_CRITERIA = """
criteria as (
    select
        fct_criterion_scores.dimension,
        fct_criterion_scores.criterion_id,
        fct_criterion_scores.level,
        fct_criterion_scores.weight,
        fct_criterion_scores.na_reason,
        coalesce(fct_criterion_scores.n_markers_met, 0) as n_markers_met,
        coalesce(fct_criterion_scores.n_markers_applicable, 0) as n_markers_applicable,
        fct_criterion_scores.rubric_version
    from marts.fct_criterion_scores
    inner join visible_reps on fct_criterion_scores.rep_id = visible_reps.rep_id
    inner join marts.fct_calls on fct_criterion_scores.call_id = fct_calls.call_id
    where
        fct_criterion_scores.call_id = %(call_id)s
        and fct_criterion_scores.is_current
        and not fct_calls.is_deleted
)

select * from criteria
order by dimension, criterion_id
"""

_FINDINGS = """
findings as (
    select
        fct_marker_findings.dimension,
        fct_marker_findings.criterion_id,
        fct_marker_findings.marker_id,
        fct_marker_findings.verdict,
        fct_marker_findings.why,
        coalesce(fct_marker_findings.n_evidence, 0) as n_evidence
    from marts.fct_marker_findings
    inner join visible_reps on fct_marker_findings.rep_id = visible_reps.rep_id
    inner join marts.fct_calls on fct_marker_findings.call_id = fct_calls.call_id
    where
        fct_marker_findings.call_id = %(call_id)s
        and fct_marker_findings.is_current
        and not fct_calls.is_deleted
)

select * from findings
order by dimension, criterion_id, marker_id
"""


class NoSuchCallError(LookupError):
    """No call this viewer may see has that id."""

    def __init__(self, call_id: str) -> None:
        super().__init__(
            f"No call '{call_id[:80]}' among the calls you may see. It may be deleted, belong to someone else's team, "
            "or not be loaded yet. Search for it by account, title or words that were said."
        )


def call_head(database: Database, viewer: Viewer, call_id: str) -> CallHead:
    """One call; raise when there is none, in the same words whether it is absent or another team's."""
    found = database.row(viewer, CallHead, _HEAD, {"call_id": call_id, "rep_id": None})
    if found is None:
        raise NoSuchCallError(call_id)
    return found


def latest_calls(
    database: Database, viewer: Viewer, *, rep_id: str | None = None, limit: int = 20, offset: int = 0
) -> Rows[CallHead]:
    """Newest calls first."""
    return database.rows(viewer, CallHead, _HEAD, {"call_id": None, "rep_id": rep_id}, limit=limit, offset=offset)


def call_turns(
    database: Database,
    viewer: Viewer,
    call_id: str,
    *,
    first_turn_id: int = 1,
    last_turn_id: int | None = None,
    limit: int = 5_000,
) -> Rows[Turn]:
    """The transcript, or a stretch of it."""
    parameters = {"call_id": call_id, "first_turn_id": first_turn_id, "last_turn_id": last_turn_id}
    return database.rows(viewer, Turn, _TURNS, parameters, limit=limit)


def call_scores(database: Database, viewer: Viewer, call_id: str) -> Rows[CallScore]:
    """The call's dimensions beside the rep's own mean of 90 days."""
    return database.rows(viewer, CallScore, _SCORES, {"call_id": call_id})


def call_criteria(database: Database, viewer: Viewer, call_id: str) -> Rows[CriterionLevel]:
    return database.rows(viewer, CriterionLevel, _CRITERIA, {"call_id": call_id})


def call_findings(database: Database, viewer: Viewer, call_id: str) -> Rows[Finding]:
    return database.rows(viewer, Finding, _FINDINGS, {"call_id": call_id})
