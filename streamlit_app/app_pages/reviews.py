"""What goes into the next one-to-one?"""

import re

import streamlit as st

from streamlit_app.address import url_choice
from streamlit_app.cached import ask
from streamlit_app.chrome import day_text, moment_text, page_head, plain, stop_when_empty
from streamlit_app.queries.reviews import review_weeks, weekly_reviews

DELIVERED = {0: "not delivered", 1: "delivered once"}
KINDS = {"rep": "Rep", "team": "Team", "leadership": "Leadership"}

page_head(
    "Weekly reviews", lead="Drafts for conversations, one per rep, team and leadership. Edit before you use them."
)
held = ask(review_weeks)
stop_when_empty(held, "No review has been written yet. They are made every Monday, or with `call-coach review`.")

weeks = {found.week_start.isoformat(): found for found in held}
newest = next(iter(weeks))
with st.container(horizontal=True, vertical_alignment="bottom"):
    with st.container(width=220):
        week = url_choice(
            "Week",
            list(weeks),
            name="week",
            default=newest,
            what="week",
            format_func=lambda start: f"Week of {day_text(weeks[start].week_start)}",
        )
    of_week = ask(weekly_reviews, week_start=weeks[week or newest].week_start)
    with st.container(width=320):
        listed = {review.review_id: f"{KINDS[review.kind]}: {review.recipient_name}" for review in of_week}
        review_id = url_choice(
            "Review",
            list(listed),
            name="review",
            default=next(iter(listed), None),
            what="review of this week",
            format_func=listed.__getitem__,
        )
review = next((review for review in of_week if review.review_id == review_id), None)
if review is None:
    st.info("There is no review of this week for the people you may see.", icon=":material/inbox:")
    st.stop()
st.caption(
    f"{plain(review.subject)} · written {moment_text(review.rendered_at)} · week of {day_text(review.week_start)} · "
    + DELIVERED.get(review.n_delivered, f"delivered {review.n_delivered} times")
    + (f", failed {review.n_failed} times" if review.n_failed else "")
)
with st.container(border=True):
    # its title is a part of this page, which has one of its own; quoted blocks fade their links past reading
    text = re.sub(r"^(#+ )", r"#\1", review.markdown, flags=re.MULTILINE)
    st.markdown(re.sub(r"^> ?", "", text, flags=re.MULTILINE))
st.download_button(
    "Download Markdown",
    review.markdown,
    file_name=f"review-{review.review_id}.md",
    mime="text/markdown",
    icon=":material/download:",
    type="tertiary",
    on_click="ignore",
)
