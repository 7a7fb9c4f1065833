"""What should the team practise?"""

import pandas as pd
import streamlit as st

from streamlit_app.cached import ask
from streamlit_app.charts import frame_of
from streamlit_app.chrome import (
    calls_text,
    csv_button,
    dimension_title,
    link_to_rep,
    page_head,
    plain,
    stop_when_empty,
)
from streamlit_app.filters import dimension_choice, team_choice, window_choice
from streamlit_app.heat_table import Level, heat_table
from streamlit_app.queries.metrics import DIMENSIONS, MIN_N_SHOW, help_for
from streamlit_app.queries.skills import skills
from streamlit_app.rubric_texts import criterion_title

EVERYONE = "All"

page_head("Skills", lead="Criteria by rep: what the team does reliably, and the topic for the next training.")
with st.container(horizontal=True, vertical_alignment="bottom"):
    dimension = dimension_choice()
    window_days = window_choice()
    team_id = team_choice()
rows = ask(
    skills,
    window_days=window_days,
    team_id=team_id,
    dimension=dimension,
)
stop_when_empty(rows, "No criterion was scored in this window.")

frame = frame_of(rows)
frame["criterion"] = [row.criterion_title or criterion_title(row.criterion_id) for row in rows]
known = frame[frame["mean_level"].notna()]
weighted = known.assign(level_calls=known["mean_level"] * known["n_applicable"])
together = weighted.groupby(["dimension", "criterion_id", "criterion"], as_index=False)[
    ["level_calls", "n_applicable"]
].sum()
together["mean_level"] = together["level_calls"] / together["n_applicable"]
together["rep_name"] = EVERYONE
if not together.empty:
    weakest = together.sort_values(["mean_level", "criterion_id"]).iloc[0]
    st.markdown(
        f"**Topic for training:** {plain(weakest['criterion'])} :gray[({dimension_title(weakest['dimension'])})], "
        f"level **{weakest['mean_level']:.1f}** of 5 over {calls_text(int(weakest['n_applicable']))} "
        f"in {window_days} days.",
        help=help_for("criterion_level"),
    )
st.caption(
    "Mean level per criterion and rep, from 1 (pale) to 5 (strong); the small number is n. "
    f"{EVERYONE}: every call weighs the same. A dash: under {MIN_N_SHOW} calls with an opportunity."
)
reps = list(dict.fromkeys(frame["rep_name"]))
with st.grid(2, min_column_width=330, gap=("medium", "large")):
    for name in [name for name in DIMENSIONS if name in set(frame["dimension"])]:
        part = pd.concat([together, known])
        part = part[part["dimension"] == name]
        cells = {
            (row.rep_name, row.criterion): Level(row.mean_level, row.n_applicable)
            for row in part.itertuples()
            if row.n_applicable >= MIN_N_SHOW
        }
        with st.container(gap="xsmall"):
            st.subheader(dimension_title(name), anchor=False)
            st.html(
                heat_table(
                    cells,
                    rows=[EVERYONE, *reps] if len(reps) > 1 else reps,
                    columns=list(dict.fromkeys(frame[frame["dimension"] == name]["criterion"])),
                    label=f"{dimension_title(name)}: mean level of each criterion for {len(reps)} reps",
                )
            )
with st.expander("As a table"):
    st.dataframe(
        frame[
            [
                "rep_name",
                "role",
                "dimension",
                "criterion",
                "mean_level",
                "low",
                "high",
                "n_applicable",
                "role_mean_level",
                "points_to_gain",
                "rubric_version",
            ]
        ],
        hide_index=True,
        alt="Mean level per rep and criterion",
        column_config={
            "rep_name": st.column_config.TextColumn("Rep", pinned=True),
            "role": "Role",
            "dimension": "Dimension",
            "criterion": "Criterion",
            "mean_level": st.column_config.NumberColumn("Level", format="%.1f", help=help_for("criterion_level")),
            "low": st.column_config.NumberColumn("From", format="%.1f"),
            "high": st.column_config.NumberColumn("To", format="%.1f"),
            "n_applicable": "n",
            "role_mean_level": st.column_config.NumberColumn("Mean of the role", format="%.1f"),
            "points_to_gain": st.column_config.NumberColumn(
                "Points to gain", format="%.1f", help="What a level of 5 would add to the dimension score."
            ),
            "rubric_version": "Rubric",
        },
    )
    csv_button(frame, f"skills-{window_days}")
with st.container(horizontal=True, gap="small", vertical_alignment="center"):
    st.caption("Open:", width="content")
    for rep_id, rep_name in dict(zip(frame["rep_id"], frame["rep_name"], strict=True)).items():
        link_to_rep(rep_id, plain(rep_name))
