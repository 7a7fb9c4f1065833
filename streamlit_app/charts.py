"""Charts as pure functions of rows; colours come from the theme, so light and dark both work."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

import altair as alt
import pandas as pd

from streamlit_app.queries.calls import Turn
from streamlit_app.queries.follow_ups import TalkShare
from streamlit_app.queries.metrics import DIMENSION_TITLES, DIMENSIONS
from streamlit_app.queries.moments import Moment
from streamlit_app.queries.scores import DimensionWeek, ScoredCall, TrendWeek

Chart = alt.LayerChart | alt.FacetChart
SCORE_DOMAIN = [0, 100]
SPARK_HEIGHT = 56
CHART_HEIGHT = 210


def frame_of(rows: Iterable[Any]) -> pd.DataFrame:
    """A data frame of dataclass rows, in their field order."""
    listed = list(rows)
    return pd.DataFrame([vars(row) for row in listed]) if listed else pd.DataFrame()


def _names_axis(width: int) -> alt.Axis:
    """Names beside their marks, each at its own height, in a column as wide in every chart of a page."""
    return alt.Axis(labelLimit=width, minExtent=width, maxExtent=width, labelFlush=False, labelBound=False, grid=False)


def sparkline(weeks: Sequence[DimensionWeek]) -> Chart | None:
    """Weekly means on the whole scale: stretched to its own range, every line would look like a drama."""
    frame = frame_of(week for week in weeks if week.mean_score is not None)
    if len(frame) < 2:
        return None
    x = alt.X("week_start:T", axis=None)
    y = alt.Y("mean_score:Q", axis=None, scale=alt.Scale(domain=SCORE_DOMAIN, nice=False))
    tooltip = [
        alt.Tooltip("week_start:T", title="Week of", format="%-d %b %Y"),
        alt.Tooltip("mean_score:Q", title="Mean", format=".0f"),
        alt.Tooltip("n_calls:Q", title="Calls"),
    ]
    base = alt.Chart(frame).encode(x=x, y=y, tooltip=tooltip)
    return alt.layer(
        base.mark_line(strokeWidth=2, opacity=0.8), base.mark_point(filled=True, size=14, opacity=0.8)
    ).properties(height=SPARK_HEIGHT)


def _score_axis(field: str) -> alt.Y:
    return alt.Y(
        field,
        type="quantitative",
        title=None,
        scale=alt.Scale(domain=SCORE_DOMAIN, nice=False),
        axis=alt.Axis(values=[0, 25, 50, 75, 100], grid=True),
    )


def rep_dimension(calls: Sequence[ScoredCall], weeks: Sequence[TrendWeek]) -> Chart | None:
    """Dots are calls, the line is the rolling mean, the band its 95 % interval; hollow dots are of the running week."""
    scored = frame_of(call for call in calls if call.score is not None)
    rolling = frame_of(week for week in weeks if week.rolling_score is not None)
    layers: list[alt.Chart] = []
    day = alt.X("at:T", title=None, axis=alt.Axis(format="%-d %b", tickCount=5, labelOverlap=True, grid=False))
    if not rolling.empty:
        # a week's value stands at its end, where the calls it sums lie behind it
        rolling["at"] = pd.to_datetime(rolling["week_start"]) + pd.Timedelta(days=6)
        base = alt.Chart(rolling)
        layers.append(
            base.mark_area(opacity=0.16).encode(
                x=day, y=_score_axis("rolling_low"), y2=alt.Y2("rolling_high"), tooltip=alt.value(None)
            )
        )
        layers.append(
            base.mark_line(strokeWidth=2.5, interpolate="monotone").encode(
                x=day,
                y=_score_axis("rolling_score"),
                tooltip=[
                    alt.Tooltip("week_start:T", title="Week of", format="%-d %b %Y"),
                    alt.Tooltip("rolling_score:Q", title="Rolling score", format=".1f"),
                    alt.Tooltip("rolling_low:Q", title="From", format=".1f"),
                    alt.Tooltip("rolling_high:Q", title="To", format=".1f"),
                    alt.Tooltip("rolling_n:Q", title="Calls in it"),
                ],
            )
        )
        breaks = rolling[rolling["has_version_break"]]
        if not breaks.empty:
            layers.append(
                alt.Chart(breaks)
                .mark_rule(strokeDash=[4, 3], color="gray")
                .encode(x=day, tooltip=[alt.Tooltip("rubric_version:N", title="New rubric version")])
            )
    if not scored.empty:
        scored["at"] = pd.to_datetime(scored["started_at"], utc=True).dt.tz_localize(None)
        tooltip = [
            alt.Tooltip("title:N", title="Call"),
            alt.Tooltip("at:T", title="Held", format="%-d %b %Y %H:%M"),
            alt.Tooltip("score:Q", title="Score", format=".1f"),
            alt.Tooltip("n_markers_met:Q", title="Markers met"),
            alt.Tooltip("n_markers_applicable:Q", title="Markers with an opportunity"),
            alt.Tooltip("is_running_week:N", title="Running week"),
        ]
        for is_running, is_filled in ((False, True), (True, False)):
            part = scored[scored["is_running_week"] == is_running]
            if not part.empty:
                dots = alt.Chart(part).mark_point(filled=is_filled, size=42, opacity=0.6, strokeWidth=1.8)
                layers.append(dots.encode(x=day, y=_score_axis("score"), tooltip=tooltip))
    if not layers:
        return None
    return alt.layer(*layers).properties(height=CHART_HEIGHT)


def score_range(
    rows: Sequence[Any], *, value: str, low: str, high: str, label: str, middle: float | None = None
) -> Chart | None:
    """One dot and interval per row, ordered by the dot: how sure one can be is as visible as the value."""
    frame = frame_of(rows)
    if frame.empty or frame[value].isna().all():
        return None
    frame = frame[frame[value].notna()]
    order = alt.EncodingSortField(field=value, order="descending")
    y = alt.Y(f"{label}:N", sort=order, title=None, axis=_names_axis(120))
    x_scale = alt.Scale(domain=SCORE_DOMAIN, nice=False)
    x_axis = alt.Axis(values=[0, 25, 50, 75, 100])
    base = alt.Chart(frame)
    tooltip = [
        alt.Tooltip(f"{label}:N", title="Rep"),
        alt.Tooltip(f"{value}:Q", title="Score", format=".1f"),
        alt.Tooltip(f"{low}:Q", title="From", format=".1f"),
        alt.Tooltip(f"{high}:Q", title="To", format=".1f"),
        alt.Tooltip("n_calls:Q", title="Calls"),
    ]
    layers = [
        base.mark_rule(strokeWidth=6, opacity=0.45, color="gray").encode(
            y=y, x=alt.X(f"{low}:Q", scale=x_scale, axis=x_axis, title=None), x2=f"{high}:Q", tooltip=tooltip
        ),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            y=y, x=alt.X(f"{value}:Q", scale=x_scale, axis=x_axis, title=None), tooltip=tooltip
        ),
    ]
    if middle is not None:
        rule = alt.Chart(pd.DataFrame({"middle": [middle]})).mark_rule(strokeDash=[4, 3], color="gray")
        layers.insert(0, rule.encode(x=alt.X("middle:Q", scale=x_scale, axis=x_axis, title=None)))
    return alt.layer(*layers).properties(height=32 * len(frame) + 30)


def dimension_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Dimensions in reading order with their titles."""
    known = [dimension for dimension in DIMENSIONS if dimension in set(frame["dimension"])]
    rest = sorted(set(frame["dimension"]) - set(known))
    ordered = pd.Categorical(frame["dimension"], categories=[*known, *rest], ordered=True)
    return frame.assign(
        dimension=ordered, dimension_title=frame["dimension"].map(lambda name: DIMENSION_TITLES.get(name, name))
    ).sort_values("dimension", kind="stable")


def talk_strip(turns: Sequence[Turn], moments: Sequence[Moment], *, speaker_names: dict[str, str]) -> Chart | None:
    """Who spoke when: one lane per speaker, quoted moments as marks above their place."""
    frame = frame_of(turns)
    if frame.empty:
        return None
    frame["from_min"] = frame["start_ms"] / 60_000
    # a turn without an end, or of an instant, still shows
    frame["to_min"] = frame[["start_ms", "end_ms"]].max(axis=1).add(400) / 60_000
    frame["speaker"] = frame["speaker_label"].map(lambda label: speaker_names.get(label, label))
    frame["excerpt"] = frame["text"].str.slice(0, 160)
    marks = frame_of(moments)
    lanes = [*(["Moments"] if not marks.empty else []), *dict.fromkeys(frame["speaker"])]
    sides = ["rep", "customer", "team", "unknown"]
    y = alt.Y("speaker:N", sort=lanes, scale=alt.Scale(domain=lanes), title=None, axis=_names_axis(80))
    x_axis = alt.Axis(title="minutes", grid=True, tickMinStep=1, tickCount=8)
    bars = (
        alt.Chart(frame)
        .mark_bar(height=16, cornerRadius=2)
        .encode(
            x=alt.X("from_min:Q", axis=x_axis, scale=alt.Scale(nice=False)),
            x2="to_min:Q",
            y=y,
            color=alt.Color("side:N", sort=sides, scale=alt.Scale(domain=sides), legend=None),
            opacity=alt.condition("datum.is_backchannel", alt.value(0.35), alt.value(1)),
            tooltip=[
                alt.Tooltip("speaker:N", title="Speaker"),
                alt.Tooltip("turn_id:Q", title="Turn"),
                alt.Tooltip("excerpt:N", title="Said"),
            ],
        )
    )
    layers: list[alt.Chart] = [bars]
    if not marks.empty:
        marks["at_min"] = marks["start_ms"] / 60_000
        marks["speaker"] = "Moments"
        marks["kind"] = marks["polarity"].map({"strength": "strength", "gap": "to work on"})
        marks["excerpt"] = marks["quote"].str.slice(0, 160)
        layers.append(
            alt.Chart(marks)
            .mark_point(filled=True, size=60, opacity=0.8, color="gray")
            .encode(
                x=alt.X("at_min:Q", axis=x_axis),
                y=y,
                shape=alt.Shape(
                    "kind:N",
                    scale=alt.Scale(domain=["strength", "to work on"], range=["triangle-up", "diamond"]),
                    legend=alt.Legend(orient="bottom", title=None),
                ),
                tooltip=[alt.Tooltip("kind:N", title="Moment"), alt.Tooltip("excerpt:N", title="Quote")],
            )
        )
    return alt.layer(*layers).properties(height=28 * len(lanes) + 75)


def paired_levels(frame: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Levels of two calls on one line per criterion."""
    known = frame[frame["level"].notna()]
    y = alt.Y("criterion:N", title=None, sort=None, axis=_names_axis(210))
    x = alt.X(
        "level:Q",
        title=None,
        scale=alt.Scale(domain=[0.8, 5.2], nice=False),
        axis=alt.Axis(values=[1, 2, 3, 4, 5], format="d"),
    )
    tooltip = ["criterion:N", "call:N", alt.Tooltip("level:Q", title="Level")]
    between = known.groupby("criterion", as_index=False, sort=False)["level"].agg(["min", "max"])
    line = alt.Chart(between).mark_rule(color="gray").encode(y=y, x=alt.X("min:Q", title=None), x2="max:Q")
    first = alt.Chart(known[known["call"] == "first"]).mark_point(filled=True, size=110, opacity=0.9)
    second = alt.Chart(known[known["call"] == "second"]).mark_point(filled=False, size=190, strokeWidth=2.2)
    return alt.layer(
        line, first.encode(x=x, y=y, tooltip=tooltip), second.encode(x=x, y=y, tooltip=tooltip)
    ).properties(height=30 * known["criterion"].nunique() + 60)


def cost_by_day(frame: pd.DataFrame, *, since: date, until: date) -> alt.Chart:
    """Dollars per day over the whole window, sandbox and paid apart."""
    window = alt.Scale(domain=[since.isoformat(), (until + timedelta(days=1)).isoformat()])
    shown = frame.assign(kind=frame["is_sandbox"].map({True: "sandbox", False: "paid"}))
    return (
        alt.Chart(shown)
        .mark_bar(cornerRadius=2)
        .encode(
            x=alt.X(
                "yearmonthdate(group):T",
                title=None,
                scale=window,
                axis=alt.Axis(format="%-d %b", labelOverlap=True, grid=False),
            ),
            y=alt.Y("cost_usd:Q", title="Dollars", axis=alt.Axis(format="$.2f")),
            color=alt.Color("kind:N", legend=alt.Legend(title=None, orient="bottom")),
            tooltip=[
                alt.Tooltip("group:T", title="Day", format="%-d %b %Y"),
                alt.Tooltip("kind:N", title="Kind"),
                alt.Tooltip("cost_usd:Q", title="Cost", format="$.3f"),
                alt.Tooltip("n_requests:Q", title="Requests"),
                alt.Tooltip("n_failed:Q", title="Failed"),
            ],
        )
        .properties(height=230)
    )


def health_by_day(frame: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Eligible calls as bars, scored ones inside them."""
    x = alt.X("yearmonthdate(day):T", title=None, axis=alt.Axis(format="%-d %b", labelOverlap=True, grid=False))
    tooltip = [
        alt.Tooltip("day:T", title="Day", format="%-d %b %Y"),
        alt.Tooltip("n_eligible_calls:Q", title="Eligible"),
        alt.Tooltip("n_scored_calls:Q", title="Scored"),
        alt.Tooltip("n_failed_scores:Q", title="Failed scores"),
    ]
    eligible = alt.Chart(frame).mark_bar(opacity=0.3, cornerRadius=2)
    scored = alt.Chart(frame).mark_bar(cornerRadius=2)
    return alt.layer(
        eligible.encode(x=x, y=alt.Y("n_eligible_calls:Q", title="Calls"), tooltip=tooltip),
        scored.encode(x=x, y=alt.Y("n_scored_calls:Q", title="Calls"), tooltip=tooltip),
    ).properties(height=220)


# practitioners' figures to start with, by type of call; types without one have no usual range
TALK_BANDS = {
    "discovery": (0.30, 0.45),
    "demo": (0.45, 0.60),
    "technical": (0.40, 0.55),
    "negotiation": (0.40, 0.45),
    "business_review": (0.35, 0.50),
}


def talk_bands(shares: Sequence[TalkShare]) -> Chart | None:
    """One line per type of call: the usual range, everyone's mean, this rep's."""
    frame = frame_of(shares)
    if frame.empty:
        return None
    frame["low"] = [TALK_BANDS.get(name, (None, None))[0] for name in frame["call_type"]]
    frame["high"] = [TALK_BANDS.get(name, (None, None))[1] for name in frame["call_type"]]
    frame["type"] = [
        f"{name.replace('_', ' ').capitalize()} (n {n})"
        for name, n in zip(frame["call_type"], frame["n_calls"], strict=True)
    ]
    y = alt.Y("type:N", title=None, sort=None, axis=_names_axis(140))
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
    tooltip = [
        alt.Tooltip("type:N", title="Type"),
        alt.Tooltip("talk_ratio:Q", title="This rep", format=".0%"),
        alt.Tooltip("everyones_talk_ratio:Q", title="Everyone", format=".0%"),
        alt.Tooltip("everyones_n_calls:Q", title="Calls of everyone"),
        alt.Tooltip("low:Q", title="Usual from", format=".0%"),
        alt.Tooltip("high:Q", title="Usual to", format=".0%"),
    ]
    base = alt.Chart(frame)
    return alt.layer(
        base.mark_bar(height=14, opacity=0.22, cornerRadius=3).encode(
            y=y, x=alt.X("low:Q", scale=scale, axis=axis, title=None), x2="high:Q", tooltip=tooltip
        ),
        base.mark_tick(thickness=2, size=18, opacity=0.9).encode(
            y=y, x=alt.X("everyones_talk_ratio:Q", scale=scale, axis=axis, title=None), tooltip=tooltip
        ),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            y=y, x=alt.X("talk_ratio:Q", scale=scale, axis=axis, title=None), tooltip=tooltip
        ),
    ).properties(height=34 * len(frame) + 30)
