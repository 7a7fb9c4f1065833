"""What does it cost, and what does caching save?"""

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from streamlit_app.address import url_choice
from streamlit_app.cached import ask
from streamlit_app.charts import cost_by_day, frame_of
from streamlit_app.chrome import calls_text, csv_button, dimension_title, page_head, stop_when_empty
from streamlit_app.queries.costs import costs
from streamlit_app.queries.metrics import help_for
from streamlit_app.queries.periods import resolve

page_head("Cost and cache", lead="What the analysis costs, per call and per dimension, and what caching saves.")
PERIODS = {"last_7_days": "7 days", "last_28_days": "28 days", "last_90_days": "90 days"}
period = url_choice(
    "Window",
    list(PERIODS),
    name="period",
    default="last_28_days",
    what="window",
    kind="segments",
    format_func=PERIODS.__getitem__,
)
stretch = resolve(period or "last_28_days", today=datetime.now(UTC).date())  # type: ignore[arg-type]
window = {"since": stretch.since, "until": stretch.until}
totals = ask(costs, **window, group_by="total")
stop_when_empty(totals, "No request was made in this window.")

for total in totals:
    kind = (
        "Sandbox: what Claude would have charged for the same tokens; nothing was paid."
        if total.is_sandbox
        else "Paid."
    )
    st.subheader("Sandbox requests" if total.is_sandbox else "Claude requests", anchor=False)
    st.caption(
        f"{kind} {stretch.since:%-d %b} to {stretch.until:%-d %b %Y}, {calls_text(total.n_calls_scored)} scored."
    )
    monthly = total.cost_usd / stretch.days * 30
    with st.grid(5, min_column_width=140):
        st.metric(
            "Cost",
            total.cost_usd,
            format="dollar",
            border=True,
            height="stretch",
            help="All requests, failed and repeated ones included.",
        )
        st.metric(
            "Per scored call",
            "–" if total.cost_per_scored_call_usd is None else f"${total.cost_per_scored_call_usd:.3f}",
            border=True,
            height="stretch",
            help=help_for("cost_per_scored_call"),
        )
        st.metric(
            "Cache hits",
            "–" if total.cache_hit_rate is None else f"{total.cache_hit_rate:.0%}",
            border=True,
            height="stretch",
            help=help_for("cache_hit_rate"),
        )
        st.metric(
            "Saved",
            total.no_caching_usd - total.cost_usd,
            format="dollar",
            border=True,
            height="stretch",
            help=help_for("saved_against_no_caching")
            + f"\n\nPrompt cache ${total.saved_by_prompt_cache_usd:,.2f}, result cache ${total.saved_usd:,.2f} "
            f"({total.n_cached_answers:,} answers served without a request).",
        )
        st.metric(
            "Per month",
            monthly,
            format="dollar",
            border=True,
            height="stretch",
            help=f"Cost of the window divided by {stretch.days} days, times 30.",
        )
    failed = (
        f"{total.n_failed:,} of {total.n_requests:,} requests failed."
        if total.n_failed
        else f"None of {total.n_requests:,} requests failed."
    )
    st.caption(failed)

days = ask(costs, **window, group_by="day")
st.subheader("Per day", anchor=False)
st.vega_lite_chart(cost_by_day(days.rows, **window), alt=f"Cost per day over {len(days)} days")
COLUMNS: dict[str, Any] = {
    "cost_usd": st.column_config.NumberColumn("Cost", format="$%.2f"),
    "cost_per_scored_call_usd": st.column_config.NumberColumn("Per scored call", format="$%.4f"),
    "cache_hit_rate": st.column_config.NumberColumn("Cache hits", format="percent", help=help_for("cache_hit_rate")),
    "no_caching_usd": st.column_config.NumberColumn("Without caching", format="$%.2f"),
    "saved_by_prompt_cache_usd": st.column_config.NumberColumn("Saved by prompt cache", format="$%.2f"),
    "saved_usd": st.column_config.NumberColumn("Saved by results", format="$%.2f"),
    "n_calls_scored": "Calls scored",
    "n_requests": "Requests",
    "n_failed": "Failed",
    "n_cached_answers": "From the result cache",
    "input_tokens": st.column_config.NumberColumn("Input tokens", format="compact"),
    "cache_read_tokens": st.column_config.NumberColumn("Read from cache", format="compact"),
    "cache_write_tokens": st.column_config.NumberColumn("Written to cache", format="compact"),
    "output_tokens": st.column_config.NumberColumn("Output tokens", format="compact"),
    "is_sandbox": "Sandbox",
}

GROUPS = {"dimension": "Dimension", "model": "Model", "day": "Day"}
group = url_choice(
    "By", list(GROUPS), name="by", default="dimension", what="grouping", kind="segments", format_func=GROUPS.__getitem__
)
frame = frame_of(days if group == "day" else ask(costs, **window, group_by=group))
if group == "dimension":
    frame["group"] = frame["group"].map(dimension_title)
title = GROUPS[group or "dimension"]
st.dataframe(
    frame,
    hide_index=True,
    placeholder="–",
    alt=f"Requests, tokens and cost by {title.lower()}",
    column_config={**COLUMNS, "group": st.column_config.TextColumn(title, pinned=True)},
    column_order=["group", *COLUMNS],
)
csv_button(frame, f"costs-{group}")
