"""The tool that tells about one call, and asks for its analysis where there is none."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from streamlit_app.mcp_answers import (
    Answer,
    QuotedMoment,
    StatementMade,
    fitted,
    moment_link,
    quoted,
    statement_made,
)
from streamlit_app.mcp_tools.arguments import CallId
from streamlit_app.mcp_tools.desk import DeskTools
from streamlit_app.queries.calls import call_criteria, call_head, call_scores
from streamlit_app.queries.follow_ups import call_brief, call_flags, list_next_steps, list_objections
from streamlit_app.queries.marks import AnalysisRequest, request_call_analysis
from streamlit_app.queries.moments import list_moments
from streamlit_app.queries.statements import list_statements
from streamlit_app.rubric_texts import criterion_title
from streamlit_app.texts import clock


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
    statements: list[StatementMade] = Field(description="What was said about the product, wrong ones first.")
    link: str


@dataclass(frozen=True)
class AnalysisTools(DeskTools):
    """One call in full."""

    def analyze_call(
        self,
        call_id: CallId,
        force: Annotated[
            bool, Field(description="Have it analysed again although it has scores; costs money.")
        ] = False,
    ) -> CallAnalysis:
        viewer = self.identity.viewer()
        head = call_head(self.database, viewer, call_id)
        state = self.recent.of(viewer)
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
                **self.envelope(state, None, notes),
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
                statements=[
                    statement_made(statement, self.dashboard_url)
                    for statement in list_statements(self.database, viewer, call_id=call_id)
                ],
                link=moment_link(self.dashboard_url, call_id),
            ),
            list_fields=("moments", "statements", "objections", "flags", "next_steps"),
        )
