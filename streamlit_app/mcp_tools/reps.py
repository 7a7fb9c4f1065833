"""Tools about one rep: how it goes, and what to talk about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from streamlit_app.mcp_answers import (
    Answer,
    QuotedMoment,
    SkillLevel,
    fitted,
    skill_level,
)
from streamlit_app.mcp_tools.arguments import Dimension, NamedPeriod, RepName, Since, Until
from streamlit_app.mcp_tools.desk import DeskTools
from streamlit_app.queries.follow_ups import rhythms
from streamlit_app.queries.metrics import MIN_N_SHOW
from streamlit_app.queries.people import find_rep
from streamlit_app.queries.scores import DimensionMean, RepDimension, dimension_means, standings
from streamlit_app.queries.skills import focus_skill, skills
from streamlit_app.queries.viewer import Viewer
from streamlit_app.rubric_texts import criterion_title


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


class PlanStep(BaseModel):
    """One thing that works, one to tighten, or one exercise."""

    kind: Literal["keep", "tighten", "exercise"]
    dimension: str
    criterion: str
    mean_level: float | None = Field(description="1 to 5, over `window_days` up to the newest scored call.")
    n_applicable: int
    window_days: int
    rubric_version: str
    advice: str
    moments: list[QuotedMoment]


class CoachingPlan(Answer[PlanStep]):
    """A draft for a conversation between a manager and a rep."""

    rep_id: str
    rep_name: str
    role: str


@dataclass(frozen=True)
class RepTools(DeskTools):
    """One rep at a time."""

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
        state = self.recent.of(viewer)
        stretch = self.stretch(state, period, since, until)
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
                **self.envelope(state, stretch, notes),
                rows=insights,
                total=len(insights),
                rep_id=person.rep_id,
                rep_name=person.rep_name,
                role=person.role,
                team_name=person.team_name,
                focus=skill_level(focus) if focus else None,
                strengths=self.quotes(viewer, limit=3, polarity="strength", **filters),
                to_work_on=self.quotes(viewer, limit=3, polarity="gap", **filters),
                talk_ratio=rhythm.talk_ratio if rhythm else None,
                talk_ratio_n_calls=rhythm.n_calls if rhythm else 0,
            ),
            list_fields=("strengths", "to_work_on"),
        )

    def get_coaching_plan(
        self, rep: RepName, period: NamedPeriod = "last_90_days", since: Since = None, until: Until = None
    ) -> CoachingPlan:
        viewer = self.identity.viewer()
        person = find_rep(self.database, viewer, rep)
        state = self.recent.of(viewer)
        stretch = self.stretch(state, period, since, until)
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
                **self.envelope(state, stretch, notes),
                rows=steps,
                total=len(steps),
                rep_id=person.rep_id,
                rep_name=person.rep_name,
                role=person.role,
            )
        )

    def _step(self, viewer: Viewer, kind: Any, skill: Any, polarity: str, dates: Mapping[str, Any]) -> PlanStep:
        title = criterion_title(skill.criterion_id)
        moments = self.quotes(
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
            window_days=skill.window_days,
            rubric_version=skill.rubric_version,
            advice=advice,
            moments=[] if kind == "exercise" else moments,
        )


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
