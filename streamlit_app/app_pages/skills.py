"""What should the team practise?"""

import streamlit as st

from streamlit_app.address import url_page
from streamlit_app.cached import ask
from streamlit_app.charts import frame_of
from streamlit_app.chrome import (
    calls_text,
    dimension_title,
    link_to_rep,
    page_head,
    plain,
    rows_table,
    stop_when_empty,
)
from streamlit_app.filters import dimension_choice, team_choice, window_choice
from streamlit_app.heat_table import Level, heat_table
from streamlit_app.queries.metrics import DIMENSIONS, MIN_N_SHOW, help_for
from streamlit_app.queries.skills import skills
from streamlit_app.rubric_texts import criterion_title

# no Gong id looks like it
EVERYONE = "*"
REPS_SHOWN = 12
TABLE = (
    *("rep_name", "role", "dimension", "criterion", "mean_level", "low", "high", "n_applicable"),
    *("role_mean_level", "points_to_gain", "rubric_version"),
)

page_head("Skills", lead="Criteria by rep: what the team does reliably, and the topic for the next training.")
dimension = dimension_choice()
with st.container(horizontal=True, vertical_alignment="bottom"):
    window_days = window_choice()
    team_id = team_choice()
rows = ask(
    skills,
    window_days=window_days,
    team_id=team_id,
    dimension=dimension,
)
stop_when_empty(rows, "No criterion was scored in this window.")

known = [row for row in rows if row.mean_level is not None and row.n_applicable >= MIN_N_SHOW]
cells = {(row.rep_id, row.criterion_id): Level(row.mean_level or 0, row.n_applicable) for row in known}
criteria = {row.criterion_id: row for row in rows}
titles = {name: row.criterion_title or criterion_title(name) for name, row in criteria.items()}
for name in criteria:
    levels = [cells[row.rep_id, name] for row in known if row.criterion_id == name]
    n_calls = sum(level.n_calls for level in levels)
    if n_calls:
        mean = sum(level.mean_level * level.n_calls for level in levels) / n_calls
        cells[EVERYONE, name] = Level(mean, n_calls)
weakest = min(
    (name for name in criteria if (EVERYONE, name) in cells),
    key=lambda name: (cells[EVERYONE, name].mean_level, name),
    default=None,
)
if weakest is not None:
    level = cells[EVERYONE, weakest]
    st.markdown(
        f"**Topic for training:** {plain(titles[weakest])} :gray[({dimension_title(criteria[weakest].dimension)})], "
        f"level **{level.mean_level:.1f}** of 5 over {calls_text(level.n_calls)} in {window_days} days.",
        help=help_for("criterion_level"),
    )
st.caption(
    "Mean level per criterion and rep, from 1 (pale) to 5 (strong); the small number is n. "
    f"All: every call weighs the same. A dash: under {MIN_N_SHOW} calls with an opportunity."
)
reps = {row.rep_id: row.rep_name for row in rows}
heat = st.container()
first = REPS_SHOWN * (url_page(len(reps), page_size=REPS_SHOWN) - 1)
shown = dict(list(reps.items())[first : first + REPS_SHOWN])
with heat, st.grid(2, min_column_width=330, gap=("medium", "large")):
    for name in [name for name in DIMENSIONS if any(row.dimension == name for row in rows)]:
        with st.container(gap="xsmall"):
            st.subheader(dimension_title(name), anchor=False)
            st.html(
                heat_table(
                    cells,
                    rows={EVERYONE: "All", **shown} if len(reps) > 1 else shown,
                    columns={key: title for key, title in titles.items() if criteria[key].dimension == name},
                    label=f"{dimension_title(name)}: mean level of each criterion for {len(shown)} reps",
                )
            )
with st.container(horizontal=True, gap="small", vertical_alignment="center"):
    st.caption("Open:", width="content")
    for rep_id, rep_name in shown.items():
        link_to_rep(rep_id, plain(rep_name))
frame = frame_of(rows)
frame.insert(0, "criterion", frame["criterion_id"].map(titles))
frame["dimension"] = frame["dimension"].map(dimension_title)
rows_table(
    "All levels as a table",
    frame,
    f"skills-{window_days}",
    alt="Mean level per rep and criterion",
    column_order=TABLE,
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
