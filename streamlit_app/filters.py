"""Choices that several pages offer alike: team, rep, dimension, window. Each one's truth is the URL."""

import streamlit as st

from streamlit_app.address import url_choice
from streamlit_app.cached import ask
from streamlit_app.chrome import dimension_title
from streamlit_app.queries.metrics import DIMENSIONS
from streamlit_app.queries.people import list_reps, list_teams

EVERYONE = "all"


def team_choice() -> str | None:
    """One team's id, or none for all; nothing is asked where there is nothing to choose."""
    teams = {team.team_id: f"{team.team_name} ({team.n_reps})" for team in ask(list_teams)}
    if len(teams) < 2:
        return None
    with st.container(width=260):
        chosen = url_choice(
            "Team",
            [EVERYONE, *teams],
            name="team",
            default=EVERYONE,
            what="team",
            format_func=lambda option: "All teams" if option == EVERYONE else teams[option],
        )
    return None if chosen == EVERYONE else chosen


def rep_choice() -> str | None:
    """One rep's id, or none for everyone the viewer may see."""
    reps = {rep.rep_id: rep.rep_name for rep in ask(list_reps)}
    if len(reps) < 2:
        return None
    with st.container(width=240):
        chosen = url_choice(
            "Rep",
            [EVERYONE, *reps],
            name="rep",
            default=EVERYONE,
            what="rep",
            format_func=lambda option: "All reps" if option == EVERYONE else reps[option],
        )
    return None if chosen == EVERYONE else chosen


def dimension_choice() -> str | None:
    """One dimension, or none for all of them; on its own line, since within a row it does not break on a phone."""
    chosen = url_choice(
        "Dimension",
        [EVERYONE, *DIMENSIONS],
        name="dimension",
        default=EVERYONE,
        what="dimension",
        kind="segments",
        format_func=lambda option: "All" if option == EVERYONE else dimension_title(option),
    )
    return None if chosen == EVERYONE else chosen


def window_choice() -> int:
    """Days of the two windows the marts hold."""
    chosen = url_choice(
        "Window",
        ["28", "90"],
        name="window",
        default="90",
        what="window",
        kind="segments",
        format_func=lambda days: f"{days} days",
    )
    return int(chosen or 90)
