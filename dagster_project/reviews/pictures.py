"""Charts of the dashboard as PNG, drawn without a browser and without the network."""

import re
from collections.abc import Sequence
from typing import Any

import vl_convert

from dagster_project.reviews.document import Picture
from streamlit_app.charts import Interval, Spec, rep_dimension, score_range
from streamlit_app.queries.metrics import DIMENSION_TITLES, DIMENSIONS
from streamlit_app.queries.scores import ScoredCall, TrendWeek

# what XML has no place for, and a picture is drawn through it
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
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
            panels.append({**chart, "width": PANEL_WIDTH, "height": 140, "title": DIMENSION_TITLES[dimension]})
    return _picture(panels, content_id="trends", alt_text=alt_text)


def standings(ranges: Sequence[tuple[str, Interval]], *, content_id: str, alt_text: str) -> Picture | None:
    """One panel per dimension, one dot and interval per name."""
    panels = []
    for dimension in DIMENSIONS:
        chart = score_range(interval for of, interval in ranges if of == dimension)
        if chart is not None:
            panels.append({**chart, "width": PANEL_WIDTH, "title": DIMENSION_TITLES[dimension]})
    return _picture(panels, content_id=content_id, alt_text=alt_text)


def _picture(panels: Sequence[Spec], *, content_id: str, alt_text: str) -> Picture | None:
    if not panels:
        return None
    sheet = {"concat": list(panels), "columns": 2, "spacing": 18, "config": PAPER}
    png = vl_convert.vegalite_to_png(_drawable(sheet), scale=PIXELS_PER_POINT)
    return Picture(content_id=content_id, alt_text=alt_text, png=png)


def _drawable(value: Any) -> Any:
    """The same without what cannot be drawn: one such character in a call's title fails the whole picture."""
    match value:
        case str():
            return NOT_XML.sub("", value)
        case dict():
            return {name: _drawable(part) for name, part in value.items()}
        case list() | tuple():
            return [_drawable(part) for part in value]
        case _:
            return value
