"""A few weeks as small bars in plain HTML: four of them need not load a chart library before a page stands."""

from collections.abc import Sequence

from streamlit_app.chrome import calls_text, day_text, plain_html
from streamlit_app.queries.scores import DimensionWeek

# reads on light and on dark, 4.1 to 1 at least
_INK = "#14857b"
_WHOLE = f"background:{_INK}"
_RUNNING = f"border:1.5px solid {_INK};border-bottom:0;box-sizing:border-box"


def _bar(week: DimensionWeek) -> str:
    running = ", still running" if week.is_running_week else ""
    if week.mean_score is None:
        return f'<div style="flex:1;height:100%" title="Week of {day_text(week.week_start)}: no score{running}"></div>'
    return (
        f'<div style="flex:1;height:{week.mean_score:.0f}%;border-radius:2px 2px 0 0;'
        f'{_RUNNING if week.is_running_week else _WHOLE}" title="Week of {day_text(week.week_start)}: '
        f'{week.mean_score:.0f}, {calls_text(week.n_calls)}{running}"></div>'
    )


def week_bars(weeks: Sequence[DimensionWeek], *, label: str) -> str | None:
    """Weekly means on the whole scale: stretched to its own range, every row would look like a drama.

    The running week is an outline, a week without a mean leaves its place empty. None under two weeks that have one.
    """
    if sum(week.mean_score is not None for week in weeks) < 2:
        return None
    return (
        f'<div role="img" aria-label="{plain_html(label)}" style="display:flex;align-items:flex-end;gap:3px;'
        'height:44px;margin:2px 0 4px;border-bottom:1px solid rgba(128,140,150,.6)">'
        f"{''.join(map(_bar, weeks))}</div>"
    )
