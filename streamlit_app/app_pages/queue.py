"""Which call, which moment?"""

from datetime import UTC, datetime, timedelta

import streamlit as st

from streamlit_app.address import url_choice, url_page
from streamlit_app.cached import ask, current_viewer, database
from streamlit_app.charts import frame_of
from streamlit_app.chrome import (
    csv_button,
    day_text,
    dimension_title,
    link_to_call,
    link_to_rep,
    page_head,
    paragraphs,
    plain,
    small,
    stop_when_empty,
    store,
    words_before,
)
from streamlit_app.filters import dimension_choice, rep_choice
from streamlit_app.queries.coaching_queue import QueuedMoment, coaching_queue
from streamlit_app.queries.database import COUNT_CAP
from streamlit_app.queries.marks import Mark, mark_moment
from streamlit_app.texts import clock

POINTS = (
    ("skill_points", "skill gap"),
    ("recency_points", "recent"),
    ("deal_points", "deal"),
    ("sentiment_points", "customer's mood"),
    ("risk_points", "risk"),
    ("suggestion_points", "suggestion"),
)
SNOOZES = {"1 week": 7, "2 weeks": 14, "4 weeks": 28}
PAGE_SIZE = 10
CSV_ROWS = 5_000

viewer = current_viewer()
page_head(
    "Coaching queue",
    lead="The moments of the last 28 days that most deserve your time, the most rewarding first.",
)

with st.container(horizontal=True, vertical_alignment="bottom"):
    state = url_choice(
        "State",
        ["open", "snoozed", "done"],
        name="state",
        default="open",
        what="state",
        kind="segments",
        format_func=str.capitalize,
    )
    rep_id = rep_choice()
dimension = dimension_choice()

filters = {
    "state": state,
    "rep_id": rep_id,
    "dimension": dimension,
}
counted = ask(coaching_queue, **filters, limit=1, with_total=True)
total = COUNT_CAP if counted.total is None else counted.total
how_many = f"More than {COUNT_CAP:,}" if counted.total is None else f"{total:,}"
EMPTY = {
    "open": "Nothing is waiting. Snoozed moments come back on their day.",
    "snoozed": "Nothing is snoozed.",
    "done": "Nothing has been marked done yet.",
}
stop_when_empty(counted, EMPTY[state or "open"])


def put(moment_id: str, mark: Mark, days: int | None = None) -> None:
    until = (datetime.now(UTC) + timedelta(days=days)).date() if days else None
    note = st.session_state.get(f"queue-note-{moment_id}")
    store(
        lambda: mark_moment(database(), viewer, moment_id, mark=mark, snoozed_until=until, note=note),
        {"done": "Marked done.", "snoozed": f"Comes back on {day_text(until)}.", "open": "Back in the queue."}[mark],
    )


def snooze_or_note(moment_id: str) -> None:
    st.text_area(
        "Note (optional)",
        key=f"queue-note-{moment_id}",
        max_chars=2_000,
        placeholder="Stored with the button you press.",
    )
    st.caption("Comes back after")
    with st.container(horizontal=True, gap="xsmall"):
        for label, days in SNOOZES.items():
            st.button(label, key=f"snooze-{days}-{moment_id}", on_click=put, args=(moment_id, "snoozed", days))
    st.button(
        "Done, with this note",
        icon=":material/check:",
        key=f"noted-{moment_id}",
        on_click=put,
        args=(moment_id, "done"),
        width="stretch",
    )


def actions(moment: QueuedMoment) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        link_to_call(moment.call_id, "Open the moment", moment=moment.moment_id, icon=":material/play_arrow:")
        if not viewer.can_write:
            return
        if moment.state == "open":
            st.button(
                "Done",
                icon=":material/check:",
                key=f"done-{moment.moment_id}",
                on_click=put,
                args=(moment.moment_id, "done"),
            )
            menu = st.popover(
                "Snooze or note", icon=":material/snooze:", key=f"menu-{moment.moment_id}", on_change="rerun"
            )
            if menu.open:
                with menu:
                    snooze_or_note(moment.moment_id)
        else:
            st.button(
                "Put back",
                icon=":material/undo:",
                key=f"open-{moment.moment_id}",
                on_click=put,
                args=(moment.moment_id, "open"),
            )


st.caption(f"{how_many} {state} moments. Points add up what each moment is worth; hover over them for the parts.")
page_number = url_page(total, page_size=PAGE_SIZE)
moments = ask(coaching_queue, **filters, limit=PAGE_SIZE, offset=(page_number - 1) * PAGE_SIZE)
for moment in moments:
    parts = ", ".join(f"{title} {getattr(moment, name):.0f}" for name, title in POINTS if getattr(moment, name))
    with st.container(border=True, gap="xsmall", key=f"queue-card-{moment.moment_id}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            link_to_rep(moment.rep_id, f"**{plain(moment.rep_name)}**")
            st.badge(f"{moment.priority_points:.0f} points", color="blue", help=f"Out of 100: {parts}.")
            st.caption(
                f"{dimension_title(moment.dimension)} · {plain(moment.criterion_title or moment.criterion_id)} · "
                f"{plain(moment.call_title or moment.call_id)}, {day_text(moment.started_at)} at "
                f"{clock(moment.start_ms)}",
                width="content",
            )
        marked = ""
        if moment.state != "open":
            until = f" until {day_text(moment.snoozed_until)}" if moment.state == "snoozed" else ""
            marked = (
                f"{moment.state.capitalize()}{until} by {plain(moment.marked_by or '')} "
                f"on {day_text(moment.marked_at)}" + (f": {plain(moment.note)}" if moment.note else "")
            )
        paragraphs(
            words_before(moment.customer_said),
            f"“{plain(moment.quote)}”",
            f":material/lightbulb: {plain(moment.suggestion)}" if moment.suggestion else "",
            small(plain(moment.reason)) if moment.reason else "",
            small(marked) if marked else "",
        )
        actions(moment)
warehouse = database()
csv_button(
    lambda: frame_of(coaching_queue(warehouse, viewer, **filters, limit=CSV_ROWS)),  # type: ignore[arg-type]
    f"coaching-queue-{state}",
)
