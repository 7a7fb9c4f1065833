"""What every tool starts with: who asks, which period and team are meant, and the envelope of the answer."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from streamlit_app.mcp_answers import QuotedMoment, Stretch, fitted, quoted
from streamlit_app.mcp_identity import Identity
from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.freshness import Freshness, freshness
from streamlit_app.queries.moments import list_moments
from streamlit_app.queries.people import Team, list_teams
from streamlit_app.queries.periods import Period, PeriodName, resolve
from streamlit_app.queries.viewer import Viewer

FRESHNESS_TTL_S = 15.0
MAX_KEPT = 1_000


class RecentFreshness:
    """How old the data is, asked at most once in some seconds: counting all calls is half of a short answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[tuple[Viewer, str | None], tuple[float, Freshness]] = {}

    def of(self, viewer: Viewer, team_id: str | None = None) -> Freshness:
        """The state of what the viewer may see, at most `FRESHNESS_TTL_S` old."""
        now = time.monotonic()
        asked_at, found = self._kept.get((viewer, team_id), (0.0, None))
        if found is None or now - asked_at > FRESHNESS_TTL_S:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            found = freshness(self._database, viewer, team_id=team_id)
            self._kept[viewer, team_id] = (now, found)
        return found


@dataclass(frozen=True)
class DeskTools:
    """Who asks comes from `identity`, never from an argument."""

    database: Database
    identity: Identity
    dashboard_url: str
    recent: RecentFreshness

    def stretch(
        self, state: Freshness, name: PeriodName, since: date | None = None, until: date | None = None
    ) -> Period:
        return resolve(name, today=state.window_end or datetime.now().astimezone().date(), since=since, until=until)

    def team(self, viewer: Viewer, wanted: str | None) -> Team | None:
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

    def quotes(self, viewer: Viewer, *, limit: int, **filters: Any) -> list[QuotedMoment]:
        """At most one moment per turn: the same sentence often speaks for several markers."""
        places: dict[tuple[str, int], QuotedMoment] = {}
        for moment in list_moments(self.database, viewer, limit=limit * 6, **filters):
            places.setdefault((moment.call_id, moment.turn_id), quoted(moment, self.dashboard_url))
        return list(places.values())[:limit]

    def envelope(self, state: Freshness, period: Period | None = None, notes: Sequence[str] = ()) -> dict[str, Any]:
        return {
            "as_of": state.as_of,
            "is_sandbox": state.has_sandbox,
            "period": Stretch(name=period.name, since=period.since, until=period.until) if period else None,
            "notes": [
                *(["Scores come from the offline stand-in, not from Claude."] if state.has_sandbox else []),
                *notes,
            ],
        }

    def page(
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
                **self.envelope(state, stretch, notes),
                rows=list(found.rows) if rows is None else rows,
                total=found.total,
                truncated=found.is_truncated,
            ),
            offset=offset,
            question=question,
        )


def dates_of(stretch: Period) -> dict[str, date | None]:
    """No bounds for all of time: a bound that excludes nothing still costs."""
    return {"since": None, "until": None} if stretch.name == "all" else {"since": stretch.since, "until": stretch.until}
