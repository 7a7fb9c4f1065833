"""Tools that sum up: a report to hand on, what it cost, and what a number means."""

import csv
import io
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from anyio import to_thread
from fastmcp import Context
from pydantic import BaseModel, Field

from streamlit_app.mcp_answers import Answer, fitted, read_cursor
from streamlit_app.mcp_tools.arguments import (
    Cursor,
    Limit,
    MetricName,
    NamedPeriod,
    RepName,
    Since,
    TeamName,
    Until,
)
from streamlit_app.mcp_tools.desk import DeskTools
from streamlit_app.queries.costs import Cost, CostGrouping, costs
from streamlit_app.queries.marks import NotAllowedError
from streamlit_app.queries.metrics import DIMENSION_TITLES, METRICS, METRICS_BY_NAME
from streamlit_app.queries.people import Rep, find_rep, list_reps
from streamlit_app.queries.periods import Period, resolve
from streamlit_app.queries.scores import dimension_means, rep_scored_calls, standings
from streamlit_app.queries.viewer import Viewer

CSV_HEADER = "rep_id,rep_name,call_id,title,started_at,dimension,score,rubric_version"


class Report(Answer[str]):
    """A report as Markdown, in lines."""

    title: str
    format: Literal["markdown", "csv"]


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
class ReportTools(DeskTools):
    """Reports, costs and definitions."""

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
        state = await to_thread.run_sync(lambda: self.recent.of(viewer))
        stretch = self.stretch(state, period, since, until)
        if rep is not None:
            chosen = await to_thread.run_sync(lambda: find_rep(self.database, viewer, rep))
            reps, title = [chosen], chosen.rep_name
        else:
            found = await to_thread.run_sync(lambda: self.team(viewer, team))
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
                **self.envelope(state, stretch, ["A draft. Scores are for coaching, not for pay or dismissal."]),
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
            for moment in self.quotes(
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
        state = self.recent.of(viewer)
        today = datetime.now().astimezone().date()
        stretch = resolve(period, today=today, since=since, until=until)
        question = {"group_by": group_by, "since": stretch.since, "until": stretch.until}
        offset = read_cursor(cursor, question)
        found = costs(self.database, viewer, **question, limit=limit, offset=offset, with_total=True)  # type: ignore[arg-type]
        notes = ["Sandbox and paid requests are separate rows and are never added up."]
        return self.page(Answer[Cost], found, state, stretch, offset=offset, question=question, notes=notes)

    def describe_metric(self, metric: MetricName | None = None) -> Answer[Meaning]:
        viewer = self.identity.viewer()
        state = self.recent.of(viewer)
        chosen = METRICS if metric is None else (METRICS_BY_NAME[metric],)
        return fitted(
            Answer[Meaning](
                **self.envelope(state),
                rows=[Meaning(**vars(definition)) for definition in chosen],
                total=len(chosen),
            )
        )
