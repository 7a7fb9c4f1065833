"""Who can others learn from?"""

from collections import Counter

import streamlit as st

from streamlit_app.address import url_choice
from streamlit_app.cached import ask
from streamlit_app.charts import Interval, frame_of, score_range
from streamlit_app.chrome import (
    calls_text,
    csv_button,
    dimension_title,
    interval_text,
    link_to_rep,
    page_head,
    plain,
    stop_when_empty,
)
from streamlit_app.filters import EVERYONE, team_choice, window_choice
from streamlit_app.queries.leaderboard import Standing, leaderboard
from streamlit_app.queries.metrics import DIMENSIONS, MIN_N_RANK, help_for

TIERS = {
    "clearly above": ":green-badge[:material/arrow_upward: clearly above]",
    "about average": ":gray-badge[about average]",
    "clearly below": ":orange-badge[:material/arrow_downward: clearly below]",
    "not ranked yet": ":gray-badge[not ranked yet]",
}
ROLES = {"AE": "Account executives", "SE": "Solutions engineers", "CSM": "Customer success", "other": "Other roles"}
REPS_SHOWN = 24


def numbers(row: Standing) -> str:
    """What stands beside a name: score, interval and n."""
    if row.score is None:
        return f":gray[{calls_text(row.n_calls)}]"
    return f"**{row.score:.0f}** :gray[{interval_text(row.low, row.high)} · {calls_text(row.n_calls)}]"


page_head(
    "Leaderboard",
    lead="Who others can learn from. Reps of one tier cannot be told apart, so there are no places.",
)
dimension = url_choice(
    "Dimension",
    list(DIMENSIONS),
    name="dimension",
    default="discovery",
    what="dimension",
    kind="segments",
    format_func=dimension_title,
)
with st.container(horizontal=True, vertical_alignment="bottom"):
    window_days = window_choice()
    team_id = team_choice()

rows = ask(
    leaderboard,
    dimension=dimension,
    window_days=window_days,
    team_id=team_id,
)
stop_when_empty(rows, "No call in this window has a score in this dimension.")
st.caption(
    f"{window_days} days up to {rows.rows[0].as_of:%-d %b %Y}. Scores are pulled towards the mean of the role, the "
    f"more so the fewer calls they rest on; bars are 95 % intervals. A tier needs {MIN_N_RANK} scored calls. "
    f"Rubric {rows.rows[0].rubric_version}."
)
sizes = Counter(row.role for row in rows)
roles = [role for role in ROLES if sizes[role]]
shown_role: str | None = EVERYONE
if len(roles) > 1:
    # reps are compared within their role, so a large team is read one role at a time
    shown_role = url_choice(
        "Role",
        [EVERYONE, *roles],
        name="role",
        default=EVERYONE if len(rows) <= REPS_SHOWN else roles[0],
        what="role",
        kind="segments",
        format_func=lambda option: "All" if option == EVERYONE else f"{ROLES[option]} ({sizes[option]})",
    )
for role in roles if shown_role in (None, EVERYONE) else [str(shown_role)]:
    group, title = [row for row in rows if row.role == role], ROLES[role]
    mean = next((row.group_mean for row in group if row.group_mean is not None), None)
    st.subheader(title, anchor=False, help=help_for("leaderboard_score"))
    if mean is not None:
        st.caption(f"Mean of the role: {mean:.0f}. Everyone with this role counts, whoever you may see.")
    ranges = [Interval(row.rep_name, row.score, row.low, row.high, row.n_calls) for row in group]
    chart = score_range(ranges, middle=mean)
    if chart is not None:
        st.vega_lite_chart(
            chart,
            alt=f"{dimension_title(dimension or '')}: scores with intervals of {len(group)} {title.lower()}",
        )
    # reps that are not ranked stand together by the reason why
    for tier, reason in dict.fromkeys((row.tier, row.unranked_reason) for row in group):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            why = f" :gray[:small[{plain(reason)}]]" if reason else ""
            st.markdown(TIERS.get(tier, tier) + why, width="content")
            for row in group:
                if (row.tier, row.unranked_reason) == (tier, reason):
                    link_to_rep(row.rep_id, f"{plain(row.rep_name)} {numbers(row)}")
csv_button(frame_of(rows), f"leaderboard-{dimension}-{window_days}")
