"""Find an example."""

from datetime import date

import streamlit as st

from streamlit_app.address import url_choice, url_page, url_text
from streamlit_app.cached import ask, current_viewer, database
from streamlit_app.charts import frame_of
from streamlit_app.chrome import (
    csv_button,
    day_text,
    dimension_title,
    link_to_call,
    link_to_rep,
    page_head,
    plain,
    score_text,
    stop_when_empty,
)
from streamlit_app.queries.database import COUNT_CAP
from streamlit_app.queries.metrics import DIMENSIONS
from streamlit_app.queries.people import list_reps
from streamlit_app.queries.periods import resolve
from streamlit_app.queries.search import search_calls
from streamlit_app.queries.words import NoWordsError
from streamlit_app.texts import clock

SCORES = {
    "any": (None, None),
    "below 40": (None, 40),
    "below 70": (None, 70),
    "70 and more": (70, None),
    "85 and more": (85, None),
}
OBJECTIONS = ["any", "price", "timing", "need", "authority", "competitor", "technical", "trust"]
TYPES = ["any", "discovery", "technical", "demo", "negotiation", "business_review", "onboarding", "check_in", "other"]
PERIODS = {
    "all": "Any time",
    "last_7_days": "Last 7 days",
    "last_28_days": "Last 28 days",
    "last_90_days": "Last 90 days",
    "last_month": "Last month",
    "this_quarter": "This quarter",
    "last_quarter": "Last quarter",
}
PAGE_SIZE = 20
CSV_ROWS = 1_000

viewer = current_viewer()
state = page_head("Search", lead="Find calls by what was said, by whom, and how it was scored.")
reps = {rep.rep_id: rep.rep_name for rep in ask(list_reps)}

text = url_text(
    "Words that were said",
    name="q",
    placeholder='budget, or "next step"',
    help_text='Use "quotes" for a phrase, -word to leave a word out, or to allow either.',
)
with st.grid(4, min_column_width=150, gap="small"):
    rep_id = url_choice(
        "Rep",
        ["any", *reps],
        name="rep",
        default="any",
        what="rep",
        format_func=lambda option: "Any rep" if option == "any" else reps[option],
    )
    period = url_choice(
        "When", list(PERIODS), name="period", default="all", what="period", format_func=PERIODS.__getitem__
    )
    call_type = url_choice(
        "Type of call",
        TYPES,
        name="type",
        default="any",
        what="type",
        format_func=lambda option: option.replace("_", " ").capitalize(),
    )
    account = url_text("Account", name="account", placeholder="Part of the name")
    dimension = url_choice(
        "Dimension",
        ["any", *DIMENSIONS],
        name="dimension",
        default="any",
        what="dimension",
        format_func=lambda option: "Any dimension" if option == "any" else dimension_title(option),
    )
    score = url_choice(
        "Score in it", list(SCORES), name="score", default="any", what="score range", format_func=str.capitalize
    )
    objection = url_choice(
        "Objection", OBJECTIONS, name="objection", default="any", what="objection", format_func=str.capitalize
    )
    outcome = url_choice(
        "Its outcome",
        ["any", "resolved", "parked", "unresolved"],
        name="outcome",
        default="any",
        what="outcome",
        format_func=str.capitalize,
    )

low, high = SCORES[score or "any"]
stretch = resolve(period or "all", today=state.window_end or date.today())  # type: ignore[arg-type]  # noqa: DTZ011
filters = {
    "text": text,
    "rep_id": None if rep_id == "any" else rep_id,
    "call_type": None if call_type == "any" else call_type,
    "account": account,
    "dimension": None if dimension == "any" else dimension,
    "min_score": low,
    "max_score": high,
    "objection_type": None if objection == "any" else objection,
    "objection_outcome": None if outcome == "any" else outcome,
    "since": None if period == "all" else stretch.since,
    "until": None if period == "all" else stretch.until,
}
try:
    newest = ask(search_calls, **filters, limit=PAGE_SIZE, with_total=True)
except NoWordsError as nothing:
    st.info(str(nothing), icon=":material/search_off:")
    st.stop()
stop_when_empty(newest, "Nothing fits. Drop a filter, widen the time, or use fewer words.")
# calls with a common word are not counted: the word index would have to name them all
uncounted = f"More than {PAGE_SIZE if text else COUNT_CAP:,}"
st.caption(f"{uncounted if newest.total is None else f'{newest.total:,}'} calls fit, newest first.")
page_number = url_page(COUNT_CAP if newest.total is None else newest.total, page_size=PAGE_SIZE)
calls = (
    newest if page_number == 1 else ask(search_calls, **filters, limit=PAGE_SIZE, offset=(page_number - 1) * PAGE_SIZE)
)
if not calls:
    st.info("The calls that fit end before this page.", icon=":material/inbox:")
for call in calls:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            link_to_call(call.call_id, f"**{plain(call.title or call.call_id)}**")
            link_to_rep(call.rep_id, plain(call.rep_name))
        facts = (
            day_text(call.started_at),
            call.account_name or "no account",
            (call.call_type or "other").replace("_", " "),
        )
        badges = [
            f":gray-badge[{dimension_title(name)} {score_text(call.scores[name])}]"
            for name in DIMENSIONS
            if name in call.scores
        ]
        badges += [f":blue-badge[{plain(kind)} objection]" for kind in call.objection_types]
        lines = [f":gray[:small[{' · '.join(map(plain, facts))}]] {' '.join(badges)}"]
        if call.hit_text:
            said = call.hit_text if len(call.hit_text) <= 260 else call.hit_text[:260] + " …"
            more = f" · {call.n_hits} places" if call.n_hits > 1 else ""
            lines.append(f":gray[:small[{clock(call.hit_start_ms or 0)} “{plain(said)}”{more}]]")
        st.markdown("  \n".join(lines))
warehouse = database()
csv_button(lambda: frame_of(search_calls(warehouse, viewer, **filters, limit=CSV_ROWS)), "search")  # type: ignore[arg-type]
