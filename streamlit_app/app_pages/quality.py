"""Can I trust it?"""

import pandas as pd
import streamlit as st

from streamlit_app.cached import ask
from streamlit_app.charts import frame_of
from streamlit_app.chrome import csv_button, dimension_title, page_head, stop_when_empty
from streamlit_app.queries.metrics import DIMENSIONS, help_for
from streamlit_app.queries.trust import agreement, judge_quality

# what decides trust first; bookkeeping after it
ORDER = [
    *("dimension", "quote_verified_rate", "n_quotes", "exact_agreement", "within_one_agreement", "kappa"),
    *("mean_signed_error", "n_human_levels", "managers_agree", "n_opinions", "marker_flip_rate", "repeat_score_sd"),
    *("n_repeated", "length_correlation", "na_share", "n_answers", "n_quotes_verified", "n_quotes_repaired"),
    *("n_quotes_dropped", "rubric_version", "is_current", "is_sandbox"),
]

page_head("Judge quality", lead="How far the machine's judgements can be trusted, and what people say about them.")

rows = ask(judge_quality)
stop_when_empty(rows, "No answer has been checked yet. Quality appears here after the first scored call.")
opinions = {row.dimension: row for row in ask(agreement)}
current = {row.dimension: row for row in rows if row.is_current}

quotes = sum(row.n_quotes for row in rows)
verified = sum(row.n_quotes_verified for row in rows)
n_opinions = sum(row.n_opinions for row in opinions.values())
n_agree = sum(row.n_agree for row in opinions.values())
human = sum(row.n_human_levels for row in rows)
with st.grid(4, min_column_width=160):
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.metric(
            "Quotes verified", f"{verified / quotes:.1%}" if quotes else "–", help=help_for("quote_verified_rate")
        )
        st.caption(f"n = {quotes:,} quotes, {quotes - verified:,} dropped")
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.metric(
            "Managers agree",
            f"{n_agree / n_opinions:.0%}" if n_opinions else "–",
            help=help_for("agreement_with_managers"),
        )
        st.caption(f"n = {n_opinions:,} opinions" if n_opinions else "Nobody has reviewed a moment yet.")
    with st.container(border=True, height="stretch", gap="xsmall"):
        exact = [(row.exact_agreement, row.n_human_levels) for row in rows if row.exact_agreement is not None]
        st.metric(
            "Same level as a person",
            f"{sum(rate * n for rate, n in exact) / sum(n for _, n in exact):.0%}" if exact else "–",
            help=help_for("kappa"),
        )
        st.caption(f"n = {human:,} human scores" if human else "No human scorecard for a scored call yet.")
    with st.container(border=True, height="stretch", gap="xsmall"):
        repeated = [row for row in rows if row.repeat_score_sd is not None]
        st.metric(
            "Spread when repeated",
            f"{max(row.repeat_score_sd or 0 for row in repeated):.1f}" if repeated else "–",
            help=help_for("repeat_score_sd"),
        )
        st.caption(
            f"largest of {len(repeated)} dimensions, in points" if repeated else "No answer has been repeated yet."
        )
st.caption("Scores of different rubric versions are never mixed; each version has its own row.")

frame = frame_of(rows)
frame["managers_agree"] = [
    opinions[row.dimension].agreement_rate if row.is_current and row.dimension in opinions else None for row in rows
]
frame["n_opinions"] = [
    opinions[row.dimension].n_opinions if row.is_current and row.dimension in opinions else 0 for row in rows
]
frame["dimension"] = pd.Series(
    [dimension_title(row.dimension) if row.dimension in DIMENSIONS else "Call brief" for row in rows]
)
st.dataframe(
    frame,
    hide_index=True,
    alt="Judge quality per dimension and rubric version",
    placeholder="–",
    column_order=ORDER,
    column_config={
        "dimension": st.column_config.TextColumn("Dimension", pinned=True),
        "rubric_version": "Rubric",
        "is_current": "Current",
        "is_sandbox": "Sandbox",
        "n_answers": "Answers",
        "n_quotes": "Quotes",
        "n_quotes_verified": "Verified",
        "n_quotes_repaired": "Repaired",
        "n_quotes_dropped": "Dropped",
        "quote_verified_rate": st.column_config.NumberColumn("Verified rate", format="percent"),
        "na_share": st.column_config.NumberColumn(
            "Not applicable", format="percent", help="Share of scored calls without an applicable score."
        ),
        "n_human_levels": "Human scores",
        "exact_agreement": st.column_config.NumberColumn("Same level", format="percent"),
        "within_one_agreement": st.column_config.NumberColumn("Within one level", format="percent"),
        "mean_signed_error": st.column_config.NumberColumn(
            "Machine minus human", format="%.2f", help="Above 0: the machine is kinder."
        ),
        "kappa": st.column_config.NumberColumn("Kappa", format="%.2f", help=help_for("kappa")),
        "n_repeated": "Repeated",
        "marker_flip_rate": st.column_config.NumberColumn("Markers that flip", format="percent"),
        "repeat_score_sd": st.column_config.NumberColumn("Repeat spread", format="%.1f"),
        "length_correlation": st.column_config.NumberColumn(
            "Score and length", format="%.2f", help=help_for("length_correlation")
        ),
        "managers_agree": st.column_config.NumberColumn("Managers agree", format="percent"),
        "n_opinions": "Opinions",
    },
)
csv_button(frame, "judge-quality")
st.subheader("How to read this", anchor=False)
st.markdown(
    "A verified quote proves that something was said, not that the judgement about it is right. Agreement with people "
    "needs about 50 human scores per dimension before it says much. People disagree with each other too: no judge can "
    "agree with them more than they agree among themselves."
)
