"""Dashboard entry point.

Start alone: `DATABASE_URL=... CALL_COACH_LOCAL_VIEWER=admin streamlit run streamlit_app/app.py`
"""

import logging
import time
from pathlib import Path

import streamlit as st

from streamlit_app.cached import VIEWER_KEY, database, people_in_warehouse, settings
from streamlit_app.chrome import DISCLAIMER, viewer_line
from streamlit_app.filters import EVERYONE
from streamlit_app.queries.database import NotBuiltYetError, TooSlowError, WarehouseDownError, WarehouseError
from streamlit_app.queries.marks import audit
from streamlit_app.queries.viewer import ADMIN, LEADER, UnknownViewerError, Viewer, viewer_for

logger = logging.getLogger(__name__)


def _has_sign_in() -> bool:
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


def _sign_in() -> Viewer:
    """Who this session is: by OIDC where configured, else by the local mode that must be switched on."""
    if _has_sign_in():
        if not st.user.get("is_logged_in"):
            st.title("Call coach", anchor=False)
            st.markdown("Sign in to see your calls, your team and what is worth talking about this week.")
            st.button("Sign in", icon=":material/login:", on_click=st.login)
            st.stop()
        # Streamlit keeps its cookie for 30 days whatever the provider said
        expires = st.user.get("exp")
        if isinstance(expires, int | float) and not isinstance(expires, bool) and expires < time.time():
            st.logout()
        if st.user.get("email_verified") is False:
            raise UnknownViewerError("Your identity provider has not verified your e-mail address.")
        return viewer_for(
            str(st.user.get("email", "")),
            people=people_in_warehouse(),
            leaders=settings().leaders,
            admins=settings().admins,
            can_write=True,
        )
    local = settings().local_viewer
    if local is None:
        st.title("Nobody is signed in", anchor=False)
        st.error(
            "Neither sign-in nor local mode is switched on, so nothing is shown. Configure `[auth]` in Streamlit's "
            "secrets for your identity provider, or set `CALL_COACH_LOCAL_VIEWER` to `admin`, a rep's id or an "
            "e-mail address to use the dashboard on this machine only.",
            icon=":material/lock:",
        )
        st.stop()
    return _local_viewer(local)


def _local_viewer(local: str) -> Viewer:
    signed_in = {"admin": ADMIN, "leader": LEADER}.get(local.casefold())
    if signed_in is None:
        return viewer_for(
            local,
            people=people_in_warehouse(),
            leaders=settings().leaders,
            admins=settings().admins,
            can_write=True,
        )
    seen_as = st.query_params.get("as") or st.session_state.get("seen_as")
    if seen_as and seen_as != signed_in.viewer_id:
        st.session_state["seen_as"] = seen_as
        return viewer_for(seen_as, people=people_in_warehouse(), can_write=True)
    return signed_in


@st.dialog("Look through someone's eyes")
def _choose_whose_eyes(signed_in_as: Viewer) -> None:
    """Local admins may look through anyone's eyes: the quickest way to check who sees what."""
    everyone = {person.rep_id: person for person in people_in_warehouse() if person.is_active}
    options = [EVERYONE, *sorted(everyone, key=lambda rep_id: everyone[rep_id].rep_name)]
    current = signed_in_as.viewer_id if signed_in_as.viewer_id in everyone else EVERYONE
    chosen = st.selectbox(
        "Person",
        options,
        index=options.index(current),
        format_func=lambda rep_id: (
            "Your own: everyone's calls"
            if rep_id == EVERYONE
            else f"{everyone[rep_id].rep_name}{' (manager)' if everyone[rep_id].is_manager else ''}"
        ),
    )
    st.caption("Local mode only. Pages show exactly what this person may see.")
    if chosen != current:
        st.query_params.pop("as", None)
        st.session_state["seen_as"] = chosen if chosen != EVERYONE else None
        st.rerun()


def _record_view(path: str, latency_ms: int) -> None:
    """One audit row per page and address, not per rerun of the same."""
    arguments = dict(st.query_params.items())
    if st.session_state.get("audited") != (path, arguments):
        st.session_state["audited"] = (path, arguments)
        audit(
            database(),
            st.session_state[VIEWER_KEY].viewer_id,
            surface="dashboard",
            action=f"page:{path}",
            arguments=arguments,
            row_count=None,
            latency_ms=latency_ms,
        )


# each page's title says what it is, its first line what it answers
PAGES = {
    "Coach": (
        ("overview", "Overview", "home"),
        ("queue", "Coaching queue", "checklist"),
        ("rep", "Rep", "person"),
        ("call", "Call", "call"),
        ("reviews", "Weekly reviews", "event_note"),
    ),
    "Find": (
        ("search", "Search", "search"),
        ("compare", "Compare calls", "compare_arrows"),
    ),
    "Team": (
        ("leaderboard", "Leaderboard", "leaderboard"),
        ("skills", "Skills", "grid_on"),
    ),
    "Trust": (
        ("costs", "Cost and cache", "payments"),
        ("quality", "Judge quality", "verified"),
        ("health", "Pipeline health", "monitor_heart"),
    ),
}
# off for reps: seeing only oneself is no board, and places are not the point
FOR_TEAMS = ("leaderboard", "skills", "costs")


def _pages(viewer: Viewer) -> dict[str, list[st.Page]]:
    shown = {
        section: [
            st.Page(f"app_pages/{name}.py", title=title, icon=f":material/{icon}:", default=name == "overview")
            for name, title, icon in pages
            if viewer.sees_a_team or name not in FOR_TEAMS
        ]
        for section, pages in PAGES.items()
    }
    return {section: pages for section, pages in shown.items() if pages}


st.set_page_config(page_title="Call coach", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")

try:
    st.session_state[VIEWER_KEY] = _sign_in()
    viewer = st.session_state[VIEWER_KEY]
    page = st.navigation(_pages(viewer), expanded=True)
    looks_elsewhere = False
    with st.sidebar:
        st.caption(f":material/visibility: Viewing as {viewer_line()}{'' if _has_sign_in() else ' · local mode'}")
        if settings().local_viewer in ("admin", "leader") and not _has_sign_in():
            looks_elsewhere = st.button(
                "Look through someone's eyes", icon=":material/switch_account:", type="tertiary"
            )
        if _has_sign_in():
            st.button("Sign out", icon=":material/logout:", on_click=st.logout, type="tertiary")
        st.caption(DISCLAIMER)
    if looks_elsewhere:
        _choose_whose_eyes(viewer)
    started = time.perf_counter()
    # only seen by whoever waits: the word comes after half a second
    with st.spinner("Reading the warehouse …"):
        page.run()
    _record_view(page.url_path or "overview", round((time.perf_counter() - started) * 1000))
except UnknownViewerError as refusal:
    st.title("No access", anchor=False)
    st.error(str(refusal), icon=":material/lock:")
    if _has_sign_in():
        # the wrong account of two must not be a dead end
        st.button("Sign out", icon=":material/logout:", on_click=st.logout)
except WarehouseError as trouble:
    logger.warning("a page could not be answered: %s", trouble)
    heading = {
        WarehouseDownError: "The database is not reachable",
        NotBuiltYetError: "There is nothing to show yet",
        TooSlowError: "That took too long",
    }.get(type(trouble), "That did not work")
    st.error(f"**{heading}**\n\n{trouble}", icon=":material/database_off:")
    st.button("Try again", icon=":material/refresh:")
