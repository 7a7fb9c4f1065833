"""Is this rep improving at what was agreed?"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.address import url_choice
from streamlit_app.cached import ask, current_viewer, database
from streamlit_app.charts import frame_of, rep_dimension, talk_bands
from streamlit_app.chrome import (
    calls_text,
    csv_button,
    day_text,
    dimension_title,
    interval_text,
    link_to_call,
    link_to_rep,
    page_head,
    paragraphs,
    plain,
    polarity_badge,
    rows_table,
    score_text,
    signal_badge,
    small,
    stop_when_empty,
    words_before,
)
from streamlit_app.filters import EVERYONE
from streamlit_app.queries.follow_ups import rhythms, talk_shares
from streamlit_app.queries.metrics import DIMENSIONS, MIN_N_SHOW, help_for
from streamlit_app.queries.moments import Moment, list_moments
from streamlit_app.queries.people import list_reps
from streamlit_app.queries.scores import ScoredCall, rep_scored_calls, rep_trend, standings
from streamlit_app.queries.skills import focus_skill, skills
from streamlit_app.queries.talking import usual_rhythm
from streamlit_app.rubric_texts import criterion_title, marker_question
from streamlit_app.texts import clock

# a dot per call stays readable over half a year
WEEKS_SHOWN = 26
CALLS_SHOWN = 10
MOMENTS_SHOWN = 6

viewer = current_viewer()
reps = {rep.rep_id: rep for rep in ask(list_reps)}
own = viewer.viewer_id if viewer.role == "rep" and viewer.viewer_id in reps else None
heading = st.container()
with st.container(width=360):
    rep_id = url_choice(
        "Rep",
        list(reps),
        name="rep",
        default=own,
        what="rep",
        placeholder="Choose a rep",
        format_func=lambda option: f"{reps[option].rep_name} · {reps[option].role}",
    )
if rep_id is None:
    with heading:
        page_head("Rep", lead="Choose someone to see how they are doing and which moments show it.")
    with st.grid(3, min_column_width=220):
        for rep in reps.values():
            with st.container(border=True, gap="xsmall"):
                link_to_rep(rep.rep_id, f"**{plain(rep.rep_name)}**")
                st.caption(f"{plain(rep.title or rep.role)} · {plain(rep.team_name)} · {calls_text(rep.n_calls)}")
    st.stop()

rep = reps[rep_id]
with heading:
    state = page_head(
        rep.rep_name,
        lead=f"{plain(rep.title or rep.role)} · {plain(rep.team_name)} · {calls_text(rep.n_calls)} "
        f"since {day_text(rep.first_call_at)}",
    )

now = {row.dimension: row for row in ask(standings, rep_id=rep_id)}
stop_when_empty(now, "None of this rep's calls has a score yet. Scores appear here after the next run.")
first_day = state.window_end - timedelta(weeks=WEEKS_SHOWN) if state.window_end else None
calls = ask(rep_scored_calls, rep_id=rep_id, since=first_day)
weeks = ask(rep_trend, rep_id=rep_id, since=first_day)

with st.grid(4, min_column_width=170):
    for dimension in DIMENSIONS:
        row = now.get(dimension)
        signal = row.signal if row else "too few calls"
        with st.container(border=True, height="stretch"):
            standing = (
                f"**{score_text(row.rolling_score)}** :gray[· 95 % interval "
                f"{interval_text(row.rolling_low, row.rolling_high)} · last {calls_text(row.rolling_n)}]"
                if row and row.rolling_score is not None
                else f":gray[No rolling score yet: {calls_text(row.rolling_n if row else 0)} with a score.]"
            )
            st.markdown(
                f"**{dimension_title(dimension)}**  \n{signal_badge(signal)}\n\n{standing}",
                help=help_for("rolling_score"),
            )

focus = focus_skill(ask(skills, rep_id=rep_id))
shown_dimension = url_choice(
    "Trend",
    [*DIMENSIONS, EVERYONE],
    name="dimension",
    default=focus.dimension if focus else DIMENSIONS[0],
    what="dimension",
    kind="segments",
    format_func=lambda option: "All four" if option == EVERYONE else dimension_title(option),
)


def trend(dimension: str) -> None:
    own_calls = [call for call in calls if call.dimension == dimension]
    n_scored = sum(call.score is not None for call in own_calls)
    chart = rep_dimension(own_calls, [week for week in weeks if week.dimension == dimension])
    if chart is None:
        st.caption(f"{dimension_title(dimension)}: no call with a score in the last {WEEKS_SHOWN} weeks.")
        return
    row = now.get(dimension)
    rubric = f"rubric {row.rubric_version}" if row else "rubric unknown"
    skipped = f", not applicable on {calls_text(len(own_calls) - n_scored)}" if n_scored < len(own_calls) else ""
    st.markdown(f"**{dimension_title(dimension)}** {small(f'{calls_text(n_scored)} with a score{skipped} · {rubric}')}")
    st.vega_lite_chart(
        chart,
        alt=f"{dimension_title(dimension)} of {rep.rep_name}: {n_scored} scored calls, "
        f"rolling score {score_text(row.rolling_score if row else None)}, {row.signal if row else 'too few calls'}",
    )


if shown_dimension == EVERYONE:
    with st.grid(2, min_column_width=330):
        for dimension in DIMENSIONS:
            with st.container():
                trend(dimension)
else:
    trend(shown_dimension or DIMENSIONS[0])
st.caption(
    f"The last {WEEKS_SHOWN} weeks. Dots: calls. Line: mean of the last ten calls, with its 95 % interval. Hollow dots "
    "and the dashed end of the line: running week. Dashed upright: new rubric."
)


def one_per_turn(found: Iterable[Moment]) -> list[Moment]:
    """The same sentence often speaks for several markers."""
    places: dict[tuple[str, int], Moment] = {}
    for moment in found:
        places.setdefault((moment.call_id, moment.turn_id), moment)
    return list(places.values())


st.subheader(
    "Focus skill",
    anchor=False,
    help="The criterion that would raise the score most: its distance to a 5 times its weight, over 90 days.",
)
if focus is None:
    st.caption("No criterion has enough scored calls yet.")
else:
    with st.container(border=True, gap="small"):
        st.markdown(
            f"**{plain(criterion_title(focus.criterion_id))}** :gray[({dimension_title(focus.dimension)})] · level "
            f"**{focus.mean_level:.1f}** of 5 over {calls_text(focus.n_applicable)} in 90 days"
        )
        gaps = ask(list_moments, rep_id=rep_id, criterion_id=focus.criterion_id, polarity="gap", limit=12)
        for moment in one_per_turn(gaps)[:2]:
            paragraphs(
                words_before(moment.customer_said),
                f"“{plain(moment.quote)}”",
                f":material/lightbulb: {plain(moment.suggestion)}" if moment.suggestion else "",
            )
            link_to_call(
                moment.call_id,
                f"{clock(moment.start_ms)} in {plain(moment.call_title or 'the call')}",
                moment=moment.evidence_id,
                icon=":material/play_arrow:",
            )


def latest_moments() -> None:
    moments = ask(list_moments, rep_id=rep.rep_id, limit=60)
    if not moments:
        st.caption("No quoted moment yet.")
        return
    with st.grid(3, min_column_width=260):
        for moment in one_per_turn(moments)[:MOMENTS_SHOWN]:
            with st.container(border=True, gap="xsmall", height="stretch"):
                paragraphs(
                    f"{polarity_badge(moment.polarity)} {small(dimension_title(moment.dimension))}",
                    words_before(moment.customer_said),
                    f"“{plain(moment.quote)}”",
                    small(plain(marker_question(moment.marker_id))),
                )
                link_to_call(
                    moment.call_id,
                    f"{clock(moment.start_ms)} on {day_text(moment.started_at)}",
                    moment=moment.evidence_id,
                    icon=":material/play_arrow:",
                )
    csv_button(frame_of(moments), f"moments-{rep.rep_id}", label=f"Download the latest {len(moments)} as CSV")


def how_they_talk() -> None:
    rhythm = next(iter(ask(rhythms, rep_id=rep.rep_id)), None)
    if rhythm is None:
        st.caption("No transcript with times in the last 90 days.")
        return
    usual = ask(usual_rhythm)
    st.caption(
        f"Means of {calls_text(rhythm.n_calls)} in 90 days. Below each: where half of the {calls_text(usual.n_calls)} "
        "you may see lie. None of it is a target."
    )
    numbers = (
        ("Longest monologue", rhythm.longest_monologue_s, "longest_monologue_s", ".0f", " s", "longest_monologue"),
        ("Patience", rhythm.patience_s, "patience_s", ".1f", " s", "patience"),
        ("Questions an hour", rhythm.questions_per_hour, "questions_per_hour", ".0f", "", "questions_per_hour"),
        ("Switches a minute", rhythm.switches_per_min, "switches_per_min", ".1f", "", "switches_per_min"),
    )
    with st.grid(4, min_column_width=150):
        for title, value, field, shape, unit, metric in numbers:
            low, high = getattr(usual, f"{field}_low"), getattr(usual, f"{field}_high")
            with st.container(border=True, gap="xsmall"):
                st.metric(title, "–" if value is None else f"{value:{shape}}{unit}", help=help_for(metric))
                if low is not None and usual.n_calls >= MIN_N_SHOW:
                    st.caption(f"usual: {low:{shape}} to {high:{shape}}{unit}")
    shares = ask(talk_shares, rep_id=rep.rep_id)
    chart = talk_bands(shares.rows)
    if chart is None:
        return
    st.markdown("**Talk ratio by type of call**", help=help_for("talk_ratio"))
    st.vega_lite_chart(chart, alt=f"Talk ratio of {rep.rep_name} by type of call, {len(shares)} types")
    st.caption(
        "Dot: this rep. Tick: mean of everyone you may see. Bar: range that practitioners name for the type, "
        "a correlation and no target."
    )
    csv_button(frame_of(shares), f"talk-ratio-{rep.rep_id}")


def by_call(scored: Iterable[ScoredCall]) -> list[dict[str, Any]]:
    """One row per call with its four scores, in the order they come."""
    found: dict[str, dict[str, Any]] = {}
    for call in scored:
        about = {
            "held": call.started_at,
            "call": call.title or call.call_id,
            "account": call.account_name,
            "type": call.call_type,
            "call_id": call.call_id,
        }
        found.setdefault(call.call_id, about)[call.dimension] = call.score
    return list(found.values())


def scored_calls() -> None:
    for listed in by_call(calls)[:CALLS_SHOWN]:
        levels = " ".join(
            f":gray-badge[{dimension_title(dimension)} {score_text(listed.get(dimension))}]"
            for dimension in DIMENSIONS
            if dimension in listed
        )
        link_to_call(listed["call_id"], f"{day_text(listed['held'])} · {plain(listed['call'])} {levels}")
    warehouse = database()
    rows_table(
        "All scored calls as a table",
        lambda: pd.DataFrame(by_call(rep_scored_calls(warehouse, viewer, rep.rep_id))),
        f"calls-{rep.rep_id}",
        alt=f"Calls of {rep.rep_name} with their four scores",
        column_config={
            "held": st.column_config.DatetimeColumn("Held", format="D MMM YYYY"),
            "call": st.column_config.TextColumn("Call", width="large"),
            "account": "Account",
            "type": "Type",
            "call_id": None,
            **{
                dimension: st.column_config.NumberColumn(dimension_title(dimension), format="%.0f")
                for dimension in DIMENSIONS
            },
        },
    )


VIEWS = {"Latest moments": latest_moments, "How they talk": how_they_talk, "Calls": scored_calls}
view = url_choice("View", list(VIEWS), name="view", default="Latest moments", what="view", kind="segments")
VIEWS[view or "Latest moments"]()
