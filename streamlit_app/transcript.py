"""A call's transcript as HTML: everything that was said is escaped, quoted stretches are marked."""

from collections.abc import Iterable, Sequence

from streamlit_app.chrome import plain_html
from streamlit_app.queries.calls import Turn
from streamlit_app.queries.moments import Moment
from streamlit_app.rubric_texts import criterion_title
from streamlit_app.texts import clock

SIDE_NAMES = {"rep": "Rep", "team": "Team", "customer": "Customer", "unknown": "Unknown"}
# translucent, so that one value reads on light and on dark
_MARK_STYLES = {
    "strength": "background:rgba(19,143,83,.20);border-bottom:2px solid rgba(19,143,83,.9)",
    "gap": "background:rgba(214,110,20,.20);border-bottom:2px dashed rgba(214,110,20,.95)",
}
_MARK = '<mark style="{style};color:inherit;padding:1px 2px;border-radius:3px" title="{title}">{text}</mark>'
_TAG = '<span style="font-size:.8em;opacity:.85"> [{text}]</span>'


def speaker_name(label: str) -> str:
    """`CUSTOMER_1` as people write it."""
    side, _, number = label.partition("_")
    return f"{SIDE_NAMES.get(side.lower(), side.capitalize())}{f' {number}' if number else ''}"


def _marked(text: str, moments: Iterable[Moment]) -> str:
    spans: list[tuple[int, int, Moment]] = []
    for moment in moments:
        start = text.find(moment.quote)
        end = start + len(moment.quote)
        if start >= 0 and all(end <= other[0] or start >= other[1] for other in spans):
            spans.append((start, end, moment))
    pieces: list[str] = []
    position = 0
    for start, end, moment in sorted(spans, key=lambda span: span[0]):
        kind = "strength" if moment.polarity == "strength" else "to work on"
        title = f"{kind}: {criterion_title(moment.criterion_id)}"
        pieces += [
            plain_html(text[position:start]),
            _MARK.format(
                style=_MARK_STYLES.get(moment.polarity, _MARK_STYLES["gap"]),
                title=plain_html(title),
                text=plain_html(text[start:end]),
            ),
            _TAG.format(text=plain_html(title)),
        ]
        position = end
    pieces.append(plain_html(text[position:]))
    return "".join(pieces)


def transcript_html(turns: Sequence[Turn], moments: Iterable[Moment] = (), *, focus_turn_id: int | None = None) -> str:
    """An ordered list of turns: time, speaker, words."""
    by_turn: dict[int, list[Moment]] = {}
    for moment in moments:
        by_turn.setdefault(moment.turn_id, []).append(moment)
    items: list[str] = []
    for turn in turns:
        frame = (
            "border-left:3px solid rgba(20,133,123,.95);background:rgba(20,133,123,.08);"
            if turn.turn_id == focus_turn_id
            else "border-left:3px solid transparent;"
        )
        weight = "600" if turn.side == "rep" else "500"
        items.append(
            f'<li style="{frame}padding:.35rem .6rem;margin:0;list-style:none;overflow-wrap:anywhere'
            f'{";opacity:.8" if turn.is_backchannel else ""}">'
            f'<span style="font-variant-numeric:tabular-nums;opacity:.8;font-size:.85em">{clock(turn.start_ms)}</span> '
            f'<span style="font-weight:{weight};font-size:.9em">{plain_html(speaker_name(turn.speaker_label))}</span>'
            f"<div>{_marked(turn.text, by_turn.get(turn.turn_id, ()))}</div></li>"
        )
    return f'<ol style="margin:0;padding:0;line-height:1.5">{"".join(items)}</ol>'
