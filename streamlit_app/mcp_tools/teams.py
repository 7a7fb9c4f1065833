"""Tools about several reps: the team this month, tiers, and what it knows of the product."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field

from streamlit_app.mcp_answers import (
    Answer,
    QuotedMoment,
    StatementMade,
    fitted,
    read_cursor,
    statement_made,
)
from streamlit_app.mcp_tools.arguments import Cursor, Dimension, Limit, NamedPeriod, RepName, Since, TeamName, Until
from streamlit_app.mcp_tools.desk import DeskTools
from streamlit_app.queries.leaderboard import Standing, leaderboard
from streamlit_app.queries.people import find_rep
from streamlit_app.queries.scores import DimensionMean, RepDimension, dimension_means, standings
from streamlit_app.queries.skills import Skill, skills
from streamlit_app.queries.statements import sample_statements
from streamlit_app.rubric_texts import criterion_title

STATEMENTS = 5


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
    rubric_version: str | None = Field(description="Of the mean; each level names its own.")
    n_calls_with_statements: int
    n_correct: int
    n_inaccurate: int
    n_missed: int = Field(description="Customers' sentences that the knowledge base would have answered.")
    inaccurate: list[StatementMade]
    missed: list[StatementMade]
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


@dataclass(frozen=True)
class TeamTools(DeskTools):
    """A team, or everyone the viewer may see."""

    def get_team_overview(
        self,
        team: TeamName | None = None,
        period: NamedPeriod = "last_28_days",
        since: Since = None,
        until: Until = None,
    ) -> TeamOverview:
        viewer = self.identity.viewer()
        chosen_team = self.team(viewer, team)
        team_id = chosen_team.team_id if chosen_team else None
        state = self.recent.of(viewer, team_id)
        stretch = self.stretch(state, period, since, until)
        means = dimension_means(self.database, viewer, since=stretch.since, until=stretch.until, team_id=team_id)
        trends = standings(self.database, viewer, team_id=team_id)
        return fitted(
            TeamOverview(
                **self.envelope(state, stretch, ["Coverage and call counts are of the last 28 days."]),
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
        chosen_team = self.team(viewer, team)
        state = self.recent.of(viewer)
        question = {
            "dimension": dimension,
            "window_days": window_days,
            "team_id": chosen_team.team_id if chosen_team else None,
        }
        offset = read_cursor(cursor, question)
        found = leaderboard(self.database, viewer, **question, limit=limit, offset=offset, with_total=True)  # type: ignore[arg-type]
        notes = ["Read tiers and intervals, not places: reps of one tier cannot be told apart."]
        stretch = self.stretch(state, "last_28_days" if window_days == 28 else "last_90_days")
        return self.page(Answer[Standing], found, state, stretch, offset=offset, question=question, notes=notes)

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
        chosen_team = self.team(viewer, team)
        state = self.recent.of(viewer)
        stretch = self.stretch(state, period, since, until)
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
        said = sample_statements(self.database, viewer, per_verdict=STATEMENTS, **scope, **dates)  # type: ignore[arg-type]
        counts = {row.verdict: row.n_with_verdict for row in said}
        return fitted(
            ProductKnowledge(
                **self.envelope(state, stretch),
                rows=_by_criterion(levels),
                scope=person.rep_name if person else chosen_team.team_name if chosen_team else "everyone you may see",
                mean_score=mean.mean_score if mean else None,
                n_calls=mean.n_calls if mean else 0,
                rubric_version=mean.rubric_version if mean else None,
                n_calls_with_statements=said.rows[0].n_calls if said else 0,
                n_correct=counts.get("correct", 0),
                n_inaccurate=counts.get("inaccurate", 0),
                n_missed=counts.get("missed_opportunity", 0),
                inaccurate=[statement_made(row, self.dashboard_url) for row in said if row.verdict == "inaccurate"],
                missed=[statement_made(row, self.dashboard_url) for row in said if row.verdict == "missed_opportunity"],
                strengths=self.quotes(viewer, limit=3, polarity="strength", **filters),
                to_work_on=self.quotes(viewer, limit=3, polarity="gap", **filters),
            ),
            list_fields=("strengths", "to_work_on", "missed", "inaccurate"),
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
