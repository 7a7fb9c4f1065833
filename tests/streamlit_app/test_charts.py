"""What a chart draws, read from its specification."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from streamlit_app.charts import Spec, rep_dimension
from streamlit_app.queries.scores import DimensionWeek, ScoredCall, TrendWeek
from streamlit_app.week_bars import week_bars

MONDAY = date(2026, 11, 16)


def call(week_start: date, *, is_running_week: bool, score: float | None = 60.0) -> ScoredCall:
    return ScoredCall(
        call_id=f"call-{week_start}",
        title="Discovery with Account 1",
        account_name="Account 1",
        call_type="discovery",
        started_at=datetime(week_start.year, week_start.month, week_start.day, 9, tzinfo=UTC),
        week_start=week_start,
        is_running_week=is_running_week,
        dimension="discovery",
        score=score,
        na_reason=None,
        n_markers_met=3,
        n_markers_applicable=5,
        rubric_version="a",
        is_sandbox=True,
    )


def week(week_start: date, *, is_running_week: bool) -> TrendWeek:
    return TrendWeek(
        dimension="discovery",
        week_start=week_start,
        is_running_week=is_running_week,
        n_calls=2,
        mean_score=60.0,
        rolling_score=61.0,
        rolling_n=8,
        rolling_low=55.0,
        rolling_high=67.0,
        signal="no clear change",
        rubric_version="a",
        has_version_break=False,
    )


def rows_of(spec: Spec | None, mark: str, **look: Any) -> list[dict[str, Any]]:
    """What the layers of that mark and look draw."""
    layers = [layer for layer in (spec or {})["layer"] if {"type": mark, **look}.items() <= layer["mark"].items()]
    return [row for layer in layers for row in layer["data"]["values"]]


def test_the_running_week_is_marked_on_a_trend() -> None:
    weeks = [MONDAY - timedelta(weeks=2), MONDAY - timedelta(weeks=1), MONDAY]
    spec = rep_dimension(
        [call(start, is_running_week=start == MONDAY) for start in weeks],
        [week(start, is_running_week=start == MONDAY) for start in weeks],
    )
    assert [row["at"][:10] for row in rows_of(spec, "point", filled=True)] == [str(start) for start in weeks[:2]]
    assert [(row["at"][:10], row["running"]) for row in rows_of(spec, "point", filled=False)] == [(str(MONDAY), "yes")]
    starts = [f"{start}T00:00:00" for start in weeks]
    assert [row["week"] for row in rows_of(spec, "line", interpolate="monotone")] == starts[:2]
    assert [row["week"] for row in rows_of(spec, "line", strokeDash=[3, 3])] == starts[1:]


def test_the_line_of_a_running_week_ends_with_its_newest_call() -> None:
    spec = rep_dimension([call(MONDAY, is_running_week=True)], [week(MONDAY, is_running_week=True)])
    (end,) = rows_of(spec, "line", strokeDash=[3, 3])
    assert end["at"] == f"{MONDAY}T00:00:00"


def test_a_call_without_a_score_is_no_dot() -> None:
    assert rep_dimension([call(MONDAY, is_running_week=True, score=None)], []) is None


@pytest.mark.parametrize("means", [(), (60.0,), (None, 60.0)], ids=["no week", "one week", "one mean"])
def test_bars_of_weeks_need_two_that_have_a_mean(means: tuple[float | None, ...]) -> None:
    assert week_bars(weeks_with(*means), label="Discovery") is None


def test_a_bar_stands_for_a_week_a_gap_for_none_and_an_outline_for_the_running_one() -> None:
    drawn = week_bars(weeks_with(60.0, None, 80.0, running=True), label="<Discovery>") or ""
    bars = drawn.split("<div ")[2:]
    assert [("height:60%" in bars[0]), ("no score" in bars[1]), ("height:80%" in bars[2])] == [True] * 3
    assert ["background" in bar for bar in bars] == [True, False, False]
    assert "Week of 16 Nov 2026: 60, 3 calls" in bars[0]
    assert "3 calls, still running" in bars[2]
    assert "&lt;Discovery&gt;" in drawn


def weeks_with(*means: float | None, running: bool = False) -> list[DimensionWeek]:
    return [
        DimensionWeek(
            dimension="discovery",
            week_start=MONDAY + timedelta(weeks=nth),
            is_running_week=running and nth == len(means) - 1,
            n_calls=3,
            mean_score=mean,
        )
        for nth, mean in enumerate(means)
    ]
