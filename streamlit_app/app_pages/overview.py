"""What needs me this week?"""

import streamlit as st

from streamlit_app.address import url_page
from streamlit_app.cached import ask, current_viewer
from streamlit_app.charts import frame_of
from streamlit_app.chrome import (
    calls_text,
    csv_button,
    dimension_title,
    interval_text,
    link_to_call,
    link_to_rep,
    page_head,
    paragraphs,
    plain,
    score_text,
    signal_badge,
    small,
    stop_when_empty,
    words_before,
)
from streamlit_app.filters import team_choice
from streamlit_app.queries.coaching_queue import QueuedMoment, coaching_queue
from streamlit_app.queries.metrics import DIMENSIONS, MIN_N_SHOW, help_for
from streamlit_app.queries.scores import RepDimension, dimension_means, dimension_weeks, standings
from streamlit_app.queries.skills import Skill, focus_skill, skills
from streamlit_app.rubric_texts import criterion_title
from streamlit_app.week_bars import week_bars

ARROWS = {"up": " :green[:material/trending_up:]", "down": " :orange[:material/trending_down:]"}
N_MOMENTS = 3
REPS_SHOWN = 8

viewer = current_viewer()
state = page_head(
    "Overview",
    lead="What needs you this week." if viewer.sees_a_team else "Where you stand, and what to practise next.",
)
if state.n_calls_total == 0:
    st.stop()
team_id = team_choice()

tiles = {tile.dimension: tile for tile in ask(dimension_means, team_id=team_id)}
weeks = ask(dimension_weeks, team_id=team_id)
with st.grid(4, min_column_width=170):
    for dimension in DIMENSIONS:
        tile = tiles.get(dimension)
        with st.container(border=True, height="stretch", gap="xsmall"):
            if tile is None or tile.mean_score is None:
                n = tile.n_calls if tile else 0
                st.metric(dimension_title(dimension), "–", help=help_for("mean_score"))
                st.caption(f"{calls_text(n)} with a score in 28 days; a mean needs {MIN_N_SHOW}.")
                continue
            is_clear = tile.is_clear_change and tile.change is not None
            st.metric(
                dimension_title(dimension),
                tile.mean_score,
                help=help_for("mean_score"),
                delta=round(tile.change) if is_clear and tile.change is not None else None,
                delta_description="clear change" if is_clear else None,
                format="%.0f",
            )
            own_weeks = [week for week in weeks if week.dimension == dimension]
            label = f"{dimension_title(dimension)}: weekly means of {len(own_weeks)} weeks, on a scale of 0 to 100"
            bars = week_bars(own_weeks, label=label)
            if bars is not None:
                st.html(bars)
            before = (
                "no mean in the 28 days before"
                if tile.previous_mean_score is None
                else f"28 days before: {score_text(tile.previous_mean_score)}"
                + ("" if is_clear else ", no clear change")
            )
            st.caption(f"{interval_text(tile.low, tile.high)} with 95 % · {calls_text(tile.n_calls)}  \n{before}")
st.caption("Means of 28 days. Bars: weekly means of twelve weeks, from 0 to 100; an outline is the running week.")

rows = ask(standings, team_id=team_id)
stop_when_empty(rows, "No rep has a scored call yet. Scores appear here after the next run.")


def _by_rep(signal: str) -> dict[str, list[RepDimension]]:
    """Reps with that signal, the steepest first, each with all its dimensions that have it."""
    found: dict[str, list[RepDimension]] = {}
    for row in sorted(rows, key=lambda row: -abs(row.slope_per_week or 0)):
        if row.signal == signal:
            found.setdefault(row.rep_id, []).append(row)
    return found


def _worth_a_talk() -> list[QueuedMoment]:
    """The most rewarding moment of each rep: three talks with one person are one talk."""
    best: dict[str, QueuedMoment] = {}
    for moment in ask(coaching_queue, team_id=team_id, limit=200):
        best.setdefault(moment.rep_id, moment)
    return list(best.values())[:N_MOMENTS]


left, right = st.columns([3, 2], gap="large")
with left:
    st.subheader(
        "Where to start",
        anchor=False,
        help="The moments of the last 28 days with the most to gain, one per rep; the coaching queue holds all.",
    )
    moments = _worth_a_talk()
    for moment in moments:
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                link_to_rep(moment.rep_id, f"**{plain(moment.rep_name)}**")
                st.caption(
                    f"{dimension_title(moment.dimension)}: {plain(moment.criterion_title or moment.criterion_id)}",
                    width="content",
                )
            paragraphs(
                words_before(moment.customer_said),
                f"“{plain(moment.quote)}”",
                f":material/lightbulb: {plain(moment.suggestion)}" if moment.suggestion else "",
            )
            link_to_call(moment.call_id, "Open the moment", moment=moment.moment_id, icon=":material/play_arrow:")
    if not moments:
        st.caption("Nothing is waiting in the coaching queue.")
    st.page_link(
        "app_pages/queue.py",
        label="All of the coaching queue",
        icon=":material/checklist:",
        query_params={},
    )

with right:
    st.subheader("Clear trends", anchor=False, help=help_for("trend_signal"))
    trends = {signal: _by_rep(signal) for signal in ("down", "up")}
    for signal, found in trends.items():
        for rep_id, own_rows in list(found.items())[:4]:
            with st.container(border=True, gap="xsmall"):
                link_to_rep(rep_id, f"**{plain(own_rows[0].rep_name)}**")
                paragraphs(
                    *(
                        f"{signal_badge(signal)} {dimension_title(row.dimension)} **{score_text(row.rolling_score)}** "
                        + small(interval_text(row.rolling_low, row.rolling_high))
                        for row in own_rows
                    )
                )
    if not any(trends.values()):
        st.caption("No trend is clear enough to be called one. That is the usual state: single weeks are mostly noise.")
    else:
        st.caption("Score: mean of the last ten scored calls, with its 95 % interval.")

st.subheader("Reps" if viewer.sees_a_team else "Your four dimensions", anchor=False, help=help_for("rolling_score"))
dimensions = [dimension for dimension in DIMENSIONS if any(row.dimension == dimension for row in rows)]
signals = {(row.rep_id, row.dimension): row for row in rows}
own_skills: dict[str, list[Skill]] = {}
for skill in ask(skills, team_id=team_id):
    own_skills.setdefault(skill.rep_id, []).append(skill)
listing = st.container()
reps = list({row.rep_id: row for row in rows}.values())
first = REPS_SHOWN * (url_page(len(reps), page_size=REPS_SHOWN) - 1)
grid = listing.grid(
    len(dimensions) + 4, min_column_width=84, gap=("xsmall", "small"), wrap=False, vertical_alignment="center"
)
with grid.cell(column_span=2):
    st.caption("Rep")
for dimension in dimensions:
    grid.caption(dimension_title(dimension))
with grid.cell(column_span=2):
    st.caption("Most to gain")
for rep in reps[first : first + REPS_SHOWN]:
    with grid.cell(column_span=2):
        carried = {"team": team_id} if team_id else {}
        link_to_rep(rep.rep_id, f"{plain(rep.rep_name)} :gray[{rep.role} · {calls_text(rep.n_calls)}]", **carried)
    for dimension in dimensions:
        cell = signals.get((rep.rep_id, dimension))
        if cell is None or cell.rolling_score is None:
            grid.markdown(f":gray[– :small[n {cell.rolling_n if cell else 0}]]")
        else:
            arrow = ARROWS.get(cell.signal, "")
            grid.markdown(f"**{cell.rolling_score:.0f}**{arrow} :gray[:small[n {cell.rolling_n}]]")
    focus = focus_skill(own_skills.get(rep.rep_id, []))
    with grid.cell(column_span=2):
        st.caption(
            f"{plain(criterion_title(focus.criterion_id))}, level {focus.mean_level:.1f}" if focus else "too few calls"
        )
st.caption(
    "Mean of the last ten scored calls. An arrow appears only where the trend is clear; a dash means "
    f"under {MIN_N_SHOW} calls with a score. Most to gain: the criterion (level 1 to 5, 90 days) that "
    "holds the score down most."
)
csv_button(lambda: frame_of(rows), "reps")
if team_id:
    st.page_link("app_pages/overview.py", label="Show all teams", query_params={})
