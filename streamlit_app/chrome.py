"""What every page has in common: its head, its words for numbers and times, its links and its rows as CSV."""

import html
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeVar

import pandas as pd
import streamlit as st

from streamlit_app.cached import ask, current_viewer, forget_answers
from streamlit_app.queries.database import WarehouseError
from streamlit_app.queries.freshness import Freshness, freshness
from streamlit_app.queries.metrics import DIMENSION_TITLES
from streamlit_app.texts import excerpt, visible

Option = TypeVar("Option")

SANDBOX_HELP = (
    "These scores were made by the offline stand-in that takes Claude's place in the demo. "
    "They show how the product works and say nothing about anyone's skill."
)
CONTEXT_CHARACTERS = 240
DISCLAIMER = "Scores are for coaching, not for pay or dismissal."

# Streamlit's Markdown gives these a meaning; what people said must stay what they said.
_MARKDOWN_CHARACTERS = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&])")
# A bare address becomes a link after all escapes are undone: a word joiner, which nobody sees, keeps it text.
_BARE_ADDRESS = re.compile(r"\b(?:https?|www)(?=[:.])|\w(?=@)", re.IGNORECASE)


def plain(text: str | None) -> str:
    """Text from a call as literal Markdown."""
    words = _BARE_ADDRESS.sub("\\g<0>\u2060", " ".join(visible(text or "").split()))
    return _MARKDOWN_CHARACTERS.sub(r"\\\1", words)


def plain_html(text: str | None) -> str:
    """Text from a call as literal HTML."""
    return html.escape(visible(text or ""))


def score_text(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def interval_text(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.0f} to {high:.0f}"


def day_text(at: datetime | date | None) -> str:
    return "never" if at is None else f"{at.day} {at:%b %Y}"


def moment_text(at: datetime | None) -> str:
    return "never" if at is None else f"{at.day} {at.astimezone(UTC):%b %Y, %H:%M} UTC"


def dimension_title(dimension: str) -> str:
    return DIMENSION_TITLES.get(dimension, dimension.replace("_", " ").capitalize())


def calls_text(n: int) -> str:
    return "1 call" if n == 1 else f"{n:,} calls"


SIGNAL_BADGES: dict[str, tuple[str, Literal["green", "orange", "gray"]]] = {
    "up": (":material/trending_up: up", "green"),
    "down": (":material/trending_down: down", "orange"),
    "no clear change": ("no clear change", "gray"),
    "too few calls": ("too few calls", "gray"),
}


def signal_badge(signal: str) -> str:
    """The trend signal as an inline badge; colour never carries the meaning alone."""
    text, colour = SIGNAL_BADGES.get(signal, (signal, "gray"))
    return f":{colour}-badge[{text}]"


def polarity_badge(polarity: str) -> str:
    return (
        ":green-badge[:material/thumb_up: strength]"
        if polarity == "strength"
        else ":orange-badge[:material/build: to work on]"
    )


def page_head(title: str, *, lead: str | None = None) -> Freshness:
    """Title, what the page answers, how old the data is, how much of it was scored, and whether it is real."""
    state = ask(freshness)
    st.title(plain(title), anchor=False)
    if lead:
        st.markdown(lead)
    coverage = (
        "no call was eligible"
        if state.coverage is None
        else f"{state.coverage:.0%} of {state.n_eligible} eligible calls scored"
    )
    parts = [f"Data as of {moment_text(state.as_of)}", f"last 28 days: {calls_text(state.n_calls)}, {coverage}"]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if state.has_sandbox:
            st.badge("Sandbox scores", icon=":material/science:", color="orange", help=SANDBOX_HELP)
        st.caption(" · ".join(parts))
    if state.n_calls_total == 0:
        st.info(
            "No calls have been loaded for the people you may see. Load and score some with `call-coach run`, "
            "or look at the seeded company with `call-coach demo`.",
            icon=":material/inbox:",
        )
    return state


def stop_when_empty(rows: Any, message: str) -> None:
    """End the page in plain words when there is nothing to show."""
    if not rows:
        st.info(message, icon=":material/inbox:")
        st.stop()


def store(write: Callable[[], None], done: str) -> None:
    """What a button writes, and the word about it; what goes wrong in a callback reaches no page."""
    try:
        write()
    except (WarehouseError, LookupError) as trouble:
        st.toast(f"Not stored. {trouble}", icon=":material/error:")
        return
    forget_answers()
    st.toast(done, icon=":material/check:")


def csv_button(
    rows: pd.DataFrame | Callable[[], pd.DataFrame], name: str, *, label: str = "Download CSV", key: str | None = None
) -> None:
    """The rows behind a view, for a spreadsheet; made when asked for, with formulas defused."""

    def as_csv() -> bytes:
        frame = rows() if callable(rows) else rows
        defused = frame.map(lambda value: f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value)
        return defused.to_csv(index=False).encode()

    st.download_button(
        label,
        as_csv,
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        type="tertiary",
        key=key or f"csv-{name}",
        on_click="ignore",
    )


@st.fragment
def rows_table(
    title: str, rows: pd.DataFrame | Callable[[], pd.DataFrame], name: str, *, alt: str, **look: Any
) -> None:
    """The rows behind a view, drawn when they are asked for, and as CSV; `look` is for `st.dataframe`."""
    folded = st.expander(title, key=f"rows-{name}", on_change="rerun")
    if folded.open:
        with folded:
            try:
                st.dataframe(rows() if callable(rows) else rows, hide_index=True, alt=alt, placeholder="–", **look)
            except WarehouseError as trouble:
                # a fragment runs on its own, outside of what explains such things for pages
                st.error(str(trouble), icon=":material/database_off:")
    csv_button(rows, name)


def small(text: str) -> str:
    """A quiet line within other text."""
    return f":gray[:small[{text}]]"


def words_before(text: str | None) -> str:
    """A quiet line of what the customer had said when a moment came that could have gone better; empty without."""
    return small(f":material/person: Customer before: “{plain(excerpt(text, CONTEXT_CHARACTERS))}”") if text else ""


def paragraphs(*parts: str) -> None:
    """Several short texts as one element: a page of twenty cards draws them in half the time."""
    st.markdown("\n\n".join(part for part in parts if part))


def link_to_rep(rep_id: str, label: str, **extra: str) -> None:
    st.page_link(
        "app_pages/rep.py",
        label=label,
        icon=":material/chevron_right:",
        icon_position="right",
        query_params={"rep": rep_id, **extra},
    )


def link_to_call(call_id: str, label: str, *, moment: str | None = None, icon: str | None = None) -> None:
    """A call, or one moment of it."""
    st.page_link(
        "app_pages/call.py",
        label=label,
        icon=icon or ":material/chevron_right:",
        icon_position="left" if icon else "right",
        query_params={"call": call_id} | ({"moment": moment} if moment else {}),
    )


def viewer_line() -> str:
    viewer = current_viewer()
    reach = {
        "rep": "your own calls",
        "manager": "your own calls and your reports'",
        "leader": "everyone's calls",
        "admin": "everyone's calls",
    }[viewer.role]
    return f"{plain(viewer.name)} ({viewer.role}), sees {reach}"
