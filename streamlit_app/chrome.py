"""What every page has in common: its head, its words for numbers and times, and its state in the URL."""

import html
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeVar

import pandas as pd
import streamlit as st

from streamlit_app.cached import ask, current_viewer
from streamlit_app.queries.freshness import Freshness, freshness
from streamlit_app.queries.metrics import DIMENSION_TITLES
from streamlit_app.texts import visible

Option = TypeVar("Option")

SANDBOX_HELP = (
    "These scores were made by the offline stand-in that takes Claude's place in the demo. "
    "They show how the product works and say nothing about anyone's skill."
)
FLAG_TEXTS = {"True": "on", "False": "off"}
DISCLAIMER = "Scores are for coaching, not for pay or dismissal."

# Streamlit's Markdown gives these a meaning; what people said must stay what they said.
_MARKDOWN_CHARACTERS = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&])")


def plain(text: str | None) -> str:
    """Text from a call as literal Markdown."""
    return _MARKDOWN_CHARACTERS.sub(r"\\\1", " ".join(visible(text or "").split()))


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
    st.title(title, anchor=False)
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


def csv_button(frame: pd.DataFrame, name: str, *, label: str = "Download CSV", key: str | None = None) -> None:
    """The rows as they are shown, for a spreadsheet: formulas are defused."""
    defused = frame.map(lambda value: f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value)
    st.download_button(
        label,
        defused.to_csv(index=False),
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        type="tertiary",
        key=key or f"csv-{name}",
        on_click="ignore",
    )


def url_value(name: str) -> str | None:
    """A parameter of this page's address."""
    return st.query_params.get(name) or None


def _write_url(name: str, key: str, to_text: dict[str, str], default: str | None) -> None:
    chosen = st.session_state.get(key)
    text = None if chosen is None else to_text.get(str(chosen), str(chosen))
    if text is None or text == default:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = text


def url_choice(
    label: str,
    options: Sequence[str],
    *,
    name: str,
    default: str | None = None,
    format_func: Callable[[str], str] = str,
    what: str = "value",
    kind: Literal["select", "segments"] = "select",
    placeholder: str = "Choose",
    help_text: str | None = None,
) -> str | None:
    """A choice whose one truth is the URL: Back restores it, and a link to something unknown says so."""
    wanted = url_value(name)
    if wanted is not None and wanted not in options:
        st.warning(
            f"This link names a {what} that does not exist or that you may not see: “{plain(wanted[:80])}”. "
            "Choose another one below.",
            icon=":material/link_off:",
        )
        wanted = None
    current = wanted if wanted is not None else default
    # the value is part of the key, so that a changed URL makes a new widget instead of losing against the old state
    key = f"{name}={current}"
    arguments = (name, key, {option: option for option in options}, default)
    if kind == "segments":
        st.segmented_control(
            label,
            list(options),
            default=current,
            format_func=format_func,
            key=key,
            on_change=_write_url,
            args=arguments,
            help=help_text,
            required=default is not None,
        )
    else:
        st.selectbox(
            label,
            list(options),
            index=options.index(current) if current in options else None,
            format_func=format_func,
            key=key,
            on_change=_write_url,
            args=arguments,
            placeholder=placeholder,
            help=help_text,
        )
    return current


def url_text(label: str, *, name: str, placeholder: str = "", help_text: str | None = None) -> str | None:
    """A text whose one truth is the URL."""
    current = url_value(name) or ""
    key = f"{name}={current}"
    st.text_input(
        label,
        value=current,
        key=key,
        on_change=_write_url,
        args=(name, key, {}, ""),
        placeholder=placeholder,
        max_chars=400,
        help=help_text,
    )
    return current.strip() or None


def url_flag(label: str, *, name: str, help_text: str | None = None) -> bool:
    """A switch whose one truth is the URL."""
    current = url_value(name) == "on"
    key = f"{name}={current}"
    st.toggle(label, value=current, key=key, on_change=_write_url, args=(name, key, FLAG_TEXTS, "off"), help=help_text)
    return current


def link_to_rep(rep_id: str, label: str, **extra: str) -> None:
    st.page_link("app_pages/rep.py", label=label, query_params={"rep": rep_id, **extra})


def link_to_call(call_id: str, label: str, *, moment: str | None = None, icon: str | None = None) -> None:
    parameters = {"call": call_id} | ({"moment": moment} if moment else {})
    st.page_link("app_pages/call.py", label=label, icon=icon, query_params=parameters)


def viewer_line() -> str:
    viewer = current_viewer()
    reach = {
        "rep": "your own calls",
        "manager": "your own calls and your reports'",
        "leader": "everyone's calls",
        "admin": "everyone's calls",
    }[viewer.role]
    return f"{plain(viewer.name)} ({viewer.role}), sees {reach}"
