"""Levels as a table: every shade readable, nothing that was typed is markup."""

import pytest

from streamlit_app.heat_table import Colour, Level, cell_colours, heat_table


def luminance(colour: Colour) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [value / 255 for value in colour]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("tenths", range(10, 51))
def test_the_number_in_a_cell_can_be_read_on_its_shade(tenths: int) -> None:
    low, high = sorted(map(luminance, cell_colours(tenths / 10)))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_a_table_has_a_cell_or_a_dash_for_everything_and_names_are_never_markup() -> None:
    rows = {"1": "<b>Al</b>", "2": "<b>Al</b>"}
    html = heat_table({("1", "depth"): Level(3.24, 7)}, rows=rows, columns={"depth": "Depth"}, label="x")
    assert "&lt;b&gt;Al&lt;/b&gt;" in html
    assert "<b>3.2</b>" in html
    assert html.count(">–<") == 1
    assert html.count('scope="row"') == 2
