"""Charts of the dashboard as PNG, drawn without a browser and without the network."""

import functools
import json
from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert

from dagster_project.reviews.document import Picture
from streamlit_app.charts import rep_dimension, score_range
from streamlit_app.queries.metrics import DIMENSION_TITLES, DIMENSIONS
from streamlit_app.queries.scores import ScoredCall, TrendWeek

PANEL_WIDTH = 250
PIXELS_PER_POINT = 2
INK, LINE = "#16212b", "#d5dde3"
# the dashboard's theme colours its charts; a mail has no theme, so the picture brings its own
PAPER: dict[str, Any] = {
    "background": "#ffffff",
    "font": "DejaVu Sans",
    "axis": {"labelColor": INK, "titleColor": INK, "gridColor": LINE, "domainColor": LINE, "tickColor": LINE},
    "title": {"color": INK, "fontSize": 14, "anchor": "start"},
    "mark": {"color": "#0f766e"},
    "view": {"stroke": None},
}


def rep_trends(calls: Sequence[ScoredCall], weeks: Sequence[TrendWeek], *, alt_text: str) -> Picture | None:
    """The four panels of the rep's page, two by two."""
    panels = []
    for dimension in DIMENSIONS:
        chart = rep_dimension(
            [call for call in calls if call.dimension == dimension],
            [week for week in weeks if week.dimension == dimension],
        )
        if chart is not None:
            panels.append(chart.properties(width=PANEL_WIDTH, height=140, title=DIMENSION_TITLES[dimension]))
    return _picture(panels, content_id="trends", alt_text=alt_text)


def standings(rows: Sequence[Any], *, label: str, content_id: str, alt_text: str) -> Picture | None:
    """One panel per dimension, one dot and interval per row."""
    panels = []
    for dimension in DIMENSIONS:
        chart = score_range(
            [row for row in rows if row.dimension == dimension],
            value="rolling_score",
            low="rolling_low",
            high="rolling_high",
            label=label,
        )
        if chart is not None:
            panels.append(chart.properties(width=PANEL_WIDTH, title=DIMENSION_TITLES[dimension]))
    return _picture(panels, content_id=content_id, alt_text=alt_text)


def _picture(panels: Sequence[Any], *, content_id: str, alt_text: str) -> Picture | None:
    if not panels:
        return None
    chart = alt.concat(*panels, columns=2, spacing=18).configure(**PAPER)
    _prepare()
    # dates stay Python's in the rows and become text here
    specification = json.dumps(chart.to_dict(), default=str)
    png = vl_convert.vegalite_to_png(specification, scale=PIXELS_PER_POINT)
    return Picture(content_id=content_id, alt_text=alt_text, png=png)


@functools.cache
def _prepare() -> None:
    # altair's limit of 5,000 rows is for notebooks; a rep has hundreds
    alt.data_transformers.disable_max_rows()
