"""A page's state in its address: a link reopens it, Back undoes a choice, and a stale link says so."""

from collections.abc import Callable, Sequence
from typing import Literal

import streamlit as st

from streamlit_app.chrome import plain

PAGE = "page"


def url_value(name: str) -> str | None:
    """A parameter of this page's address."""
    return st.query_params.get(name) or None


def _write_url(name: str, key: str, default: str | None) -> None:
    chosen = st.session_state.get(key)
    # another choice is another list: its first page comes first
    st.query_params.pop(PAGE, None)
    if chosen is None or chosen == default:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = chosen


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
    arguments = (name, key, default)
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
        args=(name, key, ""),
        placeholder=placeholder,
        max_chars=400,
        help=help_text,
    )
    return current.strip() or None


def url_page(n_rows: int, *, page_size: int) -> int:
    """The page of a long list, from 1, whose one truth is the URL; a page past the end is the last one."""
    n_pages = max(1, -(-n_rows // page_size))
    wanted = url_value(PAGE) or "1"
    current = min(int(wanted), n_pages) if wanted.isdecimal() and len(wanted) < 7 and int(wanted) else 1
    if n_pages > 1:
        key = f"{PAGE}={current}"

        def turn() -> None:
            chosen = st.session_state[key]
            if chosen == 1:
                st.query_params.pop(PAGE, None)
            else:
                st.query_params[PAGE] = str(chosen)

        st.pagination(n_pages, default=current, key=key, on_change=turn)
    return current
