"""Tools that ask for something to be done: analyses, and changes of the knowledge base."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from streamlit_app.mcp_answers import Answer, fitted
from streamlit_app.mcp_tools.arguments import CallId, Dimension
from streamlit_app.mcp_tools.desk import DeskTools
from streamlit_app.queries.calls import call_head
from streamlit_app.queries.knowledge_proposals import KnowledgeProposal, propose_knowledge
from streamlit_app.queries.marks import (
    AnalysisRequest,
    request_call_analysis,
    request_week_analysis,
)
from streamlit_app.queries.periods import known_day


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


NEXT_STEP = {
    "received": "It waits for a person, who sees it with `call-coach knowledge proposals list`. Scores do not change "
    "until it is accepted and calls are analysed again. Ask again with the same page to learn its state.",
    "accepted": "It is part of the knowledge base. Calls of the next runs are judged by it.",
    "rejected": "It was turned down; `decision_reason` says why. Propose another text if that has changed.",
}


@dataclass(frozen=True)
class RequestTools(DeskTools):
    """What a write scope is for."""

    def batch_analyze_calls(
        self,
        week_start: Annotated[date | None, Field(description="Any day of a week; the whole week is analysed.")] = None,
        call_ids: Annotated[list[CallId] | None, Field(max_length=50, description="Up to 50 calls.")] = None,
        dimensions: Annotated[list[Dimension] | None, Field(max_length=4)] = None,
        force: Annotated[bool, Field(description="Analyse again although scores stand; costs money.")] = False,
    ) -> Answer[RequestState]:
        viewer = self.identity.viewer()
        if (week_start is None) == (not call_ids):
            raise ValueError("Give either week_start or call_ids, not both and not neither.")
        state = self.recent.of(viewer)
        if week_start is not None:
            monday = known_day(week_start) - timedelta(days=week_start.weekday())
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
                **self.envelope(state, None, ["Queued. Scores that already stand cost nothing unless forced."]),
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
    ) -> Answer[KnowledgeProposal]:
        viewer = self.identity.viewer()
        found = propose_knowledge(
            self.database, viewer, document_id=document_id, kind=kind, title=title, body=body, reason=reason
        )
        state = self.recent.of(viewer)
        return fitted(
            Answer[KnowledgeProposal](
                **self.envelope(state, None, [NEXT_STEP[found.rows[0].state]]), rows=list(found), total=len(found)
            )
        )


def _request_state(request: AnalysisRequest) -> RequestState:
    return RequestState(**{name: getattr(request, name) for name in RequestState.model_fields})
