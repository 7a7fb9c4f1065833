"""Levels of criteria by rep as an HTML table: readable on a phone and by a screen reader, which a drawn grid is not."""

from collections.abc import Mapping
from dataclasses import dataclass

from streamlit_app.chrome import plain_html

# ends of the theme's sequential colours; the number in a cell carries the meaning, the colour only leads the eye
_PALE, _STRONG = (0xEE, 0xF7, 0xF6), (0x08, 0x5A, 0x54)
# ten steps, so that no cell falls between the shades that dark and the shades that light text can be read on
_STEPS, _LIGHT_TEXT_FROM = 10, 8
_EMPTY = '<td style="padding:2px;text-align:center;opacity:.6">–</td>'


@dataclass(frozen=True)
class Level:
    """One cell: a mean level of 1 to 5 and the calls it rests on."""

    mean_level: float
    n_calls: int


Colour = tuple[int, int, int]


def cell_colours(mean_level: float) -> tuple[Colour, Colour]:
    """Background and text of a level from 1 (pale) to 5 (strong)."""
    step = round((mean_level - 1) / 4 * _STEPS)
    red, green, blue = (
        round(pale + step / _STEPS * (strong - pale)) for pale, strong in zip(_PALE, _STRONG, strict=True)
    )
    return (red, green, blue), (255, 255, 255) if step >= _LIGHT_TEXT_FROM else (6, 16, 14)


def _cell(level: Level | None, description: str) -> str:
    if level is None:
        return _EMPTY
    background, text = cell_colours(level.mean_level)
    return (
        f'<td title="{plain_html(description)}" style="padding:2px"><div style="background:rgb{background};'
        f'color:rgb{text};border-radius:4px;text-align:center;padding:3px 2px;line-height:1.15">'
        f"<b>{level.mean_level:.1f}</b>"
        f'<div style="font-size:.72em">{level.n_calls}</div></div></td>'
    )


def heat_table(
    cells: Mapping[tuple[str, str], Level], *, rows: Mapping[str, str], columns: Mapping[str, str], label: str
) -> str:
    """One row per rep, one column per criterion, each an id with its title; a dash where too few calls were seen."""
    heads = "".join(
        '<th scope="col" style="padding:2px;font-weight:500;font-size:.7em;vertical-align:bottom;line-height:1.2;'
        f'hyphens:auto;overflow-wrap:anywhere">{plain_html(title)}</th>'
        for title in columns.values()
    )
    body = "".join(
        '<tr><th scope="row" style="padding:2px 6px 2px 0;font-weight:500;text-align:left;font-size:.88em">'
        f"{plain_html(name)}</th>"
        + "".join(_cell(cells.get((row, column)), f"{name}: {title}") for column, title in columns.items())
        + "</tr>"
        for row, name in rows.items()
    )
    return (
        f'<table lang="en" aria-label="{plain_html(label)}" style="width:100%;border-collapse:collapse;'
        f'table-layout:fixed;font-variant-numeric:tabular-nums"><colgroup><col style="width:25%"></colgroup>'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )
