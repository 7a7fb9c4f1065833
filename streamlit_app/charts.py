"""Charts as Vega-Lite specifications made from rows; colours come from the theme, so light and dark both work.

Plain dictionaries: building the same from Altair's checked objects took 70 to 350 ms of every view.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd

from streamlit_app.queries.costs import Cost
from streamlit_app.queries.follow_ups import TalkShare
from streamlit_app.queries.scores import ScoredCall, TrendWeek
from streamlit_app.queries.trust import HealthDay

Spec = dict[str, Any]
SCORE_SCALE: Spec = {"domain": [0, 100], "nice": False}
SCORE_VALUES = [0, 25, 50, 75, 100]
CHART_HEIGHT = 210
DAY = "%-d %b %Y"


def frame_of(rows: Iterable[Any]) -> pd.DataFrame:
    """A data frame of dataclass rows, in their field order."""
    listed = list(rows)
    return pd.DataFrame([vars(row) for row in listed]) if listed else pd.DataFrame()


def _at(day: date | datetime) -> str:
    """A day or a UTC time as the browser shall show it, wherever it stands."""
    if isinstance(day, datetime):
        return day.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    return f"{day.isoformat()}T00:00:00"


def _number(name: str, **channel: Any) -> Spec:
    return {"field": name, "type": "quantitative", "title": None, **channel}


def _tips(*shown: tuple[str, str] | tuple[str, str, str]) -> list[Spec]:
    """Tooltip lines: field, title and, for numbers and times, a format."""
    lines: list[Spec] = []
    for name, title, *shape in shown:
        kind = "nominal" if not shape else "temporal" if shape[0].startswith("%-") else "quantitative"
        lines.append({"field": name, "title": title, "type": kind, **({"format": shape[0]} if shape else {})})
    return lines


def _layer(rows: Sequence[Mapping[str, Any]], mark: str, look: Spec, **encoding: Any) -> Spec:
    return {"data": {"values": list(rows)}, "mark": {"type": mark, **look}, "encoding": encoding}


def _names(name: str, width: int, **channel: Any) -> Spec:
    """Names beside their marks, each at its own height, in a column as wide in every chart of a page."""
    axis = {
        "labelLimit": width,
        "minExtent": width,
        "maxExtent": width,
        "labelFlush": False,
        "labelBound": False,
        "grid": False,
    }
    return {"field": name, "type": "nominal", "sort": None, "title": None, "axis": axis, **channel}


def rep_dimension(calls: Sequence[ScoredCall], weeks: Sequence[TrendWeek]) -> Spec | None:
    """Dots are calls, the line is the rolling mean, the band its 95 % interval.

    The running week has hollow dots, and the line towards it is dashed.
    """
    scored = [call for call in calls if call.score is not None]
    rolling = [week for week in weeks if week.rolling_score is not None]
    last_day = max((call.started_at.date() for call in scored), default=None)
    days = {"format": "%-d %b", "tickCount": 5, "labelOverlap": True, "grid": False}
    x = {"field": "at", "type": "temporal", "title": None, "axis": days}
    score = {"scale": SCORE_SCALE, "axis": {"values": SCORE_VALUES, "grid": True}}

    def point(week: TrendWeek) -> Spec:
        # a week's value stands at its end, where the calls it sums lie behind it
        end = week.week_start + timedelta(days=6)
        return {
            "at": _at(min(end, last_day) if week.is_running_week and last_day else end),
            "week": _at(week.week_start),
            "score": week.rolling_score,
            "low": week.rolling_low,
            "high": week.rolling_high,
            "n": week.rolling_n,
            "version": week.rubric_version,
        }

    layers: list[Spec] = []
    if rolling:
        y, tips = (
            _number("score", **score),
            _tips(
                ("week", "Week of", DAY),
                ("score", "Rolling score", ".1f"),
                ("low", "From", ".1f"),
                ("high", "To", ".1f"),
                ("n", "Calls in it"),
            ),
        )
        band = {"y": _number("low", **score), "y2": {"field": "high"}, "tooltip": {"value": None}}
        layers.append(_layer([point(week) for week in rolling], "area", {"opacity": 0.16}, x=x, **band))
        whole = [point(week) for week in rolling if not week.is_running_week]
        line = {"strokeWidth": 2.5, "interpolate": "monotone"}
        layers.append(_layer(whole, "line", line, x=x, y=y, tooltip=tips))
        running = [point(week) for week in rolling if week.is_running_week]
        if running:
            dashed = {"strokeWidth": 2.5, "strokeDash": [3, 3]}
            layers.append(_layer([*whole[-1:], *running], "line", dashed, x=x, y=y, tooltip=tips))
        breaks = [point(week) for week in rolling if week.has_version_break]
        if breaks:
            rule = {"strokeDash": [4, 3], "color": "gray"}
            layers.append(_layer(breaks, "rule", rule, x=x, tooltip=_tips(("version", "New rubric version"))))
    tips = _tips(
        ("title", "Call"),
        ("at", "Held (UTC)", f"{DAY} %H:%M"),
        ("score", "Score", ".1f"),
        ("met", "Markers met"),
        ("running", "Running week"),
    )
    for is_running in (False, True):
        dots = [
            {
                "at": _at(call.started_at),
                "title": call.title or call.call_id,
                "score": call.score,
                "met": f"{call.n_markers_met} of {call.n_markers_applicable}",
                "running": "yes" if is_running else "no",
            }
            for call in scored
            if call.is_running_week == is_running
        ]
        if dots:
            look = {"filled": not is_running, "size": 42, "opacity": 0.6, "strokeWidth": 1.8}
            layers.append(_layer(dots, "point", look, x=x, y=_number("score", **score), tooltip=tips))
    return {"layer": layers, "height": CHART_HEIGHT} if layers else None


@dataclass(frozen=True)
class Interval:
    """A name with its score from 0 to 100, the 95 % interval and the calls they rest on."""

    name: str
    score: float | None
    low: float | None
    high: float | None
    n_calls: int


def score_range(intervals: Iterable[Interval], *, middle: float | None = None) -> Spec | None:
    """One dot and interval per name, ordered by the dot: how sure one can be is as visible as the value."""
    rows = sorted((vars(found) for found in intervals if found.score is not None), key=lambda row: -row["score"])
    if not rows:
        return None
    y = _names("name", 120)
    across = {"scale": SCORE_SCALE, "axis": {"values": SCORE_VALUES}}
    tips = _tips(
        ("name", "Rep"),
        ("score", "Score", ".1f"),
        ("low", "From", ".1f"),
        ("high", "To", ".1f"),
        ("n_calls", "Calls"),
    )
    rule = {"strokeWidth": 6, "opacity": 0.45, "color": "gray"}
    interval = {"x": _number("low", **across), "x2": {"field": "high"}}
    dot = {"filled": True, "size": 90, "opacity": 1}
    layers = [
        _layer(rows, "rule", rule, y=y, tooltip=tips, **interval),
        _layer(rows, "point", dot, y=y, x=_number("score", **across), tooltip=tips),
    ]
    if middle is not None:
        dashes = {"strokeDash": [4, 3], "color": "gray"}
        layers.insert(0, _layer([{"middle": middle}], "rule", dashes, x=_number("middle", **across)))
    return {"layer": layers, "height": 28 * len(rows) + 30}


def paired_levels(rows: Sequence[Mapping[str, Any]]) -> Spec:
    """Levels of two calls on one line per criterion; rows hold `criterion`, `call` (first or second) and `level`."""
    known = [
        {"criterion": row["criterion"], "call": row["call"], "level": float(row["level"])}
        for row in rows
        if row["level"] is not None
    ]
    levels: dict[str, list[float]] = {}
    for row in known:
        levels.setdefault(row["criterion"], []).append(row["level"])
    between = [{"criterion": name, "min": min(found), "max": max(found)} for name, found in levels.items()]
    y = _names("criterion", 210)
    across = {"scale": {"domain": [0.8, 5.2], "nice": False}, "axis": {"values": [1, 2, 3, 4, 5], "format": "d"}}
    tips = _tips(("criterion", "Criterion"), ("call", "Call"), ("level", "Level"))
    looks = {
        "first": {"filled": True, "size": 110, "opacity": 0.9},
        "second": {"filled": False, "size": 190, "strokeWidth": 2.2},
    }
    line = {"x": _number("min", **across), "x2": {"field": "max"}}
    layers = [_layer(between, "rule", {"color": "gray"}, y=y, **line)]
    for call, look in looks.items():
        part = [row for row in known if row["call"] == call]
        layers.append(_layer(part, "point", look, y=y, x=_number("level", **across), tooltip=tips))
    return {"layer": layers, "height": 30 * len(levels) + 60}


def _per_day(name: str) -> Spec:
    axis = {"format": "%-d %b", "labelOverlap": True, "grid": False}
    return {"field": name, "type": "temporal", "timeUnit": "yearmonthdate", "title": None, "axis": axis}


def cost_by_day(days: Sequence[Cost], *, since: date, until: date) -> Spec:
    """Dollars per day over the whole window, sandbox and paid apart."""
    rows = [
        {
            "day": f"{day.group}T00:00:00",
            "kind": "sandbox" if day.is_sandbox else "paid",
            "cost": day.cost_usd,
            "requests": day.n_requests,
            "failed": day.n_failed,
        }
        for day in days
    ]
    tips = _tips(
        ("day", "Day", DAY),
        ("kind", "Kind"),
        ("cost", "Cost", "$.3f"),
        ("requests", "Requests"),
        ("failed", "Failed"),
    )
    window = {"domain": [_at(since), _at(until + timedelta(days=1))]}
    colour = {"field": "kind", "type": "nominal", "legend": {"title": None, "orient": "bottom"}}
    dollars = _number("cost", title="Dollars", axis={"format": "$.2f"})
    encoding = {"x": {**_per_day("day"), "scale": window}, "y": dollars, "color": colour, "tooltip": tips}
    return {**_layer(rows, "bar", {"cornerRadius": 2}, **encoding), "height": 230}


def health_by_day(days: Sequence[HealthDay]) -> Spec:
    """Eligible calls as bars, scored ones inside them."""
    rows = [
        {
            "day": _at(day.day),
            "eligible": day.n_eligible_calls,
            "scored": day.n_scored_calls,
            "failed": day.n_failed_scores,
        }
        for day in days
    ]
    tips = _tips(
        ("day", "Day", DAY),
        ("eligible", "Eligible"),
        ("scored", "Scored"),
        ("failed", "Failed scores"),
    )
    layers = [
        _layer(
            rows,
            "bar",
            {"cornerRadius": 2, "opacity": opacity},
            x=_per_day("day"),
            y=_number(name, title="Calls"),
            tooltip=tips,
        )
        for name, opacity in (("eligible", 0.3), ("scored", 1))
    ]
    return {"layer": layers, "height": 220}


# practitioners' figures to start with, by type of call; types without one have no usual range
TALK_BANDS = {
    "discovery": (0.30, 0.45),
    "demo": (0.45, 0.60),
    "technical": (0.40, 0.55),
    "negotiation": (0.40, 0.45),
    "business_review": (0.35, 0.50),
}


def talk_bands(shares: Sequence[TalkShare]) -> Spec | None:
    """One line per type of call: the usual range, everyone's mean, this rep's."""
    if not shares:
        return None
    rows = [
        {
            "type": f"{share.call_type.replace('_', ' ').capitalize()} (n {share.n_calls})",
            "own": share.talk_ratio,
            "everyone": share.everyones_talk_ratio,
            "everyones_n": share.everyones_n_calls,
            "low": TALK_BANDS.get(share.call_type, (None, None))[0],
            "high": TALK_BANDS.get(share.call_type, (None, None))[1],
        }
        for share in shares
    ]
    y = _names("type", 140)
    scale = {"domain": [0, 1], "nice": False}
    across = {"scale": scale, "axis": {"format": "%", "values": [0, 0.25, 0.5, 0.75, 1]}}
    tips = _tips(
        ("type", "Type"),
        ("own", "This rep", ".0%"),
        ("everyone", "Everyone", ".0%"),
        ("everyones_n", "Calls of everyone"),
        ("low", "Usual from", ".0%"),
        ("high", "Usual to", ".0%"),
    )
    usual = {"x": _number("low", **across), "x2": {"field": "high"}}
    bar = {"height": 14, "opacity": 0.22, "cornerRadius": 3}
    tick = {"thickness": 2, "size": 18, "opacity": 0.9}
    dot = {"filled": True, "size": 90, "opacity": 1}
    layers = [
        _layer([row for row in rows if row["low"] is not None], "bar", bar, y=y, tooltip=tips, **usual),
        _layer(rows, "tick", tick, y=y, x=_number("everyone", **across), tooltip=tips),
        _layer(rows, "point", dot, y=y, x=_number("own", **across), tooltip=tips),
    ]
    return {"layer": layers, "height": 34 * len(rows) + 30}
