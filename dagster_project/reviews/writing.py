"""What a week's facts say to a rep, to a manager and to leadership. Pure: facts in, documents out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import mean
from typing import Literal
from urllib.parse import quote

from dagster_project.reviews import pictures
from dagster_project.reviews.document import (
    Block,
    Bullets,
    Document,
    Heading,
    Links,
    Paragraph,
    Picture,
    Quote,
    Table,
)
from dagster_project.reviews.facts import (
    MINIMUM_N,
    Cost,
    Exercise,
    HeardCall,
    Moment,
    Queued,
    Rep,
    Skill,
    Standing,
    TeamScore,
    WeekFacts,
    company_skills,
)
from streamlit_app.charts import Interval
from streamlit_app.queries.metrics import DIMENSION_TITLES, DIMENSIONS

Kind = Literal["rep", "team", "leadership"]
LEADERSHIP = "leadership"
SHOWN_MOMENTS, SHOWN_SKILLS = 5, 3
SIGNALS = {
    "up": "improving",
    "down": "slipping",
    "no clear change": "no clear change",
    "too few calls": "too few calls",
}
FOR_COACHING = (
    "Made for coaching, not for pay or dismissal. Scores rest on the quoted moments: listen before you judge."
)
# what `rolling` means in the marts
LAST_CALLS = "Last 10 calls"
HOW_TO_READ = "n is the number of calls behind a score, the range its 95 % interval."
FROM_SANDBOX = "These scores come from the sandbox, which matches phrases; they are not Claude's."


@dataclass(frozen=True)
class Review:
    """A document and the one it is for."""

    kind: Kind
    recipient_id: str
    address: str | None
    document: Document


def write_reviews(facts: WeekFacts, *, dashboard_url: str, with_pictures: bool = True) -> list[Review]:
    """The reviews of everybody who had a call in the week, of their managers, and leadership's page."""
    if not facts.reps:
        return []
    writer = _Writer(facts, dashboard_url.rstrip("/"), with_pictures)
    teams = [team_id for team_id in facts.team_weeks if team_id in facts.managers]
    return [
        *(writer.rep_review(rep) for rep in facts.reps),
        *(writer.team_review(team_id) for team_id in teams),
        writer.leadership_review(),
    ]


class _Writer:
    def __init__(self, facts: WeekFacts, dashboard_url: str, with_pictures: bool) -> None:
        self.facts = facts
        self.dashboard_url = dashboard_url
        self.with_pictures = with_pictures

    def rep_review(self, rep: Rep) -> Review:
        """A rep's own: what went well, what to tighten, one exercise."""
        facts = self.facts
        standings = _in_order(facts.standings.get(rep.rep_id, ()))
        strengths, gaps = facts.strengths.get(rep.rep_id, ()), facts.gaps.get(rep.rep_id, ())
        blocks: list[Block] = []
        if strengths:
            blocks += [Heading("What went well"), *(_quote(moment) for moment in strengths)]
        if gaps:
            blocks += [Heading("What to tighten"), *(_quote(moment) for moment in gaps)]
        if not strengths and not gaps:
            blocks.append(Paragraph("No moment of this week's calls could be quoted with certainty."))
        exercise = facts.exercises.get(rep.rep_id)
        if exercise:
            blocks += [Heading("One exercise for this week"), *_exercise(exercise)]
        elif gaps:
            blocks += [Heading("One exercise for this week"), _first_gap(gaps[0])]
        blocks += [Heading("Where you stand"), _standing_table(standings)]
        if chart := self._rep_chart(rep, standings):
            blocks += [*chart, Paragraph(f"A dot is a call, the line the mean of the last ten. {HOW_TO_READ}")]
        heard = facts.heard.get(rep.rep_id, ())
        if len(heard) > 1:
            blocks += [Heading("Calls worth hearing"), _heard_links(heard)]
        summary = f"{_calls(rep.n_calls)}, {rep.n_scored} scored. {_signals_in_words(standings)}"
        return Review(
            kind="rep",
            recipient_id=rep.rep_id,
            address=rep.email,
            document=Document(
                title=f"Your week of {_day(facts.week_start)}",
                summary=summary,
                blocks=(*blocks, self._more(f"/rep?rep={quote(rep.rep_id)}")),
                footer=_footer(rep.is_sandbox),
            ),
        )

    def _rep_chart(self, rep: Rep, standings: Sequence[Standing]) -> list[Block]:
        if not self.with_pictures:
            return []
        words = "; ".join(f"{_title(row.dimension)} {_score(row.rolling_score, row.rolling_n)}" for row in standings)
        picture = pictures.rep_trends(
            self.facts.scored_calls.get(rep.rep_id, ()),
            self.facts.trends.get(rep.rep_id, ()),
            alt_text=f"Scores over twelve weeks. Dots are calls, the line is the rolling mean. {words}.",
        )
        return [picture] if picture else []

    def team_review(self, team_id: str) -> Review:
        """A manager's: whom to coach on what, who moves, what is common, how much was heard."""
        facts = self.facts
        week, manager = facts.team_weeks[team_id], facts.managers[team_id]
        members = [rep for rep in facts.reps if rep.team_id == team_id]
        names = {rep.rep_id: rep.rep_name for rep in members}
        standings = [row for rep in members for row in facts.standings.get(rep.rep_id, ())]
        blocks: list[Block] = []
        queue = facts.queue.get(team_id, ())[:SHOWN_MOMENTS]
        if queue:
            blocks += [Heading("Worth your time this week"), *(_queued(moment) for moment in queue)]
        movers = [row for row in standings if row.signal in ("up", "down")]
        blocks += [Heading("Movers"), _movers(movers, names)]
        skills = [skill for skill in facts.skills.get(team_id, ()) if skill.n_reps > 1][:SHOWN_SKILLS]
        if skills:
            blocks += [Heading("Common gaps"), _skills(skills)]
        blocks += [Heading(f"The team, {LAST_CALLS.lower()} of each"), _team_table(members, facts)]
        if self.with_pictures:
            blocks += _one(
                pictures.standings(
                    [_rep_range(row, names) for row in standings],
                    content_id="team",
                    alt_text="Rolling score and 95 % interval of each rep and dimension; the numbers are in the table.",
                )
            )
        return Review(
            kind="team",
            recipient_id=team_id,
            address=manager.email,
            document=Document(
                title=f"{week.team_name}: week of {_day(facts.week_start)}",
                summary=(
                    f"{_calls(week.n_calls)} by {len(members)} reps; {week.n_scored_calls} of {week.n_eligible_calls} "
                    f"that could be scored were{_percent(week.n_scored_calls, week.n_eligible_calls)}. "
                    f"{len(queue)} moments to coach, {_movements(len(movers))}."
                ),
                blocks=(*blocks, self._more("/queue")),
                footer=_footer(any(rep.is_sandbox for rep in members)),
            ),
        )

    def leadership_review(self) -> Review:
        """One page: teams, skills, coverage and cost; no rep is named."""
        facts = self.facts
        weeks = list(facts.team_weeks.values())
        now = [row for rows in facts.team_scores.values() for row in rows if row.week_start == facts.week_start]
        blocks: list[Block] = [Heading("Teams"), _teams_table(now, facts)]
        if self.with_pictures:
            blocks += _one(
                pictures.standings(
                    [_team_range(row) for row in now],
                    content_id="teams",
                    alt_text="Rolling score and 95 % interval of each team; the numbers are in the table.",
                )
            )
        skills = company_skills(facts.skills)[:SHOWN_SKILLS]
        if skills:
            blocks += [Heading("Where the company loses most"), _skills(skills)]
        blocks += [Heading("Coverage"), _coverage_table(facts)]
        blocks += [Heading("What it cost"), *_costs(facts.costs)]
        n_calls = sum(week.n_calls for week in weeks)
        scored, eligible = sum(w.n_scored_calls for w in weeks), sum(w.n_eligible_calls for w in weeks)
        cost = sum(cost.cost_usd for cost in facts.costs if not cost.is_sandbox)
        return Review(
            kind="leadership",
            recipient_id=LEADERSHIP,
            address=None,
            document=Document(
                title=f"Sales calls: week of {_day(facts.week_start)}",
                summary=(
                    f"{_calls(n_calls)} in {len(weeks)} teams; {scored} of {eligible} that could be scored "
                    f"were{_percent(scored, eligible)}. Claude cost ${cost:,.2f}."
                ),
                blocks=(*blocks, self._more("")),
                footer=_footer(any(rep.is_sandbox for rep in facts.reps)),
            ),
        )

    def _more(self, path: str) -> Links:
        return Links((("Open the dashboard", f"{self.dashboard_url}{path}", "every score with its calls and moments"),))


def _footer(is_sandbox: bool) -> str:
    return f"{FROM_SANDBOX} {FOR_COACHING}" if is_sandbox else FOR_COACHING


def _quote(moment: Moment) -> Quote:
    return Quote(
        quote=moment.quote,
        source=f"{moment.call_title}, {_day(moment.started_at.date())}, at {_clock(moment.start_ms)}",
        url=moment.call_url,
        comment=f"{_title(moment.dimension)}, {moment.criterion_title.lower()}. {moment.comment}".strip(),
    )


def _exercise(exercise: Exercise) -> list[Block]:
    """What to do in the next calls, how often it was done, and the rep's own newest moment to learn it from."""
    share = f"{exercise.n_met} of {exercise.n_applicable} calls of the last four weeks that gave an opportunity"
    example = f" For instance: “{exercise.yes_example}”" if exercise.yes_example else ""
    blocks: list[Block] = [
        Paragraph(
            f"{exercise.criterion_title}. {exercise.question} It was so in {share}. Try it in your next two "
            f"calls.{example}"
        )
    ]
    if exercise.quote and exercise.started_at and exercise.start_ms is not None:
        lead = (
            "A moment where you came close: build on it."
            if exercise.polarity == "strength"
            else "A moment where it was missing."
        )
        blocks.append(
            Quote(
                quote=exercise.quote,
                source=f"{exercise.call_title}, {_day(exercise.started_at.date())}, at {_clock(exercise.start_ms)}",
                url=exercise.call_url,
                comment=f"{lead} {exercise.suggestion or ''}".strip(),
            )
        )
    return blocks


def _first_gap(gap: Moment) -> Paragraph:
    """For a rep with too few calls to say what is missing most."""
    return Paragraph(
        f"{gap.criterion_title}. Before each of your next two calls write down one sentence for it; the first moment "
        f"under “What to tighten” ({gap.call_title}, at {_clock(gap.start_ms)}) shows where it was missing."
    )


def _queued(moment: Queued) -> Quote:
    suggestion = f" {moment.suggestion}" if moment.suggestion else ""
    return Quote(
        quote=moment.quote,
        source=(
            f"{moment.rep_name}: {moment.call_title}, {_day(moment.started_at.date())}, at {_clock(moment.start_ms)}"
        ),
        url=moment.call_url,
        comment=f"{moment.reason}{suggestion}",
    )


def _heard_links(heard: Sequence[HeardCall]) -> Links:
    chosen = ((heard[0], "your best of the week"), (heard[-1], "the one with most to learn from"))
    return Links(
        tuple(
            (
                f"{call.title}, {_day(call.started_at.date())}",
                call.call_url,
                f"{remark}, {call.mean_score:.0f} on average over {call.n_dimensions} dimensions",
            )
            for call, remark in chosen
        )
    )


def _standing_table(standings: Sequence[Standing]) -> Block:
    if not standings:
        return Paragraph("No score yet.")
    return Table(
        header=("Dimension", "This week", LAST_CALLS, "Trend"),
        rows=tuple(
            (
                _title(row.dimension),
                f"{row.mean_score:.0f} (n {row.n_calls})" if row.mean_score is not None and row.n_calls else "no call",
                _score(row.rolling_score, row.rolling_n, row.rolling_low, row.rolling_high),
                SIGNALS.get(row.signal, row.signal),
            )
            for row in standings
        ),
    )


def _team_table(members: Sequence[Rep], facts: WeekFacts) -> Table:
    def cells(rep: Rep) -> tuple[str, ...]:
        by_dimension = {row.dimension: row for row in facts.standings.get(rep.rep_id, ())}
        scores = (by_dimension.get(dimension) for dimension in DIMENSIONS)
        return (
            rep.rep_name,
            str(rep.n_calls),
            *(_score(row.rolling_score, row.rolling_n) if row else "no score" for row in scores),
        )

    return Table(
        header=("Rep", "Calls", *(_title(dimension) for dimension in DIMENSIONS)),
        rows=tuple(cells(rep) for rep in members),
    )


def _teams_table(now: Sequence[TeamScore], facts: WeekFacts) -> Block:
    if not now:
        return Paragraph("No team has a score yet.")
    teams = dict.fromkeys((row.team_id, row.team_name) for row in now)
    before = {
        (row.team_id, row.dimension): row
        for rows in facts.team_scores.values()
        for row in rows
        if row.week_start == facts.week_start - timedelta(weeks=4)
    }

    def cell(team_id: str, dimension: str) -> str:
        row = next((row for row in now if (row.team_id, row.dimension) == (team_id, dimension)), None)
        return (
            f"{_score(row.rolling_score, row.rolling_n)}{_since(row, before.get((team_id, dimension)))}" if row else "-"
        )

    return Table(
        header=("Team", *(_title(dimension) for dimension in DIMENSIONS)),
        rows=tuple((name, *(cell(team_id, dimension) for dimension in DIMENSIONS)) for team_id, name in teams),
    )


def _since(row: TeamScore, before: TeamScore | None) -> str:
    """The change over four weeks, where the two intervals do not touch; otherwise it is noise."""
    if (
        None in (row.rolling_low, row.rolling_high)
        or before is None
        or None in (before.rolling_low, before.rolling_high)
    ):
        return ""
    if row.rolling_low > before.rolling_high:  # type: ignore[operator]
        return ", up in 4 weeks"
    if row.rolling_high < before.rolling_low:  # type: ignore[operator]
        return ", down in 4 weeks"
    return ", no clear change"


def _coverage_table(facts: WeekFacts) -> Table:
    return Table(
        header=("Team", "Calls", "Could be scored", "Scored", "Reps"),
        rows=tuple(
            (
                week.team_name,
                str(week.n_calls),
                str(week.n_eligible_calls),
                f"{week.n_scored_calls}{_percent(week.n_scored_calls, week.n_eligible_calls)}",
                str(week.n_reps),
            )
            for week in facts.team_weeks.values()
        ),
    )


def _costs(costs: Sequence[Cost]) -> list[Block]:
    if not costs:
        return [Paragraph("No request was sent this week.")]
    lines = []
    for cost in costs:
        who = "Sandbox, billed to nobody (list price)" if cost.is_sandbox else "Claude"
        lines.append(
            f"{who}: ${cost.cost_usd:,.2f} for {cost.requests} requests ({cost.failed_requests} failed); "
            f"{cost.cache_hits} answers reused, which saved ${cost.saved_usd:,.2f}."
        )
    return [Bullets(tuple(lines))]


def _movers(movers: Sequence[Standing], names: dict[str, str]) -> Block:
    if not movers:
        return Paragraph("No clear change: nobody's trend stands out from chance.")
    return Bullets(
        tuple(
            f"{names[row.rep_id]} is {SIGNALS[row.signal]} in {_title(row.dimension).lower()}: "
            f"{_score(row.rolling_score, row.rolling_n, row.rolling_low, row.rolling_high)}"
            for row in movers
        )
    )


def _skills(skills: Sequence[Skill]) -> Bullets:
    return Bullets(
        tuple(
            f"{skill.criterion_title} ({_title(skill.dimension).lower()}): level {skill.mean_level:.1f} of 5 over "
            f"{skill.n_calls} scored calls of {skill.n_reps} reps in four weeks"
            for skill in skills
        )
    )


def _rep_range(row: Standing, names: dict[str, str]) -> tuple[str, Interval]:
    return row.dimension, Interval(
        names[row.rep_id], row.rolling_score, row.rolling_low, row.rolling_high, row.rolling_n
    )


def _team_range(row: TeamScore) -> tuple[str, Interval]:
    return row.dimension, Interval(row.team_name, row.rolling_score, row.rolling_low, row.rolling_high, row.rolling_n)


def _one(picture: Picture | None) -> list[Block]:
    return [picture] if picture else []


def _in_order(standings: Sequence[Standing]) -> list[Standing]:
    place = {dimension: n for n, dimension in enumerate(DIMENSIONS)}
    return sorted(standings, key=lambda row: (place.get(row.dimension, len(place)), row.dimension))


def _signals_in_words(standings: Sequence[Standing]) -> str:
    moving = [f"{_title(row.dimension)} is {SIGNALS[row.signal]}" for row in standings if row.signal in ("up", "down")]
    if moving:
        return f"{'; '.join(moving)}."
    shown = [row.rolling_score for row in standings if row.rolling_score is not None and row.rolling_n >= MINIMUM_N]
    if not shown:
        return f"Scores show from {MINIMUM_N} calls on."
    has_trend = any(row.signal == "no clear change" for row in standings)
    change = "No clear change" if has_trend else "Too few calls for a trend"
    return f"{change}; {mean(shown):.0f} on average over {len(shown)} dimensions."


def _score(value: float | None, n: int, low: float | None = None, high: float | None = None) -> str:
    """A score never stands without its n, and not at all below the minimum."""
    if value is None or n < MINIMUM_N:
        return f"too few (n {n})"
    span = f", {low:.0f} to {high:.0f}" if low is not None and high is not None else ""
    return f"{value:.0f} (n {n}{span})"


def _percent(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.0f} %)" if whole else ""


def _movements(n: int) -> str:
    return "no clear change" if n == 0 else f"{n} clear change{'' if n == 1 else 's'}"


def _calls(n: int) -> str:
    return f"{n} call{'' if n == 1 else 's'}"


def _title(dimension: str) -> str:
    return DIMENSION_TITLES.get(dimension, dimension.replace("_", " ").capitalize())


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _clock(start_ms: int) -> str:
    minutes, seconds = divmod(start_ms // 1000, 60)
    return f"{minutes}:{seconds:02d}"
