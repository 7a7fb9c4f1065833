"""What needs me this week?"""

import streamlit as st

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
    plain,
    score_text,
    signal_badge,
    stop_when_empty,
)
from streamlit_app.filters import team_choice
from streamlit_app.queries.metrics import DIMENSIONS, MIN_N_SHOW, help_for
from streamlit_app.queries.moments import list_moments
from streamlit_app.queries.scores import RepDimension, dimension_means, dimension_weeks, standings
from streamlit_app.queries.skills import Skill, focus_skill, skills
from streamlit_app.rubric_texts import criterion_title

ARROWS = {"up": " :green[:material/trending_up:]", "down": " :orange[:material/trending_down:]"}

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
        past = [
            week.mean_score
            for week in weeks
            if week.dimension == dimension and not week.is_running_week and week.mean_score is not None
        ]
        with st.container(border=True, height="stretch"):
            if tile is None or tile.mean_score is None:
                n = tile.n_calls if tile else 0
                st.metric(dimension_title(dimension), "–", help=help_for("mean_score"))
                st.caption(f"{calls_text(n)} with a score in 28 days; a mean needs {MIN_N_SHOW}.")
                continue
            st.metric(
                dimension_title(dimension),
                tile.mean_score,
                help=help_for("mean_score"),
                delta=None if tile.change is None else round(tile.change) + 0,
                format="%.0f",
                delta_color="normal" if tile.is_clear_change else "off",
                delta_arrow="auto" if tile.is_clear_change else "off",
                delta_description=None
                if tile.change is None
                else ("against 28 days before" if tile.is_clear_change else "no clear change"),
                chart_data=past if len(past) > 1 else None,
                chart_type="line",
            )
            st.caption(f"95 % interval {interval_text(tile.low, tile.high)}  \nn = {calls_text(tile.n_calls)}, 28 days")
st.caption("Means of the last 28 days. Lines: weekly means of twelve weeks; the running week is left out.")

rows = ask(standings, team_id=team_id)
stop_when_empty(rows, "No rep has a scored call yet. Scores appear here after the next run.")


def _reason(row: RepDimension) -> str:
    return (
        f"{signal_badge(row.signal)} {dimension_title(row.dimension)}, now {score_text(row.rolling_score)} "
        f"({interval_text(row.rolling_low, row.rolling_high)}, last {calls_text(row.rolling_n)})"
    )


def _by_rep(signal: str, limit: int) -> dict[str, list[RepDimension]]:
    """Reps with that signal, the steepest first, each with all its dimensions that have it."""
    found: dict[str, list[RepDimension]] = {}
    for row in sorted(rows, key=lambda row: -abs(row.slope_per_week or 0)):
        if row.signal == signal:
            found.setdefault(row.rep_id, []).append(row)
    return dict(list(found.items())[:limit])


left, right = st.columns([3, 2], gap="large")
with left:
    st.subheader("Where to start", anchor=False, help="Falling trends first, then the skills with most to gain.")
    falling = _by_rep("down", 3)
    for rep_id, own_rows in falling.items():
        with st.container(border=True, gap="xsmall"):
            link_to_rep(rep_id, f"**{plain(own_rows[0].rep_name)}**")
            for row in own_rows:
                st.markdown(_reason(row))
    by_rep: dict[str, list[Skill]] = {}
    for skill in ask(skills, team_id=team_id):
        by_rep.setdefault(skill.rep_id, []).append(skill)
    focuses = [focus for rep_id, own in by_rep.items() if rep_id not in falling and (focus := focus_skill(own))]
    focuses.sort(key=lambda skill: -(skill.points_to_gain or 0))
    for focus in focuses[: max(1, 4 - len(falling))]:
        with st.container(border=True, gap="xsmall"):
            link_to_rep(focus.rep_id, f"**{plain(focus.rep_name)}**")
            st.markdown(
                f":blue-badge[practise] {plain(criterion_title(focus.criterion_id))}: level {focus.mean_level:.1f} "
                f"of 5 over {calls_text(focus.n_applicable)} in 90 days"
            )
    if not falling and not focuses:
        st.caption("Nothing stands out: no falling trend and no criterion with enough calls.")
    st.page_link(
        "app_pages/queue.py",
        label="Go through the coaching queue",
        icon=":material/checklist:",
        query_params={},
    )

with right:
    st.subheader("On the way up", anchor=False, help=help_for("trend_signal"))
    rising = _by_rep("up", 3)
    for rep_id, own_rows in rising.items():
        with st.container(gap="xsmall"):
            link_to_rep(rep_id, f"**{plain(own_rows[0].rep_name)}**")
            for row in own_rows:
                st.markdown(_reason(row))
    if not rising:
        st.caption("No trend is clear enough to call it progress yet.")
    strengths = ask(list_moments, polarity="strength", side="rep", limit=1) if team_id is None else ()
    for moment in strengths:
        st.markdown(f"> {plain(moment.quote)}")
        link_to_call(
            moment.call_id,
            f"{plain(moment.rep_name)}, {plain(moment.call_title or 'call')}",
            moment=moment.evidence_id,
        )

st.subheader("Reps" if viewer.sees_a_team else "Your four dimensions", anchor=False, help=help_for("rolling_score"))
frame = frame_of(rows)
dimensions = [dimension for dimension in DIMENSIONS if dimension in set(frame["dimension"])]
signals = {(row.rep_id, row.dimension): row for row in rows}
grid = st.grid(
    len(dimensions) + 2, min_column_width=104, gap=("xsmall", "small"), wrap=False, vertical_alignment="center"
)
with grid.cell(column_span=2):
    st.caption("Rep")
for dimension in dimensions:
    grid.caption(dimension_title(dimension))
for rep in {row.rep_id: row for row in rows}.values():
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
st.caption(
    "Rolling score over the last ten scored calls. An arrow appears only where the trend is clear; "
    f"a dash means under {MIN_N_SHOW} calls with a score."
)
csv_button(frame, "reps")
if team_id:
    st.page_link("app_pages/overview.py", label="Show all teams", query_params={})
