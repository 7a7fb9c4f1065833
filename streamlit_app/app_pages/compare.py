"""What differs between two calls?"""

from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.address import url_choice, url_value
from streamlit_app.cached import ask
from streamlit_app.charts import paired_levels
from streamlit_app.chrome import (
    csv_button,
    day_text,
    dimension_title,
    link_to_call,
    link_to_rep,
    page_head,
    plain,
    score_text,
)
from streamlit_app.queries.calls import NoSuchCallError, call_criteria, call_head, call_scores, latest_calls
from streamlit_app.queries.follow_ups import call_participants, list_objections
from streamlit_app.queries.metrics import DIMENSIONS
from streamlit_app.rubric_texts import criterion_title

page_head("Compare calls", lead="Two calls side by side. Single calls vary: look for moments, not for winners.")

recent = {call.call_id: call for call in ask(latest_calls, limit=200)}
for name in ("a", "b"):
    linked = url_value(name)
    if linked and linked not in recent:
        # an older call than the list holds
        try:
            recent[linked] = ask(call_head, call_id=linked)
        except NoSuchCallError:
            continue


def _label(call_id: str) -> str:
    call = recent[call_id]
    return f"{day_text(call.started_at)} · {call.rep_name} · {call.title or call.call_id}"


left, right = st.columns(2)
with left:
    first_id = url_choice(
        "First call", list(recent), name="a", what="call", format_func=_label, placeholder="Choose a call"
    )
with right:
    second_id = url_choice(
        "Second call", list(recent), name="b", what="call", format_func=_label, placeholder="Choose a call"
    )
if first_id is None or second_id is None:
    st.info(
        "Choose two calls. The lists hold the newest 200; any other call can be opened by its link.",
        icon=":material/compare_arrows:",
    )
    st.stop()
if first_id == second_id:
    st.warning("That is the same call twice. Choose another second call.", icon=":material/content_copy:")
    st.stop()

chosen = (first_id, second_id)
scores = [{score.dimension: score for score in ask(call_scores, call_id=call_id)} for call_id in chosen]
for column, call_id in zip(st.columns(2), chosen, strict=True):
    head = recent[call_id]
    with column, st.container(border=True, gap="xsmall"):
        link_to_call(call_id, f"**{plain(head.title or call_id)}**")
        link_to_rep(head.rep_id, plain(head.rep_name))
        people = ask(call_participants, call_id=call_id)
        talk = next((person.talk_ratio for person in people if person.side == "rep"), None)
        objections = ask(list_objections, call_id=call_id)
        st.caption(
            f"{day_text(head.started_at)} · {plain((head.call_type or 'other').replace('_', ' '))} · "
            f"{round((head.duration_s or 0) / 60)} min · {plain(head.account_name or 'no account')}"
        )
        st.caption(
            f"Rep talks {'–' if talk is None else f'{talk:.0%}'} · "
            f"{len(objections)} {'objection' if len(objections) == 1 else 'objections'}: "
            + (", ".join(f"{plain(item.objection_type)} ({plain(item.outcome)})" for item in objections) or "none")
        )

st.subheader("Scores", anchor=False)
listed: list[dict[str, Any]] = []
with st.grid(4, min_column_width=180):
    for dimension in DIMENSIONS:
        one, other = scores[0].get(dimension), scores[1].get(dimension)
        with st.container(border=True, gap="xsmall", height="stretch"):
            st.markdown(f"**{dimension_title(dimension)}**")
            if one is None or other is None:
                st.caption("Not scored on both calls.")
            elif one.rubric_version != other.rubric_version:
                st.caption(f"Not comparable: rubric {one.rubric_version} against {other.rubric_version}.")
            elif one.score is None or other.score is None:
                st.markdown(f"{score_text(one.score)} · {score_text(other.score)}")
                st.caption("Not applicable on at least one of them.")
            else:
                st.markdown(f"**{one.score:.0f}** :gray[first] · **{other.score:.0f}** :gray[second]")
                apart = round(abs(one.score - other.score))
                st.caption("no difference" if apart == 0 else f"{apart} {'point' if apart == 1 else 'points'} apart")

comparable = {
    dimension
    for dimension in DIMENSIONS
    if dimension in scores[0]
    and dimension in scores[1]
    and scores[0][dimension].rubric_version == scores[1][dimension].rubric_version
}
for call_id, which in zip(chosen, ("first", "second"), strict=True):
    for row in ask(call_criteria, call_id=call_id):
        if row.dimension in comparable:
            listed.append(
                {
                    "dimension": row.dimension,
                    "criterion": criterion_title(row.criterion_id),
                    "rubric_version": row.rubric_version,
                    "call": which,
                    "level": row.level,
                }
            )
st.subheader("Criteria", anchor=False)
if not listed:
    st.caption("No criterion was scored on both calls under the same rubric version.")
else:
    st.caption("Level 1 to 5. Filled: first call. Hollow: second call. A missing mark means not applicable.")
    for dimension in DIMENSIONS:
        part = [row for row in listed if row["dimension"] == dimension]
        if part:
            title = dimension_title(dimension)
            st.markdown(f"**{title}** :gray[:small[rubric {part[0]['rubric_version']}]]")
            st.vega_lite_chart(paired_levels(part), alt=f"{title}: level of every criterion on both calls, 1 to 5")
    csv_button(pd.DataFrame(listed), "compare")
