"""What the pages share between reruns: one pool of connections, and answers kept for a minute per viewer."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import streamlit as st

from streamlit_app.queries import people
from streamlit_app.queries.database import Database
from streamlit_app.queries.viewer import Person, Viewer
from streamlit_app.settings import Settings

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")

VIEWER_KEY = "viewer"


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    return Settings()


@st.cache_resource(show_spinner=False, on_release=Database.close)
def database() -> Database:
    url = settings().database_url
    return Database(url.get_secret_value() if url else None, statement_timeout_s=settings().statement_timeout_s)


@st.cache_data(ttl=60, max_entries=4, show_spinner=False)
def people_in_warehouse() -> tuple[Person, ...]:
    return people.people(database())


def current_viewer() -> Viewer:
    """The person this session was signed in as by `app.py`."""
    return st.session_state[VIEWER_KEY]


@st.cache_data(ttl=60, max_entries=500, show_spinner=False)
def _answer(name: str, _question: Callable[..., Any], viewer: Viewer, arguments: dict[str, Any]) -> Any:
    return _question(database(), viewer, **arguments)


def ask(question: Callable[..., Answer], **arguments: Any) -> Answer:
    """A query function's answer for the current viewer; the viewer is part of the key."""
    return _answer(f"{question.__module__}.{question.__qualname__}", question, current_viewer(), arguments)


def forget_answers() -> None:
    """After something was written, so that the next look shows it."""
    _answer.clear()
