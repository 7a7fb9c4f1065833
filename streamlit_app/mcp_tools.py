"""The coach's tools: each one resolves names and dates, asks the query layer once or twice, and packs the answer."""

import csv
import inspect
import io
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field, ValidationError

from streamlit_app.mcp_answers import (
    Answer,
    QuotedMoment,
    SkillLevel,
    Stretch,
    fitted,
    moment_link,
    quoted,
    read_cursor,
    skill_level,
)
from streamlit_app.mcp_identity import Identity
from streamlit_app.queries.calls import call_criteria, call_head, call_scores
from streamlit_app.queries.coaching_queue import QueuedMoment, coaching_queue
from streamlit_app.queries.costs import Cost, CostGrouping, costs
from streamlit_app.queries.database import Database, Rows, WarehouseError
from streamlit_app.queries.follow_ups import call_brief, call_flags, list_next_steps, list_objections, rhythms
from streamlit_app.queries.freshness import Freshness, freshness
from streamlit_app.queries.leaderboard import Standing, leaderboard
from streamlit_app.queries.marks import (
    AnalysisRequest,
    NotAllowedError,
    propose_knowledge,
    request_call_analysis,
    request_week_analysis,
)
from streamlit_app.queries.metrics import DIMENSION_TITLES, METRICS, METRICS_BY_NAME, MIN_N_SHOW
from streamlit_app.queries.moments import list_moments
from streamlit_app.queries.people import Rep, Team, find_rep, list_reps, list_teams
from streamlit_app.queries.periods import Period, PeriodName, resolve
from streamlit_app.queries.scores import DimensionMean, RepDimension, dimension_means, rep_scored_calls, standings
from streamlit_app.queries.search import FoundCall, search_calls
from streamlit_app.queries.skills import Skill, focus_skill, skills
from streamlit_app.queries.viewer import UnknownViewerError, Viewer
from streamlit_app.rubric_texts import criterion_title
from streamlit_app.texts import clock

CSV_HEADER = "rep_id,rep_name,call_id,title,started_at,dimension,score,rubric_version"
DESCRIPTIONS = Path(__file__).parent / "tool_descriptions"

Dimension = Literal["product_knowledge", "discovery", "objections", "engagement"]
ObjectionType = Literal["price", "timing", "need", "authority", "competitor", "technical", "trust"]
CallType = Literal[
    "discovery", "technical", "demo", "negotiation", "business_review", "onboarding", "check_in", "other"
]
MetricName = Literal[
    "dimension_score",
    "criterion_level",
    "mean_score",
    "rolling_score",
    "trend_signal",
    "leaderboard_score",
    "coverage",
    "quote_verified_rate",
    "talk_ratio",
    "longest_monologue",
    "patience",
    "cost_per_scored_call",
    "cache_hit_rate",
    "agreement_with_managers",
    "interruption_rate",
    "switches_per_min",
    "questions_per_hour",
    "points_to_gain",
    "priority_points",
    "saved_against_no_caching",
    "saved_against_rubric_only",
    "kappa",
    "repeat_score_sd",
]

RepName = Annotated[str, Field(min_length=1, max_length=200, description="A rep's name, e-mail address or id.")]
CallId = Annotated[str, Field(min_length=1, max_length=200, description="A call's id, as search_calls gives it.")]
TeamName = Annotated[str, Field(min_length=1, max_length=200, description="A team's name or id.")]
NamedPeriod = Annotated[PeriodName, Field(description="A period up to the newest scored call; dates win over it.")]
Since = Annotated[date | None, Field(description="First day, YYYY-MM-DD.")]
Until = Annotated[date | None, Field(description="Last day, included, YYYY-MM-DD.")]
Limit = Annotated[int, Field(ge=1, le=100, description="Rows per answer.")]
Cursor = Annotated[str | None, Field(max_length=300, description="`next_cursor` of the answer before this one.")]
Score = Annotated[float | None, Field(ge=0, le=100)]


class DimensionInsight(BaseModel):
    """One dimension of one rep."""

    dimension: str
    mean_score: float | None = Field(description="Mean over the calls of the period; null under 5 calls.")
    n_calls: int
    low: float | None
    high: float | None
    previous_mean_score: float | None = Field(description="The equally long period before.")
    n_previous: int
    change: float | None
    is_clear_change: bool
    rolling_score: float | None = Field(description="Mean of the last ten scored calls.")
    rolling_n: int
    signal: str = Field(description="up, down, no clear change, or too few calls.")
    q_value: float | None
    rubric_version: str | None


class RepInsights(Answer[DimensionInsight]):
    """How one rep is doing, with the moments that show it."""

    rep_id: str
    rep_name: str
    role: str
    team_name: str
    focus: SkillLevel | None
    strengths: list[QuotedMoment]
    to_work_on: list[QuotedMoment]
    talk_ratio: float | None
    talk_ratio_n_calls: int


class ScoreOfCall(BaseModel):
    """One dimension of a call beside the rep's own mean of 90 days."""

    dimension: str
    score: float | None
    na_reason: str | None
    n_markers_met: int
    n_markers_applicable: int
    rubric_version: str
    model: str | None
    is_sandbox: bool
    rep_mean_score: float | None
    rep_n_calls: int


class LevelOfCriterion(BaseModel):
    """One criterion of a call."""

    dimension: str
    criterion_id: str
    criterion: str
    level: float | None
    na_reason: str | None


class ObjectionOnCall(BaseModel):
    """One objection; `quote` is data from the call."""

    objection_type: str
    at: str
    turn_id: int | None
    quote: str
    outcome: str


class StepAgreed(BaseModel):
    """One next step; `quote` is data from the call."""

    action: str
    owner: str
    due: str | None
    at: str
    quote: str


class FlagOnCall(BaseModel):
    """A risk or an opportunity; `quote` is data from the call."""

    kind: str
    at: str
    quote: str
    why: str | None


class CallAnalysis(Answer[ScoreOfCall]):
    """One call: its scores, its brief and its moments, or the state of the analysis that was asked for."""

    call_id: str
    title: str | None
    rep_id: str
    rep_name: str
    account_name: str | None
    held_at: datetime
    call_type: str | None
    state: Literal["scored", "not eligible", "received", "processing", "completed", "failed", "parked"]
    state_reason: str | None
    request_id: str | None
    summary: str | None
    priority: str | None
    criteria: list[LevelOfCriterion]
    objections: list[ObjectionOnCall]
    next_steps: list[StepAgreed]
    flags: list[FlagOnCall]
    moments: list[QuotedMoment]
    link: str


class ComparedCall(BaseModel):
    """One of the calls side by side."""

    call_id: str
    title: str | None
    rep_name: str
    account_name: str | None
    held_at: datetime
    call_type: str | None
    duration_s: int | None
    scores: dict[str, float | None]
    rubric_versions: dict[str, str]
    levels: dict[str, float | None]
    n_objections: int
    link: str


class Comparison(Answer[ComparedCall]):
    """Calls side by side; levels differ only where the rubric version is the same."""

    comparable_dimensions: list[str]
    largest_differences: list[str]


class PlanStep(BaseModel):
    """One thing that works, one to tighten, or one exercise."""

    kind: Literal["keep", "tighten", "exercise"]
    dimension: str
    criterion: str
    mean_level: float | None
    n_applicable: int
    advice: str
    moments: list[QuotedMoment]


class CoachingPlan(Answer[PlanStep]):
    """A draft for a conversation between a manager and a rep."""

    rep_id: str
    rep_name: str
    role: str


class CriterionOverReps(BaseModel):
    """Mean level of one criterion over everyone in scope who has five calls or more."""

    criterion_id: str
    criterion: str
    mean_level: float | None
    n_applicable: int
    n_reps: int
    window_days: int
    rubric_version: str


class ProductKnowledge(Answer[CriterionOverReps]):
    """Product knowledge by criterion, with what was said."""

    scope: str
    mean_score: float | None
    n_calls: int
    strengths: list[QuotedMoment]
    to_work_on: list[QuotedMoment]


class TeamOverview(Answer[DimensionMean]):
    """A team's four dimensions, coverage, and who is moving."""

    team_name: str
    n_calls: int
    n_eligible: int
    n_scored: int
    coverage: float | None
    rising: list[RepDimension]
    falling: list[RepDimension]
    reps: list[str]


class RequestState(BaseModel):
    """An analysis that was asked for."""

    request_id: str
    call_id: str | None
    week_start: date | None
    dimensions: list[str] | None
    is_forced: bool
    status: str
    reason: str | None
    requested_at: datetime


class Report(Answer[str]):
    """A report as Markdown, in lines."""

    title: str
    format: Literal["markdown", "csv"]


class KnowledgeProposal(BaseModel):
    """What became of a proposed change."""

    document_id: str
    state: Literal["received"]
    what_happens_next: str


class Meaning(BaseModel):
    """What a number means."""

    metric: str
    title: str
    definition: str
    unit: str
    grain: str
    when_empty: str
    caution: str
    source: str


@dataclass(frozen=True)
class CoachTools:
    """Every tool is a method; who asks comes from `identity`, never from an argument."""

    database: Database
    identity: Identity
    dashboard_url: str

    def _period(
        self, state: Freshness, name: PeriodName, since: date | None = None, until: date | None = None
    ) -> Period:
        return resolve(name, today=state.window_end or datetime.now().astimezone().date(), since=since, until=until)

    def _team(self, viewer: Viewer, wanted: str | None) -> Team | None:
        if wanted is None:
            return None
        teams = list_teams(self.database, viewer).rows
        needle = wanted.strip().casefold()
        found = [team for team in teams if needle in (team.team_id.casefold(), team.team_name.casefold())] or [
            team for team in teams if needle and needle in team.team_name.casefold()
        ]
        if len(found) != 1:
            names = ", ".join(team.team_name for team in (found or teams)[:10]) or "none"
            raise LookupError(f"No single team '{wanted[:80]}' among those you may see: {names}.")
        return found[0]

    def _quotes(self, viewer: Viewer, *, limit: int, **filters: Any) -> list[QuotedMoment]:
        """At most one moment per turn: the same sentence often speaks for several markers."""
        places: dict[tuple[str, int], QuotedMoment] = {}
        for moment in list_moments(self.database, viewer, limit=limit * 6, **filters):
            places.setdefault((moment.call_id, moment.turn_id), quoted(moment, self.dashboard_url))
        return list(places.values())[:limit]

    def _envelope(self, state: Freshness, period: Period | None = None, notes: Sequence[str] = ()) -> dict[str, Any]:
        return {
            "as_of": state.as_of,
            "is_sandbox": state.has_sandbox,
            "period": Stretch(name=period.name, since=period.since, until=period.until) if period else None,
            "notes": [
                *(["Scores come from the offline stand-in, not from Claude."] if state.has_sandbox else []),
                *notes,
            ],
        }

    def get_rep_insights(
        self,
        rep: RepName,
        period: NamedPeriod = "last_90_days",
        since: Since = None,
        until: Until = None,
        dimension: Dimension | None = None,
    ) -> RepInsights:
        viewer = self.identity.viewer()
        person = find_rep(self.database, viewer, rep)
        state = freshness(self.database, viewer)
        stretch = self._period(state, period, since, until)
        means = {
            row.dimension: row
            for row in dimension_means(
                self.database,
                viewer,
                since=stretch.since,
                until=stretch.until,
                rep_id=person.rep_id,
                dimension=dimension,
            )
        }
        trends = {row.dimension: row for row in standings(self.database, viewer, rep_id=person.rep_id)}
        insights = [
            _insight(name, means.get(name), trends.get(name))
            for name in ("product_knowledge", "discovery", "objections", "engagement")
            if dimension in (None, name) and (name in means or name in trends)
        ]
        focus = focus_skill(skills(self.database, viewer, rep_id=person.rep_id, dimension=dimension))
        rhythm = next(
            iter(rhythms(self.database, viewer, since=stretch.since, until=stretch.until, rep_id=person.rep_id)), None
        )
        filters = {
            "rep_id": person.rep_id,
            "dimension": dimension,
            "since": stretch.since,
            "until": stretch.until,
        }
        notes = ["The focus skill is of the last 90 days; rolling score and signal are of the newest week."]
        if not any(insight.n_calls for insight in insights):
            notes.append("No call of this rep was scored in this period.")
        return fitted(
            RepInsights(
                **self._envelope(state, stretch, notes),
                rows=insights,
                total=len(insights),
                rep_id=person.rep_id,
                rep_name=person.rep_name,
                role=person.role,
                team_name=person.team_name,
                focus=skill_level(focus) if focus else None,
                strengths=self._quotes(viewer, limit=3, polarity="strength", **filters),
                to_work_on=self._quotes(viewer, limit=3, polarity="gap", **filters),
                talk_ratio=rhythm.talk_ratio if rhythm else None,
                talk_ratio_n_calls=rhythm.n_calls if rhythm else 0,
            ),
            list_fields=("strengths", "to_work_on"),
        )

    def search_calls(
        self,
        text: Annotated[
            str | None, Field(max_length=400, description='Words that were said; "quotes" for a phrase.')
        ] = None,
        rep: RepName | None = None,
        team: TeamName | None = None,
        account: Annotated[str | None, Field(max_length=200, description="Part of the account's name.")] = None,
        dimension: Dimension | None = None,
        min_score: Annotated[Score, Field(description="Score in `dimension` of at least this.")] = None,
        max_score: Annotated[Score, Field(description="Score in `dimension` below this.")] = None,
        objection_type: ObjectionType | None = None,
        objection_outcome: Literal["resolved", "parked", "unresolved"] | None = None,
        call_type: CallType | None = None,
        period: NamedPeriod = "all",
        since: Since = None,
        until: Until = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Answer[FoundCall]:
        viewer = self.identity.viewer()
        person = find_rep(self.database, viewer, rep) if rep else None
        chosen_team = self._team(viewer, team)
        state = freshness(self.database, viewer)
        stretch = self._period(state, period, since, until)
        if min_score is not None and max_score is not None and min_score >= max_score:
            raise ValueError("min_score must be below max_score: the range is min_score <= score < max_score.")
        question = {
            "text": text,
            "rep_id": person.rep_id if person else None,
            "team_id": chosen_team.team_id if chosen_team else None,
            "account": account,
            "dimension": dimension,
            "min_score": min_score,
            "max_score": max_score,
            "objection_type": objection_type,
            "objection_outcome": objection_outcome,
            "call_type": call_type,
            **_dates(stretch),
        }
        offset = read_cursor(cursor, question)
        found = search_calls(self.database, viewer, **question, limit=limit, offset=offset, with_total=True)  # type: ignore[arg-type]
        notes = [] if found else ["Nothing fits. Drop a filter, widen the period, or use fewer words."]
        return self._page(Answer[FoundCall], found, state, stretch, offset=offset, question=question, notes=notes)

    def _page(
        self,
        kind: Callable[..., Any],
        found: Rows[Any],
        state: Freshness,
        stretch: Period | None,
        *,
        offset: int,
        question: Mapping[str, Any],
        rows: list[Any] | None = None,
        notes: Sequence[str] = (),
    ) -> Any:
        return fitted(
            kind(
                **self._envelope(state, stretch, notes),
                rows=list(found.rows) if rows is None else rows,
                total=found.total,
                truncated=found.is_truncated,
            ),
            offset=offset,
            question=question,
        )

    def find_moments(
        self,
        text: Annotated[str | None, Field(max_length=400, description="Words said in the quoted turn.")] = None,
        rep: RepName | None = None,
        call_id: CallId | None = None,
        dimension: Dimension | None = None,
        criterion_id: Annotated[str | None, Field(max_length=100)] = None,
        polarity: Literal["strength", "gap"] | None = None,
        said_by: Literal["rep", "customer", "team"] | None = None,
        period: NamedPeriod = "all",
        since: Since = None,
        until: Until = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Answer[QuotedMoment]:
        viewer = self.identity.viewer()
        person = find_rep(self.database, viewer, rep) if rep else None
        if call_id is not None:
            call_head(self.database, viewer, call_id)
        state = freshness(self.database, viewer)
        stretch = self._period(state, period, since, until)
        question = {
            "text": text,
            "rep_id": person.rep_id if person else None,
            "call_id": call_id,
            "dimension": dimension,
            "criterion_id": criterion_id,
            "polarity": polarity,
            "side": said_by,
            **_dates(stretch),
        }
        offset = read_cursor(cursor, question)
        found = list_moments(self.database, viewer, **question, limit=limit, offset=offset, with_total=True)  # type: ignore[arg-type]
        return self._page(
            Answer[QuotedMoment],
            found,
            state,
            stretch,
            offset=offset,
            question=question,
            rows=[quoted(moment, self.dashboard_url) for moment in found],
            notes=[] if found else ["Nothing fits. Drop a filter, widen the period, or use fewer words."],
        )

    def analyze_call(
        self,
        call_id: CallId,
        force: Annotated[
            bool, Field(description="Have it analysed again although it has scores; costs money.")
        ] = False,
    ) -> CallAnalysis:
        viewer = self.identity.viewer()
        head = call_head(self.database, viewer, call_id)
        state = freshness(self.database, viewer)
        scores = call_scores(self.database, viewer, call_id)
        request: AnalysisRequest | None = None
        if force or (head.is_eligible and not head.is_scored):
            request = request_call_analysis(self.database, viewer, call_id, is_forced=force, via="mcp")
        brief = call_brief(self.database, viewer, call_id)
        status: Any = request.status if request else "scored" if head.is_scored else "not eligible"
        notes = ["Up to 30 moments; find_moments with this call_id gives all of them."]
        if request:
            notes.append("The analysis was queued; ask again in a few minutes.")
        return fitted(
            CallAnalysis(
                **self._envelope(state, None, notes),
                rows=[
                    ScoreOfCall(**{name: getattr(score, name) for name in ScoreOfCall.model_fields}) for score in scores
                ],
                total=len(scores),
                call_id=head.call_id,
                title=head.title,
                rep_id=head.rep_id,
                rep_name=head.rep_name,
                account_name=head.account_name,
                held_at=head.started_at,
                call_type=head.call_type,
                state=status,
                state_reason=request.reason if request else head.ineligible_reason,
                request_id=request.request_id if request else None,
                summary=brief.summary if brief else None,
                priority=brief.priority if brief else None,
                criteria=[
                    LevelOfCriterion(
                        dimension=row.dimension,
                        criterion_id=row.criterion_id,
                        criterion=criterion_title(row.criterion_id),
                        level=row.level,
                        na_reason=row.na_reason,
                    )
                    for row in call_criteria(self.database, viewer, call_id)
                ],
                objections=[
                    ObjectionOnCall(
                        objection_type=row.objection_type,
                        at=clock(row.start_ms),
                        turn_id=row.turn_id,
                        quote=row.quote,
                        outcome=row.outcome,
                    )
                    for row in list_objections(self.database, viewer, call_id=call_id)
                ],
                next_steps=[
                    StepAgreed(action=row.action, owner=row.owner, due=row.due, at=clock(row.start_ms), quote=row.quote)
                    for row in list_next_steps(self.database, viewer, call_id=call_id)
                ],
                flags=[
                    FlagOnCall(kind=row.kind, at=clock(row.start_ms), quote=row.quote, why=row.why)
                    for row in call_flags(self.database, viewer, call_id)
                ],
                moments=[
                    quoted(moment, self.dashboard_url)
                    for moment in list_moments(self.database, viewer, call_id=call_id, limit=30)
                ],
                link=moment_link(self.dashboard_url, call_id),
            ),
            list_fields=("moments", "objections", "flags", "next_steps"),
        )

    def compare_calls(
        self,
        call_ids: Annotated[list[CallId], Field(min_length=2, max_length=4, description="Two to four calls.")],
    ) -> Comparison:
        viewer = self.identity.viewer()
        if len(set(call_ids)) != len(call_ids):
            raise ValueError("The same call is named twice. Give two to four different calls.")
        state = freshness(self.database, viewer)
        compared = [self._compared(viewer, call_id) for call_id in call_ids]
        versions = [call.rubric_versions for call in compared]
        comparable = sorted(
            dimension for dimension in versions[0] if len({found.get(dimension) for found in versions}) == 1
        )
        differing = sorted({name for found in versions for name in found} - set(comparable))
        notes = (
            [f"Not compared, because the rubric version differs or is missing: {', '.join(differing)}."]
            if differing
            else []
        )
        return fitted(
            Comparison(
                **self._envelope(state, None, notes),
                rows=compared,
                total=len(compared),
                comparable_dimensions=comparable,
                largest_differences=_differences(compared, comparable),
            )
        )

    def _compared(self, viewer: Viewer, call_id: str) -> ComparedCall:
        head = call_head(self.database, viewer, call_id)
        scores = call_scores(self.database, viewer, call_id)
        return ComparedCall(
            call_id=head.call_id,
            title=head.title,
            rep_name=head.rep_name,
            account_name=head.account_name,
            held_at=head.started_at,
            call_type=head.call_type,
            duration_s=head.duration_s,
            scores={score.dimension: score.score for score in scores},
            rubric_versions={score.dimension: score.rubric_version for score in scores},
            levels={row.criterion_id: row.level for row in call_criteria(self.database, viewer, call_id)},
            n_objections=len(list_objections(self.database, viewer, call_id=call_id)),
            link=moment_link(self.dashboard_url, call_id),
        )

    def analyze_product_knowledge(
        self,
        rep: RepName | None = None,
        team: TeamName | None = None,
        period: NamedPeriod = "last_90_days",
        since: Since = None,
        until: Until = None,
    ) -> ProductKnowledge:
        viewer = self.identity.viewer()
        person = find_rep(self.database, viewer, rep) if rep else None
        chosen_team = self._team(viewer, team)
        state = freshness(self.database, viewer)
        stretch = self._period(state, period, since, until)
        dates = {"since": stretch.since, "until": stretch.until}
        scope = {
            "rep_id": person.rep_id if person else None,
            "team_id": chosen_team.team_id if chosen_team else None,
        }
        levels = skills(
            self.database,
            viewer,
            dimension="product_knowledge",
            rep_id=scope["rep_id"],
            team_id=scope["team_id"],
        )
        mean = next(
            iter(dimension_means(self.database, viewer, dimension="product_knowledge", **scope, **dates)),  # type: ignore[arg-type]
            None,
        )
        filters = {"rep_id": scope["rep_id"], "dimension": "product_knowledge", **dates}
        return fitted(
            ProductKnowledge(
                **self._envelope(state, stretch),
                rows=_by_criterion(levels),
                scope=person.rep_name if person else chosen_team.team_name if chosen_team else "everyone you may see",
                mean_score=mean.mean_score if mean else None,
                n_calls=mean.n_calls if mean else 0,
                strengths=self._quotes(viewer, limit=3, polarity="strength", **filters),
                to_work_on=self._quotes(viewer, limit=5, polarity="gap", **filters),
            ),
            list_fields=("to_work_on", "strengths"),
        )

    def get_coaching_plan(
        self, rep: RepName, period: NamedPeriod = "last_90_days", since: Since = None, until: Until = None
    ) -> CoachingPlan:
        viewer = self.identity.viewer()
        person = find_rep(self.database, viewer, rep)
        state = freshness(self.database, viewer)
        stretch = self._period(state, period, since, until)
        dates = {"since": stretch.since, "until": stretch.until}
        known = [row for row in skills(self.database, viewer, rep_id=person.rep_id) if row.mean_level is not None]
        best = sorted(known, key=lambda row: (-(row.mean_level or 0), row.criterion_id))[:3]
        gaps = [
            row
            for row in sorted(known, key=lambda row: (-(row.points_to_gain or 0), row.criterion_id))
            if row not in best
        ]
        steps = [self._step(viewer, "keep", row, "strength", dates) for row in best] + [
            self._step(viewer, "tighten", row, "gap", dates) for row in gaps[:2]
        ]
        if gaps:
            steps.append(self._step(viewer, "exercise", gaps[0], "gap", dates))
        notes = ["A draft for the manager to edit; it is sent to nobody."]
        if not known:
            notes.append(
                f"No criterion has {MIN_N_SHOW} scored calls in this period, so there is nothing to advise on."
            )
        return fitted(
            CoachingPlan(
                **self._envelope(state, stretch, notes),
                rows=steps,
                total=len(steps),
                rep_id=person.rep_id,
                rep_name=person.rep_name,
                role=person.role,
            )
        )

    def _step(self, viewer: Viewer, kind: Any, skill: Any, polarity: str, dates: Mapping[str, Any]) -> PlanStep:
        title = criterion_title(skill.criterion_id)
        moments = self._quotes(
            viewer, limit=1, rep_id=skill.rep_id, criterion_id=skill.criterion_id, polarity=polarity, **dates
        )
        suggestion = next((moment.suggestion for moment in moments if moment.suggestion), None)
        advice = {
            "keep": f"Keep doing this: {title}.",
            "tighten": suggestion or f"Tighten: {title}.",
            "exercise": f"Before the next call, prepare two sentences for “{title}” and use one of them"
            + (f", for example: {suggestion}" if suggestion else "."),
        }[kind]
        return PlanStep(
            kind=kind,
            dimension=skill.dimension,
            criterion=title,
            mean_level=skill.mean_level,
            n_applicable=skill.n_applicable,
            advice=advice,
            moments=[] if kind == "exercise" else moments,
        )

    def get_team_overview(
        self,
        team: TeamName | None = None,
        period: NamedPeriod = "last_28_days",
        since: Since = None,
        until: Until = None,
    ) -> TeamOverview:
        viewer = self.identity.viewer()
        chosen_team = self._team(viewer, team)
        team_id = chosen_team.team_id if chosen_team else None
        state = freshness(self.database, viewer, team_id=team_id)
        stretch = self._period(state, period, since, until)
        means = dimension_means(self.database, viewer, since=stretch.since, until=stretch.until, team_id=team_id)
        trends = standings(self.database, viewer, team_id=team_id)
        return fitted(
            TeamOverview(
                **self._envelope(state, stretch, ["Coverage and call counts are of the last 28 days."]),
                rows=list(means),
                total=len(means),
                team_name=chosen_team.team_name if chosen_team else "everyone you may see",
                n_calls=state.n_calls,
                n_eligible=state.n_eligible,
                n_scored=state.n_scored,
                coverage=state.coverage,
                rising=[row for row in trends if row.signal == "up"][:10],
                falling=[row for row in trends if row.signal == "down"][:10],
                reps=list(dict.fromkeys(row.rep_name for row in trends)),
            ),
            list_fields=("rising", "falling", "reps"),
        )

    def get_leaderboard(
        self,
        dimension: Dimension,
        window_days: Literal[28, 90] = 90,
        team: TeamName | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Answer[Standing]:
        viewer = self.identity.viewer()
        chosen_team = self._team(viewer, team)
        state = freshness(self.database, viewer)
        question = {
            "dimension": dimension,
            "window_days": window_days,
            "team_id": chosen_team.team_id if chosen_team else None,
        }
        offset = read_cursor(cursor, question)
        found = leaderboard(self.database, viewer, **question, limit=limit, offset=offset, with_total=True)  # type: ignore[arg-type]
        notes = ["Read tiers and intervals, not places: reps of one tier cannot be told apart."]
        stretch = self._period(state, "last_28_days" if window_days == 28 else "last_90_days")
        return self._page(Answer[Standing], found, state, stretch, offset=offset, question=question, notes=notes)

    def get_coaching_queue(
        self,
        rep: RepName | None = None,
        team: TeamName | None = None,
        dimension: Dimension | None = None,
        state: Literal["open", "snoozed", "done"] = "open",
        limit: Limit = 10,
        cursor: Cursor = None,
    ) -> Answer[QueuedMoment]:
        viewer = self.identity.viewer()
        person = find_rep(self.database, viewer, rep) if rep else None
        chosen_team = self._team(viewer, team)
        fresh = freshness(self.database, viewer)
        question = {
            "state": state,
            "rep_id": person.rep_id if person else None,
            "team_id": chosen_team.team_id if chosen_team else None,
            "dimension": dimension,
        }
        offset = read_cursor(cursor, question)
        found = coaching_queue(self.database, viewer, **question, limit=limit, offset=offset, with_total=True)  # type: ignore[arg-type]
        notes = ["Moments of the last 28 days, the most rewarding first; `reason` says why."]
        stretch = self._period(fresh, "last_28_days")
        return self._page(Answer[QueuedMoment], found, fresh, stretch, offset=offset, question=question, notes=notes)

    def get_cost_report(
        self,
        period: NamedPeriod = "last_28_days",
        since: Since = None,
        until: Until = None,
        group_by: CostGrouping = "total",
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Answer[Cost]:
        viewer = self.identity.viewer()
        if not viewer.sees_a_team:
            raise NotAllowedError("Costs are shown to managers, leaders and admins.")
        state = freshness(self.database, viewer)
        today = datetime.now().astimezone().date()
        stretch = resolve(period, today=today, since=since, until=until)
        question = {"group_by": group_by, "since": stretch.since, "until": stretch.until}
        offset = read_cursor(cursor, question)
        found = costs(self.database, viewer, **question, limit=limit, offset=offset, with_total=True)  # type: ignore[arg-type]
        notes = ["Sandbox and paid requests are separate rows and are never added up."]
        return self._page(Answer[Cost], found, state, stretch, offset=offset, question=question, notes=notes)

    def describe_metric(self, metric: MetricName | None = None) -> Answer[Meaning]:
        viewer = self.identity.viewer()
        state = freshness(self.database, viewer)
        chosen = METRICS if metric is None else (METRICS_BY_NAME[metric],)
        return fitted(
            Answer[Meaning](
                **self._envelope(state),
                rows=[Meaning(**vars(definition)) for definition in chosen],
                total=len(chosen),
            )
        )

    def batch_analyze_calls(
        self,
        week_start: Annotated[date | None, Field(description="Any day of a week; the whole week is analysed.")] = None,
        call_ids: Annotated[list[CallId] | None, Field(max_length=50, description="Up to 50 calls.")] = None,
        dimensions: list[Dimension] | None = None,
        force: Annotated[bool, Field(description="Analyse again although scores stand; costs money.")] = False,
    ) -> Answer[RequestState]:
        viewer = self.identity.viewer()
        if (week_start is None) == (not call_ids):
            raise ValueError("Give either week_start or call_ids, not both and not neither.")
        state = freshness(self.database, viewer)
        if week_start is not None:
            monday = week_start - timedelta(days=week_start.weekday())
            asked = [
                request_week_analysis(self.database, viewer, monday, dimensions=dimensions, is_forced=force, via="mcp")
            ]
        else:
            wanted = list(dict.fromkeys(call_ids or ()))
            for call_id in wanted:
                call_head(self.database, viewer, call_id)
            asked = [
                request_call_analysis(self.database, viewer, call_id, dimensions=dimensions, is_forced=force, via="mcp")
                for call_id in wanted
            ]
        return fitted(
            Answer[RequestState](
                **self._envelope(state, None, ["Queued. Scores that already stand cost nothing unless forced."]),
                rows=[_request_state(request) for request in asked],
                total=len(asked),
            )
        )

    def update_knowledge_base(
        self,
        document_id: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9_\-/]*$")],
        kind: Literal["product", "competitor"],
        title: Annotated[str, Field(min_length=3, max_length=200)],
        body: Annotated[str, Field(min_length=20, max_length=20_000, description="The page as Markdown.")],
        reason: Annotated[
            str, Field(min_length=10, max_length=1_000, description="What changed and where it is stated.")
        ],
    ) -> KnowledgeProposal:
        viewer = self.identity.viewer()
        propose_knowledge(
            self.database, viewer, document_id=document_id, kind=kind, title=title, body=body, reason=reason
        )
        return KnowledgeProposal(
            document_id=document_id,
            state="received",
            what_happens_next="A person reviews the proposal. Scores do not change until it is accepted and calls are "
            "analysed again.",
        )

    async def export_coaching_report(
        self,
        ctx: Context,
        rep: RepName | None = None,
        team: TeamName | None = None,
        period: NamedPeriod = "last_90_days",
        since: Since = None,
        until: Until = None,
        format: Annotated[
            Literal["markdown", "csv"], Field(description="csv: one line per call and dimension.")
        ] = "markdown",
        cursor: Cursor = None,
    ) -> Report:
        if (rep is None) == (team is None):
            raise ValueError("Name either a rep or a team.")
        viewer = await to_thread.run_sync(self.identity.viewer)
        state = await to_thread.run_sync(lambda: freshness(self.database, viewer))
        stretch = self._period(state, period, since, until)
        if rep is not None:
            chosen = await to_thread.run_sync(lambda: find_rep(self.database, viewer, rep))
            reps, title = [chosen], chosen.rep_name
        else:
            found = await to_thread.run_sync(lambda: self._team(viewer, team))
            team_id, title = (found.team_id, found.team_name) if found else (None, "everyone")
            reps = list(await to_thread.run_sync(lambda: list_reps(self.database, viewer, team_id=team_id)))
        question = {
            "reps": [person.rep_id for person in reps],
            "since": stretch.since,
            "until": stretch.until,
            "format": format,
        }
        offset = read_cursor(cursor, question)
        lines: list[str] = [] if format == "markdown" else [CSV_HEADER]
        for nth, person in enumerate(reps):
            await ctx.report_progress(nth, len(reps), f"reading {person.rep_name}")
            section = self._markdown_section if format == "markdown" else self._csv_lines
            lines += await to_thread.run_sync(section, viewer, person, stretch)
        await ctx.report_progress(len(reps), len(reps), "done")
        return fitted(
            Report(
                **self._envelope(state, stretch, ["A draft. Scores are for coaching, not for pay or dismissal."]),
                rows=lines[offset:],
                total=len(lines),
                title=f"Coaching report: {title}, {stretch.since} to {stretch.until}",
                format=format,
            ),
            offset=offset,
            question=question,
        )

    def _markdown_section(self, viewer: Viewer, person: Rep, stretch: Period) -> list[str]:
        means = dimension_means(self.database, viewer, since=stretch.since, until=stretch.until, rep_id=person.rep_id)
        trends = {row.dimension: row for row in standings(self.database, viewer, rep_id=person.rep_id)}
        lines = [f"## {person.rep_name} ({person.role}, {person.team_name})", ""]
        for mean in means:
            trend = trends.get(mean.dimension)
            value = "too few calls" if mean.mean_score is None else f"{mean.mean_score:.1f} ({mean.low} to {mean.high})"
            lines.append(
                f"- {DIMENSION_TITLES[mean.dimension]}: {value}, n = {mean.n_calls}, trend: "
                f"{trend.signal if trend else 'too few calls'}, rubric {mean.rubric_version}"
            )
        for heading, polarity in (("Works", "strength"), ("To tighten", "gap")):
            lines += ["", f"### {heading}", ""]
            for moment in self._quotes(
                viewer, limit=3, rep_id=person.rep_id, polarity=polarity, since=stretch.since, until=stretch.until
            ):
                lines.append(f"- “{moment.quote}” ({moment.criterion}, {moment.at}, {moment.link})")
        return [*lines, ""]

    def _csv_lines(self, viewer: Viewer, person: Rep, stretch: Period) -> list[str]:
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n")
        for call in rep_scored_calls(self.database, viewer, person.rep_id, since=stretch.since):
            if call.started_at.date() <= stretch.until:
                # a leading sign would be a formula to a spreadsheet
                title = re.sub(r"^([=+\-@\t\r])", r"'\1", call.title or "")
                writer.writerow(
                    [
                        person.rep_id,
                        person.rep_name,
                        call.call_id,
                        title,
                        call.started_at.isoformat(),
                        call.dimension,
                        "" if call.score is None else call.score,
                        call.rubric_version,
                    ]
                )
        return written.getvalue().splitlines()


def _dates(stretch: Period) -> dict[str, date | None]:
    """No bounds for all of time: a bound that excludes nothing still costs."""
    return {"since": None, "until": None} if stretch.name == "all" else {"since": stretch.since, "until": stretch.until}


def _insight(name: str, mean: DimensionMean | None, trend: RepDimension | None) -> DimensionInsight:
    return DimensionInsight(
        dimension=name,
        mean_score=mean.mean_score if mean else None,
        n_calls=mean.n_calls if mean else 0,
        low=mean.low if mean else None,
        high=mean.high if mean else None,
        previous_mean_score=mean.previous_mean_score if mean else None,
        n_previous=mean.n_previous if mean else 0,
        change=mean.change if mean else None,
        is_clear_change=mean.is_clear_change if mean else False,
        rolling_score=trend.rolling_score if trend else None,
        rolling_n=trend.rolling_n if trend else 0,
        signal=trend.signal if trend else "too few calls",
        q_value=trend.q_value if trend else None,
        rubric_version=trend.rubric_version if trend else None,
    )


def _by_criterion(levels: Iterable[Skill]) -> list[CriterionOverReps]:
    """One row per criterion over several reps, each rep's mean weighing as much as its calls."""
    grouped: dict[str, list[Skill]] = {}
    for row in levels:
        grouped.setdefault(row.criterion_id, []).append(row)
    found = []
    for criterion_id, rows in sorted(grouped.items()):
        known = [row for row in rows if row.mean_level is not None]
        n_calls = sum(row.n_applicable for row in known)
        found.append(
            CriterionOverReps(
                criterion_id=criterion_id,
                criterion=criterion_title(criterion_id),
                mean_level=round(sum((row.mean_level or 0) * row.n_applicable for row in known) / n_calls, 2)
                if n_calls
                else None,
                n_applicable=n_calls,
                n_reps=len(known),
                window_days=rows[0].window_days,
                rubric_version=rows[0].rubric_version,
            )
        )
    return found


def _differences(compared: Sequence[ComparedCall], comparable: Sequence[str]) -> list[str]:
    first, second = compared[0], compared[1]
    found = []
    for dimension in comparable:
        one, other = first.scores.get(dimension), second.scores.get(dimension)
        if one is not None and other is not None:
            found.append((abs(one - other), f"{dimension}: {one:.0f} against {other:.0f}"))
    return [text for _, text in sorted(found, key=lambda pair: -pair[0])]


def _request_state(request: AnalysisRequest) -> RequestState:
    return RequestState(**{name: getattr(request, name) for name in RequestState.model_fields})


READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
ASKS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
PROPOSES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)

# in the order a model should meet them; the same order in every listing keeps prompts cacheable
TOOLS: tuple[tuple[str, str, ToolAnnotations], ...] = (
    ("analyze_call", "Analyze a call", ASKS),
    ("get_rep_insights", "Rep insights", READS),
    ("search_calls", "Search calls", READS),
    ("find_moments", "Find quoted moments", READS),
    ("compare_calls", "Compare calls", READS),
    ("get_coaching_plan", "Coaching plan", READS),
    ("get_coaching_queue", "Coaching queue", READS),
    ("get_team_overview", "Team overview", READS),
    ("get_leaderboard", "Leaderboard", READS),
    ("analyze_product_knowledge", "Product knowledge", READS),
    ("export_coaching_report", "Coaching report", READS),
    ("get_cost_report", "Cost report", READS),
    ("describe_metric", "Describe a metric", READS),
    ("batch_analyze_calls", "Analyze many calls", ASKS),
    ("update_knowledge_base", "Propose knowledge", PROPOSES),
)


# what a person did wrong or has to wait for: told to the model as it is, and no traceback in the log
EXPLAINED = (WarehouseError, UnknownViewerError, NotAllowedError, LookupError, ValueError)


def _explained(tool: Callable[..., Any]) -> Callable[..., Any]:
    """The tool with its expected failures as tool errors, raised before the framework logs them as crashes."""
    if inspect.iscoroutinefunction(tool):

        @wraps(tool)
        async def answered(*arguments: Any, **named: Any) -> Any:
            try:
                return await tool(*arguments, **named)
            except ValidationError:
                # our own answer does not fit its type: a fault to mask, though it is a ValueError too
                raise
            except EXPLAINED as error:
                raise ToolError(str(error), log_level=logging.DEBUG) from error

        return answered

    @wraps(tool)
    def answer(*arguments: Any, **named: Any) -> Any:
        try:
            return tool(*arguments, **named)
        except ValidationError:
            raise
        except EXPLAINED as error:
            raise ToolError(str(error), log_level=logging.DEBUG) from error

    return answer


def description_of(tool: str) -> str:
    """What the model reads about a tool."""
    return (DESCRIPTIONS / f"{tool}.md").read_text(encoding="utf-8").strip()


def register(server: FastMCP, tools: CoachTools) -> None:
    """Every tool under its name, with its annotations and its description file."""
    for name, title, annotations in TOOLS:
        server.tool(
            _explained(getattr(tools, name)),
            name=name,
            title=title,
            description=description_of(name),
            annotations=annotations.model_copy(update={"title": title}),
            timeout=20.0,
        )
