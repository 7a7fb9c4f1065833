"""A few weeks as a line of ink: drawn as SVG, because a page of four small lines need not load a chart library."""

from collections.abc import Sequence

from streamlit_app.chrome import calls_text, day_text, plain_html
from streamlit_app.queries.scores import DimensionWeek

HEIGHT = 48
# keeps the first and the last dot inside the picture, in percent of its width
_MARGIN = 2.0
# reads on light and on dark, 4.1 to 1 at least
_INK = "#14857b"


def sparkline(weeks: Sequence[DimensionWeek], *, label: str) -> str | None:
    """Weekly means on the whole scale: stretched to its own range, every line would look like a drama.

    Weeks without a mean leave their place empty. None under two weeks that have one.
    """
    first = weeks[0].week_start if weeks else None
    span = (weeks[-1].week_start - first).days if first else 0
    places = [
        (_MARGIN + (100 - 2 * _MARGIN) * (week.week_start - first).days / span, 100 - week.mean_score, week)
        for week in weeks
        if first and span and week.mean_score is not None
    ]
    if len(places) < 2:
        return None
    line = " ".join(f"{x:.2f},{y:.1f}" for x, y, _ in places)
    dots = "".join(
        f'<circle cx="{x:.2f}%" cy="{y:.1f}%" r="2.4" fill="{_INK}"><title>Week of {day_text(week.week_start)}: '
        f"{week.mean_score:.0f}, {calls_text(week.n_calls)}</title></circle>"
        for x, y, week in places
    )
    return (
        f'<svg role="img" aria-label="{plain_html(label)}" width="100%" height="{HEIGHT}" style="display:block">'
        '<svg width="100%" height="100%" viewBox="0 0 100 100" preserveAspectRatio="none">'
        f'<polyline points="{line}" fill="none" stroke="{_INK}" stroke-width="2" '
        'style="vector-effect:non-scaling-stroke"/></svg>'
        f"{dots}</svg>"
    )
