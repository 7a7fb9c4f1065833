"""Is everything running?"""

import streamlit as st

from streamlit_app.cached import ask
from streamlit_app.charts import frame_of, health_by_day
from streamlit_app.chrome import moment_text, page_head, rows_table, stop_when_empty
from streamlit_app.queries.metrics import help_for
from streamlit_app.queries.trust import pipeline_health

state = page_head("Pipeline health", lead="What was loaded and scored, what failed, and how long it took.")
days = ask(pipeline_health, n_days=28)
stop_when_empty(days, "Nothing has happened in the last 28 days.")

loaded = max((day.last_loaded_at for day in days if day.last_loaded_at), default=None)
open_letters = sum(day.n_dead_letters_open for day in days)
waiting = sum(day.n_events_waiting for day in days)
failed = sum(day.n_failed_scores + day.n_failed_requests + day.n_events_failed + day.n_analyses_failed for day in days)
with st.grid(4, min_column_width=160):
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.metric("Coverage", "–" if state.coverage is None else f"{state.coverage:.0%}", help=help_for("coverage"))
        st.caption(f"{state.n_scored:,} of {state.n_eligible:,} eligible calls, 28 days up to the newest scored call")
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.metric(
            "Failures", f"{failed:,}", help="Scores, requests, events and asked-for analyses that failed in 28 days."
        )
        st.caption("each is listed by day below")
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.metric(
            "Could not be loaded",
            f"{open_letters:,}",
            help="Payloads kept aside with their reason; `call-coach dead-letters list` shows them.",
        )
        st.caption("open dead letters")
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.metric("Webhook events waiting", f"{waiting:,}")
        st.caption("received and not yet worked off")
st.caption(f"Newest load: {moment_text(loaded)}.")

notes = []
if open_letters:
    notes.append(f"{open_letters} payloads could not be loaded: `call-coach dead-letters list` names the reason.")
if state.coverage is not None and state.coverage < 0.9:
    notes.append(f"{state.n_unscored} eligible calls have no score: the numbers on other pages speak for fewer calls.")
if waiting:
    notes.append(f"{waiting} webhook events wait: is the sensor running?")
for note in notes:
    st.warning(note, icon=":material/warning:")
if not notes:
    st.success("Nothing needs attention.", icon=":material/check_circle:")

st.subheader("Calls held and scored", anchor=False)
st.vega_lite_chart(health_by_day(days.rows), alt=f"Eligible and scored calls per day over {len(days)} days")
rows_table(
    "All counts by day",
    frame_of(days),
    "pipeline-health",
    alt="Pipeline counts by day",
    column_config={
        "day": st.column_config.DateColumn("Day", format="D MMM", pinned=True),
        "n_calls": "Calls",
        "n_without_transcript": "Without transcript",
        "n_eligible_calls": "Eligible",
        "n_scored_calls": "Scored",
        "coverage": st.column_config.NumberColumn("Coverage", format="percent"),
        "n_calls_loaded": "Loaded",
        "last_loaded_at": st.column_config.DatetimeColumn("Last load", format="HH:mm"),
        "n_failed_scores": "Failed scores",
        "median_hours_to_score": st.column_config.NumberColumn(
            "Hours to score", format="%.1f", help="Median from the call's start."
        ),
        "n_requests": "Requests",
        "n_failed_requests": "Failed requests",
        "p95_request_ms": st.column_config.NumberColumn("Request p95 (ms)", format="%.0f"),
        "n_dead_letters": "Dead letters",
        "n_dead_letters_open": "Still open",
        "n_events": "Events",
        "n_events_missed": st.column_config.NumberColumn("Missed events", help="Calls that only the poll found."),
        "n_events_failed": "Failed events",
        "n_events_waiting": "Waiting events",
        "median_event_s": st.column_config.NumberColumn("Event median (s)", format="%.1f"),
        "p95_event_s": st.column_config.NumberColumn("Event p95 (s)", format="%.1f"),
        "n_analyses_asked": "Asked for",
        "n_analyses_failed": "Failed asked-for",
    },
)
