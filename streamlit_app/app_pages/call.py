"""What happened on this call?"""

from typing import NoReturn

import streamlit as st

from streamlit_app.address import url_choice, url_page, url_value
from streamlit_app.cached import ask, current_viewer, database
from streamlit_app.charts import frame_of
from streamlit_app.chrome import (
    calls_text,
    csv_button,
    day_text,
    dimension_title,
    link_to_call,
    link_to_rep,
    page_head,
    paragraphs,
    plain,
    polarity_badge,
    score_text,
    small,
    store,
    words_before,
)
from streamlit_app.queries.calls import (
    NoSuchCallError,
    call_criteria,
    call_findings,
    call_head,
    call_scores,
    call_turns,
    latest_calls,
)
from streamlit_app.queries.follow_ups import call_brief, call_flags, call_participants, list_next_steps, list_objections
from streamlit_app.queries.marks import MomentReview, Verdict, moment_reviews, review_moment
from streamlit_app.queries.metrics import DIMENSIONS, help_for
from streamlit_app.queries.moments import Moment, list_moments
from streamlit_app.queries.statements import list_statements
from streamlit_app.rubric_texts import criterion_title, marker_question
from streamlit_app.talk_strip import talk_strip
from streamlit_app.texts import clock
from streamlit_app.transcript import speaker_name, transcript_html

STATEMENTS = (
    ("inaccurate", "Not right", "Held against what the knowledge base said at the time."),
    ("missed_opportunity", "Not said", "Customers' sentences that the knowledge base would have answered."),
    ("correct", "Right", "Statements that the knowledge base bears out."),
)
VERDICTS: tuple[tuple[Verdict, str], ...] = (("agree", ":material/thumb_up:"), ("disagree", ":material/thumb_down:"))

MOMENTS_SHOWN = 6

viewer = current_viewer()
linked_call_id = url_value("call")


def choose_a_call(problem: str | None) -> NoReturn:
    page_head("Call", lead="Choose a call, or come here from a rep, the queue or the search.")
    if problem:
        st.warning(problem, icon=":material/link_off:")
    st.subheader("Latest calls", anchor=False)
    for recent in ask(latest_calls, limit=15):
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            link_to_call(recent.call_id, f"{day_text(recent.started_at)} · {plain(recent.title or recent.call_id)}")
            st.caption(plain(recent.rep_name), width="content")
    st.stop()


if linked_call_id is None:
    choose_a_call(None)
call_id = linked_call_id
try:
    head = ask(call_head, call_id=call_id)
except NoSuchCallError as missing:
    choose_a_call(str(missing))

page_head(head.title or head.call_id)
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    link_to_rep(head.rep_id, plain(head.rep_name))
    facts = [
        day_text(head.started_at),
        plain(head.account_name or "no account"),
        *([plain(head.call_type.replace("_", " "))] if head.call_type and head.call_type != "other" else []),
        f"{round((head.duration_s or 0) / 60)} min",
    ]
    st.caption(" · ".join(facts) + (" · running week" if head.is_running_week else ""))
    st.page_link(
        "app_pages/compare.py",
        label="Compare",
        icon=":material/compare_arrows:",
        query_params={"a": call_id},
    )
    if head.url and head.url.startswith("https://"):
        st.link_button("Open the recording", head.url, icon=":material/open_in_new:", type="tertiary")
if not head.is_eligible:
    st.info(f"Not scored: {plain(head.ineligible_reason or 'not eligible')}.", icon=":material/block:")
elif not head.is_scored:
    st.info("This call has no score yet. It is scored with the next run.", icon=":material/pending:")

scores = {score.dimension: score for score in ask(call_scores, call_id=call_id)}
if scores:
    with st.grid(4, min_column_width=160):
        for dimension in DIMENSIONS:
            score = scores.get(dimension)
            with st.container(border=True, height="stretch", gap="xsmall"):
                st.metric(
                    dimension_title(dimension),
                    "N/A" if score is None or score.score is None else score_text(score.score),
                    help=help_for("dimension_score"),
                )
                if score is None:
                    st.caption("Not scored.")
                elif score.score is None:
                    st.caption(plain(score.na_reason or "No opportunity on this call.").capitalize())
                else:
                    own = (
                        ""
                        if score.rep_mean_score is None
                        else f" · own mean {score.rep_mean_score:.0f} over {calls_text(score.rep_n_calls)}, 90 days"
                    )
                    st.caption(f"{score.n_markers_met} of {score.n_markers_applicable} markers met{own}")

moments = ask(list_moments, call_id=call_id, limit=500)
reviews: dict[str, list[MomentReview]] = {}
for review in ask(moment_reviews, call_id=call_id):
    reviews.setdefault(review.evidence_id, []).append(review)


def judge(evidence_id: str, verdict: Verdict) -> None:
    note = st.session_state.get(f"note-{evidence_id}")
    store(
        lambda: review_moment(database(), viewer, evidence_id, verdict=verdict, note=note),
        f"Stored: you {verdict} with this moment.",
    )


def opinions(moment: Moment, *, is_linked: bool) -> None:
    """The machine's moment stays; managers' opinions stand beside it."""
    given = reviews.get(moment.evidence_id, [])
    mine = next((review.verdict for review in given if review.viewer_id == viewer.viewer_id), None)
    agreed = sum(review.verdict == "agree" for review in given)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if is_linked:
            link_to_call(call_id, "In its place", moment=moment.evidence_id, icon=":material/my_location:")
        if viewer.sees_a_team and viewer.can_write:
            for verdict, icon in VERDICTS:
                st.button(
                    "You agree"
                    if mine == verdict == "agree"
                    else "You disagree"
                    if mine == verdict
                    else verdict.capitalize(),
                    icon=":material/check:" if mine == verdict else icon,
                    key=f"{verdict}-{moment.evidence_id}",
                    on_click=judge,
                    args=(moment.evidence_id, verdict),
                )
            with st.popover("Note", icon=":material/edit_note:", type="tertiary"):
                st.text_area(
                    "Why?",
                    key=f"note-{moment.evidence_id}",
                    max_chars=2_000,
                    placeholder="Stored with your next click on agree or disagree.",
                )
        if given:
            st.caption(f"{agreed} agree, {len(given) - agreed} disagree")
        for review in given:
            if review.note:
                st.caption(f"{plain(review.viewer_id)}: {plain(review.note)}")


def moment_card(moment: Moment, *, is_linked: bool = True) -> None:
    place = f"{speaker_name(moment.side)}, {clock(moment.start_ms)}, turn {moment.turn_id}"
    verified = " :material/verified: found word for word" if moment.quote_verified else ""
    why = findings.get((moment.dimension, moment.marker_id))
    with st.container(border=True, gap="xsmall", key=f"moment-card-{moment.evidence_id}"):
        paragraphs(
            f"{polarity_badge(moment.polarity)} **{plain(criterion_title(moment.criterion_id))}**  \n"
            + small(place + verified),
            words_before(moment.customer_said),
            f"“{plain(moment.quote)}”",
            small(plain(marker_question(moment.marker_id))),
            small(f"Why: {plain(why)}") if why else "",
            f":material/lightbulb: {plain(moment.suggestion)}" if moment.suggestion else "",
        )
        opinions(moment, is_linked=is_linked)


findings = {(finding.dimension, finding.marker_id): finding.why for finding in ask(call_findings, call_id=call_id)}
moment_id = url_value("moment")
focus = next((moment for moment in moments if moment.evidence_id == moment_id), None)
if moment_id and focus is None:
    st.warning(
        "This link names a moment that this call no longer has: its transcript or rubric has changed since. "
        "The moments that stand now are below.",
        icon=":material/link_off:",
    )
if focus is not None:
    st.subheader("The moment", anchor=False)
    moment_card(focus, is_linked=False)
    around = ask(call_turns, call_id=call_id, first_turn_id=max(1, focus.turn_id - 2), last_turn_id=focus.turn_id + 3)
    st.html(transcript_html(around.rows, [focus], focus_turn_id=focus.turn_id))
    link_to_call(call_id, "Show the whole call", icon=":material/close_fullscreen:")

turns = ask(call_turns, call_id=call_id)
strip = talk_strip(
    turns.rows,
    moments.rows,
    label=f"Turns per speaker over the call, {len(turns)} turns, {len(moments)} quoted moments",
)
if strip is not None:
    st.subheader("Who spoke when", anchor=False)
    st.html(strip)
    st.caption("Bars: turns, pale ones only listened along. ▲ strength, ◆ to work on. Hover to read.")

VIEWS = ["Moments", "Transcript", "Brief", "Product", "Levels", "Numbers"]
view = url_choice("View", VIEWS, name="view", default="Moments", what="view", kind="segments")

if view == "Moments":
    present = [dimension for dimension in DIMENSIONS if any(moment.dimension == dimension for moment in moments)]
    if not present:
        st.caption("No quoted moment on this call.")
    else:
        shown_dimension = url_choice(
            "Dimension",
            present,
            name="dimension",
            what="dimension",
            kind="segments",
            default=focus.dimension if focus else present[0],
            format_func=dimension_title,
        )
        chosen = [moment for moment in moments if moment.dimension == shown_dimension and moment is not focus]
        st.caption(
            f"{len(chosen)} {'other ' if focus else ''}moments in {dimension_title(shown_dimension or '').lower()}, "
            "in the order they were said."
            + (
                " Agree or disagree is stored with your name and counted in judge quality; the machine's answer stays."
                if viewer.sees_a_team and viewer.can_write
                else ""
            )
        )
        first = MOMENTS_SHOWN * (url_page(len(chosen), page_size=MOMENTS_SHOWN) - 1)
        with st.grid(2, min_column_width=330):
            for moment in chosen[first : first + MOMENTS_SHOWN]:
                moment_card(moment)
        csv_button(frame_of(moments), f"moments-{call_id}")
elif view == "Transcript":
    if not turns:
        st.caption("No transcript has been loaded for this call yet.")
    else:
        st.caption("Highlighted: quoted moments. Solid underline: strength; dashed: to work on.")
        with st.container(height=640 if len(turns) > 20 else "content", border=True):
            st.html(transcript_html(turns.rows, moments.rows, focus_turn_id=focus.turn_id if focus else None))
        csv_button(frame_of(turns), f"transcript-{call_id}")
elif view == "Brief":
    brief = ask(call_brief, call_id=call_id)
    if brief is None or not brief.summary:
        st.caption("No brief was written for this call.")
    else:
        st.markdown(plain(brief.summary))
        st.caption(
            f"Priority {brief.priority or 'unknown'}: {plain(brief.priority_reason or 'no reason given')}  \n"
            f"The customer sounded {brief.customer_sentiment or 'unknown'}, the rep {brief.rep_sentiment or 'unknown'}."
        )
    objections = ask(list_objections, call_id=call_id)
    st.subheader("Objections", anchor=False)
    if not objections:
        st.caption("None was raised. That is not a fault: the best calls often meet fewer.")
    for objection in objections:
        with st.container(border=True, gap="xsmall"):
            st.markdown(
                f":gray-badge[{plain(objection.objection_type)}] :gray-badge[{plain(objection.outcome)}] "
                f":gray[:small[{clock(objection.start_ms)}]]"
            )
            st.markdown(f"“{plain(objection.quote)}”")
            answer = next((turn for turn in turns if turn.turn_id == objection.response_turn_id), None)
            if answer is not None:
                st.caption(f"Answer at {clock(answer.start_ms)}: {plain(answer.text)}")
    if objections:
        csv_button(frame_of(objections), f"objections-{call_id}")
    flags = ask(call_flags, call_id=call_id)
    if flags:
        st.subheader("Risks and opportunities", anchor=False)
    for flag in flags:
        with st.container(border=True, gap="xsmall"):
            icon = ":material/warning:" if flag.kind == "risk" else ":material/trending_up:"
            st.markdown(f":gray-badge[{icon} {plain(flag.kind)}] :gray[:small[{clock(flag.start_ms)}]]")
            st.markdown(f"“{plain(flag.quote)}”")
            if flag.why:
                st.caption(plain(flag.why))
    steps = ask(list_next_steps, call_id=call_id)
    st.subheader("Next steps", anchor=False)
    if not steps:
        st.caption("No next step was agreed on this call.")
    for step in steps:
        with st.container(border=True, gap="xsmall"):
            st.markdown(
                f"**{plain(step.action)}** :gray-badge[owner: {plain(step.owner)}] "
                f":gray-badge[due: {plain(step.due or 'not dated')}]"
            )
            st.caption(f"{clock(step.start_ms)} “{plain(step.quote)}”")
    if steps:
        csv_button(frame_of(steps), f"next-steps-{call_id}")
elif view == "Product":
    said = ask(list_statements, call_id=call_id, limit=200)
    if not said:
        st.caption("Nothing that was said about the product could be held against the knowledge base.")
    for judged, title, explanation in STATEMENTS:
        listed = [statement for statement in said if statement.verdict == judged]
        if not listed:
            continue
        st.subheader(f"{title} ({len(listed)})", anchor=False)
        st.caption(explanation)
        for statement in listed:
            with st.container(border=True, gap="xsmall"):
                who = "Customer" if judged == "missed_opportunity" else "Rep"
                st.markdown(
                    f"“{plain(statement.quote)}” "
                    f":gray[:small[{who}, {clock(statement.start_ms)}, turn {statement.turn_id}]]"
                )
                if statement.passage:
                    st.markdown(f":material/menu_book: {plain(statement.passage)}")
                    # a link in a caption fades with it
                    source = f"{statement.document_title or statement.knowledge_id} · "
                    st.markdown(small(plain(source + (statement.passage_source or "no source"))))
                if statement.why:
                    st.caption(f"Why: {plain(statement.why)}")
    if said:
        csv_button(frame_of(said), f"statements-{call_id}")
elif view == "Levels":
    criteria = ask(call_criteria, call_id=call_id)
    frame = frame_of(criteria)
    if frame.empty:
        st.caption("No criterion was scored on this call.")
    else:
        frame.insert(2, "criterion", frame["criterion_id"].map(criterion_title))
        frame["dimension"] = frame["dimension"].map(dimension_title)
        st.dataframe(
            frame,
            hide_index=True,
            alt="Level of every criterion on this call",
            placeholder="–",
            column_config={
                "dimension": "Dimension",
                "criterion_id": None,
                "criterion": st.column_config.TextColumn("Criterion", width="large"),
                "level": st.column_config.NumberColumn(
                    "Level (1 to 5)", format="%.0f", help=help_for("criterion_level")
                ),
                "weight": st.column_config.NumberColumn("Weight for the role", format="%.0f"),
                "na_reason": "Why not applicable",
                "n_markers_met": "Markers met",
                "n_markers_applicable": "With an opportunity",
                "rubric_version": "Rubric version",
            },
        )
        csv_button(frame, f"levels-{call_id}")
else:
    frame = frame_of(ask(call_participants, call_id=call_id))
    if frame.empty:
        st.caption("No times in the transcript, so nothing can be measured.")
    else:
        frame["speaker_label"] = frame["speaker_label"].map(speaker_name)
        st.dataframe(
            frame,
            hide_index=True,
            alt="How the talking was shared on this call",
            placeholder="–",
            column_config={
                "speaker_label": "Speaker",
                "side": "Side",
                "talk_ratio": st.column_config.NumberColumn(
                    "Talk ratio", format="percent", help=help_for("talk_ratio")
                ),
                "longest_monologue_s": st.column_config.NumberColumn(
                    "Longest monologue (s)", format="%.0f", help=help_for("longest_monologue")
                ),
                "patience_s": st.column_config.NumberColumn("Patience (s)", format="%.1f", help=help_for("patience")),
                "interruption_rate": st.column_config.NumberColumn("Interruptions", format="percent"),
                "n_questions": "Questions",
                "switches_per_min": st.column_config.NumberColumn("Switches a minute", format="%.1f"),
            },
        )
        st.caption("Measured from the transcript's times. Bands from vendor studies are correlations, not targets.")
        csv_button(frame, f"numbers-{call_id}")
