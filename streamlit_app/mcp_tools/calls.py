"""Tools about several calls: search them, compare a few."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from streamlit_app.mcp_answers import Answer, fitted, moment_link, read_cursor
from streamlit_app.mcp_tools.arguments import (
    CallId,
    CallType,
    Cursor,
    Dimension,
    Limit,
    NamedPeriod,
    ObjectionType,
    RepName,
    Score,
    Since,
    TeamName,
    Until,
)
from streamlit_app.mcp_tools.desk import DeskTools, dates_of
from streamlit_app.queries.calls import call_criteria, call_head, call_scores
from streamlit_app.queries.follow_ups import list_objections
from streamlit_app.queries.people import find_rep
from streamlit_app.queries.search import FoundCall, search_calls
from streamlit_app.queries.viewer import Viewer


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


@dataclass(frozen=True)
class CallTools(DeskTools):
    """Calls by what was said and scored, and side by side."""

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
        chosen_team = self.team(viewer, team)
        state = self.recent.of(viewer)
        stretch = self.stretch(state, period, since, until)
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
            **dates_of(stretch),
        }
        offset = read_cursor(cursor, question)
        found = search_calls(self.database, viewer, **question, limit=limit, offset=offset, with_total=True)  # type: ignore[arg-type]
        notes = [] if found else ["Nothing fits. Drop a filter, widen the period, or use fewer words."]
        return self.page(Answer[FoundCall], found, state, stretch, offset=offset, question=question, notes=notes)

    def compare_calls(
        self,
        call_ids: Annotated[list[CallId], Field(min_length=2, max_length=4, description="Two to four calls.")],
    ) -> Comparison:
        viewer = self.identity.viewer()
        if len(set(call_ids)) != len(call_ids):
            raise ValueError("The same call is named twice. Give two to four different calls.")
        state = self.recent.of(viewer)
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
                **self.envelope(state, None, notes),
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


def _differences(compared: Sequence[ComparedCall], comparable: Sequence[str]) -> list[str]:
    first, second = compared[0], compared[1]
    found = []
    for dimension in comparable:
        one, other = first.scores.get(dimension), second.scores.get(dimension)
        if one is not None and other is not None:
            found.append((abs(one - other), f"{dimension}: {one:.0f} against {other:.0f}"))
    return [text for _, text in sorted(found, key=lambda pair: -pair[0])]
