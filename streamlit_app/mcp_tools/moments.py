"""Tools about quoted moments: find them, and which ones deserve time."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from streamlit_app.mcp_answers import (
    CONTEXT_CHARACTERS,
    Answer,
    QuotedMoment,
    quoted,
    read_cursor,
)
from streamlit_app.mcp_tools.arguments import (
    CallId,
    Cursor,
    Dimension,
    Limit,
    NamedPeriod,
    RepName,
    Since,
    TeamName,
    Until,
)
from streamlit_app.mcp_tools.desk import DeskTools, dates_of
from streamlit_app.queries.calls import call_head
from streamlit_app.queries.coaching_queue import QueuedMoment, coaching_queue
from streamlit_app.queries.moments import list_moments
from streamlit_app.queries.people import find_rep
from streamlit_app.texts import excerpt


@dataclass(frozen=True)
class MomentTools(DeskTools):
    """Moments by what was said, and the queue of those worth a talk."""

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
        state = self.recent.of(viewer)
        stretch = self.stretch(state, period, since, until)
        question = {
            "text": text,
            "rep_id": person.rep_id if person else None,
            "call_id": call_id,
            "dimension": dimension,
            "criterion_id": criterion_id,
            "polarity": polarity,
            "side": said_by,
            **dates_of(stretch),
        }
        offset = read_cursor(cursor, question)
        found = list_moments(self.database, viewer, **question, limit=limit, offset=offset, with_total=True)  # type: ignore[arg-type]
        return self.page(
            Answer[QuotedMoment],
            found,
            state,
            stretch,
            offset=offset,
            question=question,
            rows=[quoted(moment, self.dashboard_url) for moment in found],
            notes=[] if found else ["Nothing fits. Drop a filter, widen the period, or use fewer words."],
        )

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
        chosen_team = self.team(viewer, team)
        fresh = self.recent.of(viewer)
        question = {
            "state": state,
            "rep_id": person.rep_id if person else None,
            "team_id": chosen_team.team_id if chosen_team else None,
            "dimension": dimension,
        }
        offset = read_cursor(cursor, question)
        found = coaching_queue(self.database, viewer, **question, limit=limit, offset=offset, with_total=True)  # type: ignore[arg-type]
        notes = ["Moments of the last 28 days, the most rewarding first; `reason` says why."]
        stretch = self.stretch(fresh, "last_28_days")
        rows = [
            replace(row, customer_said=excerpt(row.customer_said, CONTEXT_CHARACTERS)) if row.customer_said else row
            for row in found
        ]
        return self.page(
            Answer[QueuedMoment], found, fresh, stretch, offset=offset, question=question, rows=rows, notes=notes
        )
