"""Who spoke when, as plain HTML: hundreds of bars stand before a chart library would have been loaded."""

from collections.abc import Sequence

from streamlit_app.chrome import plain_html
from streamlit_app.queries.calls import Turn
from streamlit_app.queries.moments import Moment
from streamlit_app.texts import clock
from streamlit_app.transcript import speaker_name

# each reads on light and on dark, 3.3 to 1 at least
_INKS = {"rep": "#14857b", "customer": "#c4681d", "team": "#8263d8", "unknown": "#7a8694"}
_MARKS = {"strength": ("▲", "strength"), "gap": ("◆", "to work on")}
_TICK_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120)
_MOST_TICKS = 9
# a pixel of a wide screen: turns of one speaker that are nearer than this are one bar
_NEAR = 0.001
_SHOWN_CHARACTERS = 160
_STYLE = (
    "<style>.talk-strip{display:grid;grid-template-columns:6.2rem 1fr;gap:5px 10px;font-size:.82rem}"
    ".talk-strip div{position:relative;height:16px;line-height:16px;opacity:.95}"
    ".talk-strip i{position:absolute;height:16px;min-width:2px;border-radius:2px}"
    ".talk-strip i.brief{opacity:.35}"
    ".talk-strip b{position:absolute;transform:translateX(-50%);font-weight:400;cursor:default}"
    ".talk-strip .tick{font-size:.92em;opacity:.85}"
    ".talk-strip .track{background:rgba(128,140,150,.10);border-radius:2px}</style>"
)


class _Scale:
    """Milliseconds into the call as a share of its length, in percent."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.length_ms = max(1, *(max(turn.start_ms, turn.end_ms) for turn in turns))

    def percent(self, at_ms: int) -> str:
        return f"{100 * min(max(0, at_ms), self.length_ms) / self.length_ms:.2f}%"


def _bars(spoken: Sequence[Turn], scale: _Scale) -> str:
    bars: list[list[Turn]] = []
    for turn in spoken:
        last = bars[-1][-1] if bars else None
        if (
            last is not None
            and turn.start_ms - last.end_ms < _NEAR * scale.length_ms
            and turn.is_backchannel == last.is_backchannel
        ):
            bars[-1].append(turn)
        else:
            bars.append([turn])
    return "".join(
        f'<i{" class=brief" if bar[0].is_backchannel else ""} style="left:{scale.percent(bar[0].start_ms)};'
        f"width:{scale.percent(max(turn.end_ms for turn in bar) - bar[0].start_ms)};"
        f'background:{_INKS.get(bar[0].side, _INKS["unknown"])}" title="'
        + plain_html(f"{clock(bar[0].start_ms)} · {' '.join(turn.text for turn in bar)[:_SHOWN_CHARACTERS]}")
        + '"></i>'
        for bar in bars
    )


def _marks(moments: Sequence[Moment], scale: _Scale) -> str:
    return "".join(
        f'<b style="left:{scale.percent(moment.start_ms)}" title="'
        + plain_html(f"{clock(moment.start_ms)} · {_MARKS[moment.polarity][1]}: {moment.quote[:_SHOWN_CHARACTERS]}")
        + f'">{_MARKS[moment.polarity][0]}</b>'
        for moment in moments
        if moment.polarity in _MARKS
    )


def _ticks(scale: _Scale) -> str:
    minutes = scale.length_ms / 60_000
    step = next((step for step in _TICK_MINUTES if minutes / step < _MOST_TICKS), _TICK_MINUTES[-1])
    return "".join(
        f'<b class=tick style="left:{scale.percent(minute * 60_000)}">{minute}</b>'
        for minute in range(0, int(minutes) + 1, step)
    )


def talk_strip(turns: Sequence[Turn], moments: Sequence[Moment], *, label: str) -> str | None:
    """One lane per speaker in the order they first spoke, quoted moments above them, minutes below; none without turns.

    What was said stands in the title of each bar; turns of one speaker that no screen could keep apart are one bar.
    """
    if not turns:
        return None
    scale = _Scale(turns)
    lanes: dict[str, list[Turn]] = {}
    for turn in turns:
        lanes.setdefault(turn.speaker_label, []).append(turn)
    rows = [("Moments", f"<div>{_marks(moments, scale)}</div>")] if moments else []
    rows += [(speaker_name(name), f"<div class=track>{_bars(spoken, scale)}</div>") for name, spoken in lanes.items()]
    rows.append(("Minutes", f"<div>{_ticks(scale)}</div>"))
    body = "".join(f'<div style="text-align:right">{plain_html(name)}</div>{row}' for name, row in rows)
    return f'{_STYLE}<div class="talk-strip" role="img" aria-label="{plain_html(label)}">{body}</div>'
