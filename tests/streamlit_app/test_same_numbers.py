"""One number per metric: what a page shows, what a tool answers and what SQL over the marts says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
import streamlit as st
from fastmcp import Client
from streamlit.testing.v1 import AppTest

from knowledge.metrics import load_metrics
from streamlit_app.mcp_server import build_server
from streamlit_app.queries.database import Database
from streamlit_app.settings import Settings

APP = Path(__file__).parents[2] / "streamlit_app" / "app.py"
CALL = "call-finch-05-0"
PAGES = {
    "overview": {},
    "queue": {},
    "rep": {"rep": "finch"},
    "talking": {"rep": "finch", "view": "How they talk"},
    "levels": {"call": CALL, "view": "Levels"},
    "numbers": {"call": CALL, "view": "Numbers"},
    "leaderboard": {},
    "skills": {},
    "costs": {},
    "quality": {},
}
TOOLS: dict[str, dict[str, Any]] = {
    "get_team_overview": {},
    "get_leaderboard": {"dimension": "discovery"},
    "get_cost_report": {},
    "analyze_call": {"call_id": CALL},
    "get_rep_insights": {"rep": "finch"},
    "get_coaching_queue": {"limit": 1},
}
# analysts read it in the marts and describe_metric explains it; no page and no tool shows it
NOT_SHOWN = {"saved_against_rubric_only"}
LAST_90 = "started_at >= (select max(started_at)::date - 89 from marts.fct_scores)"
LAST_28 = "started_at >= (select max(started_at)::date - 27 from marts.fct_scores)"
OF_FINCH = (
    "from marts.fct_call_participants as spoken join marts.fct_calls using (call_id) "
    f"where spoken.side = 'rep' and fct_calls.rep_id = 'finch' and fct_calls.{LAST_90}"
)
OF_CALL = f"from marts.fct_call_participants where call_id = '{CALL}' and side = 'rep'"


@dataclass
class Shown:
    """All pages and all answers, each asked for once."""

    pages: dict[str, AppTest] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    url: str = ""

    def sql(self, statement: str) -> Any:
        """The single value of a statement; decimals as numbers."""
        with psycopg.connect(self.url) as connection:
            (value,) = connection.execute(statement).fetchone() or (None,)
        return float(value) if value is not None and not isinstance(value, str | int) else value

    def metric(self, page: str, label: str) -> str:
        return next(str(metric.value) for metric in self.pages[page].metric if metric.label == label)

    def table(self, page: str) -> pd.DataFrame:
        return self.pages[page].dataframe[0].value

    def words(self, page: str) -> str:
        app = self.pages[page]
        return "\n".join(str(text.value) for kind in (app.markdown, app.caption) for text in kind)

    def rep_number(self, page: str, column: str) -> float:
        """The rep's row of the table of one call."""
        table = self.table(page)
        return float(table[table["speaker_label"] == "Rep"][column].iloc[0])


@pytest.fixture(scope="module")
def shown_pages(module_desk_url: str) -> Shown:
    patch = pytest.MonkeyPatch()
    patch.setenv("DATABASE_URL", module_desk_url)
    patch.setenv("CALL_COACH_LOCAL_VIEWER", "admin")
    with psycopg.connect(module_desk_url) as connection:
        for verdict in ("agree", "agree", "disagree"):
            connection.execute(
                "insert into ops.moment_reviews (evidence_id, call_id, viewer_id, verdict) "
                "select evidence_id, call_id, gen_random_uuid()::text, %s from marts.fct_evidence limit 1",
                [verdict],
            )
    st.cache_data.clear()
    st.cache_resource.clear()
    shown = Shown(url=module_desk_url)
    for name, parameters in PAGES.items():
        app = AppTest.from_file(str(APP), default_timeout=120)
        for key, value in parameters.items():
            app.query_params[key] = value
        if name != "overview":
            # what a page is about names it: one page shows several views
            app.switch_page(f"app_pages/{next(iter(parameters), name)}.py")
        # tables behind a view are drawn when they are asked for
        app.session_state["rows-skills-90"] = True
        shown.pages[name] = app.run()
        assert not app.exception
    st.cache_data.clear()
    st.cache_resource.clear()
    patch.undo()
    return shown


@pytest.fixture
async def shown(shown_pages: Shown) -> Shown:
    if not shown_pages.answers:
        database = Database(shown_pages.url)
        settings = Settings(CALL_COACH_LOCAL_VIEWER="admin", _env_file=None)  # type: ignore[call-arg]
        async with Client(build_server(settings, database)) as client:
            for tool, arguments in TOOLS.items():
                shown_pages.answers[tool] = (await client.call_tool(tool, arguments)).structured_content or {}
        database.close()
    return shown_pages


def of(rows: list[dict[str, Any]], key: str, value: str) -> dict[str, Any]:
    return next(row for row in rows if row[key] == value)


def dimension_score(shown: Shown) -> None:
    wanted = shown.sql(
        f"select round(score, 1) from marts.fct_scores where call_id = '{CALL}' and dimension = 'discovery'"
    )
    assert of(shown.answers["analyze_call"]["rows"], "dimension", "discovery")["score"] == wanted
    assert shown.metric("levels", "Discovery") == f"{wanted:.0f}"


def criterion_level(shown: Shown) -> None:
    wanted = shown.sql(
        f"select level from marts.fct_criterion_scores where call_id = '{CALL}' and criterion_id = 'ds1_problem_depth'"
    )
    assert of(shown.answers["analyze_call"]["criteria"], "criterion_id", "ds1_problem_depth")["level"] == wanted
    table = shown.table("levels")
    assert table[table["criterion_id"] == "ds1_problem_depth"]["level"].iloc[0] == wanted


def mean_score(shown: Shown) -> None:
    wanted = shown.sql(f"select round(avg(score), 1) from marts.fct_scores where dimension = 'discovery' and {LAST_28}")
    assert of(shown.answers["get_team_overview"]["rows"], "dimension", "discovery")["mean_score"] == wanted
    assert float(shown.metric("overview", "Discovery")) == wanted


def _trend(shown: Shown, column: str) -> Any:
    newest = "(select max(week_start) from marts.mart_rep_trends)"
    return shown.sql(
        f"select {column} from marts.mart_rep_trends where rep_id = 'finch' and dimension = 'discovery' "
        f"and week_start = {newest}"
    )


def rolling_score(shown: Shown) -> None:
    wanted = _trend(shown, "round(rolling_score, 1)")
    assert of(shown.answers["get_rep_insights"]["rows"], "dimension", "discovery")["rolling_score"] == wanted
    assert f"**{wanted:.0f}** :gray[· 95 % interval" in shown.words("rep")


def trend_signal(shown: Shown) -> None:
    wanted = _trend(shown, "signal")
    assert of(shown.answers["get_rep_insights"]["rows"], "dimension", "discovery")["signal"] == wanted
    assert f"{wanted}]" in shown.words("rep")


def leaderboard_score(shown: Shown) -> None:
    wanted = shown.sql(
        "select round(score, 1) from marts.mart_leaderboard "
        "where rep_id = 'wren' and dimension = 'discovery' and window_days = 90"
    )
    assert of(shown.answers["get_leaderboard"]["rows"], "rep_id", "wren")["score"] == wanted
    labels = [link.proto.label for link in shown.pages["leaderboard"].get("page_link")]
    assert [label for label in labels if f"Wren Sample **{wanted:.0f}** :gray" in label]


def coverage(shown: Shown) -> None:
    wanted = shown.sql(
        f"select avg(is_scored::int) from marts.fct_calls where is_eligible and not is_deleted and {LAST_28}"
    )
    assert shown.answers["get_team_overview"]["coverage"] == pytest.approx(wanted)
    assert f"{wanted:.0%} of " in shown.words("overview")


def quote_verified_rate(shown: Shown) -> None:
    wanted = shown.sql("select sum(n_quotes_verified)::float / sum(n_quotes) from marts.mart_judge_quality")
    assert shown.metric("quality", "Quotes verified") == f"{wanted:.1%}"


def talk_ratio(shown: Shown) -> None:
    wanted = shown.sql(f"select round(avg(spoken.talk_ratio), 3) {OF_FINCH}")
    assert shown.answers["get_rep_insights"]["talk_ratio"] == wanted
    assert shown.rep_number("numbers", "talk_ratio") == shown.sql(f"select round(talk_ratio, 3) {OF_CALL}")


def longest_monologue(shown: Shown) -> None:
    wanted = shown.sql(f"select avg(spoken.longest_monologue_s) {OF_FINCH}")
    assert shown.metric("talking", "Longest monologue") == f"{wanted:.0f} s"


def patience(shown: Shown) -> None:
    assert shown.metric("talking", "Patience") == f"{shown.sql(f'select avg(spoken.patience_s) {OF_FINCH}'):.1f} s"


def interruption_rate(shown: Shown) -> None:
    wanted = shown.sql(f"select round(interruption_rate, 3) {OF_CALL}")
    assert shown.rep_number("numbers", "interruption_rate") == wanted


def switches_per_min(shown: Shown) -> None:
    wanted = shown.sql(f"select avg(spoken.switches_per_min) {OF_FINCH}")
    assert shown.metric("talking", "Switches a minute") == f"{wanted:.1f}"


def questions_per_hour(shown: Shown) -> None:
    wanted = shown.sql(f"select avg(spoken.questions_per_hour) {OF_FINCH}")
    assert shown.metric("talking", "Questions an hour") == f"{wanted:.0f}"


SPENT = "from marts.fct_llm_requests where day > current_date - 28"


def cost_per_scored_call(shown: Shown) -> None:
    wanted = shown.sql(f"select sum(cost_usd) / count(distinct call_id) filter (where not is_failed) {SPENT}")
    (total,) = shown.answers["get_cost_report"]["rows"]
    assert total["cost_per_scored_call_usd"] == round(wanted, 4)
    assert shown.metric("costs", "Per scored call") == f"${total['cost_per_scored_call_usd']:.3f}"


def cache_hit_rate(shown: Shown) -> None:
    wanted = shown.sql(
        "select sum(cache_read_tokens)::numeric / sum(input_tokens + cache_read_tokens + cache_write_tokens) " + SPENT
    )
    (total,) = shown.answers["get_cost_report"]["rows"]
    assert total["cache_hit_rate"] == round(wanted, 4)
    assert shown.metric("costs", "Cache hits") == f"{wanted:.0%}"


def saved_against_no_caching(shown: Shown) -> None:
    wanted = shown.sql(f"select sum(uncached_usd) + sum(saved_usd) - sum(cost_usd) {SPENT}")
    (total,) = shown.answers["get_cost_report"]["rows"]
    assert total["no_caching_usd"] - total["cost_usd"] == pytest.approx(wanted, abs=0.001)
    assert float(shown.metric("costs", "Saved")) == pytest.approx(wanted, abs=0.001)


def agreement_with_managers(shown: Shown) -> None:
    wanted = shown.sql("select avg((verdict = 'agree')::int) from ops.moment_reviews")
    assert shown.metric("quality", "Managers agree") == f"{wanted:.0%}"


def kappa(shown: Shown) -> None:
    wanted = shown.sql("select kappa from marts.mart_judge_quality where dimension = 'discovery'")
    table = shown.table("quality")
    assert table[table["dimension"] == "Discovery"]["kappa"].iloc[0] == pytest.approx(wanted, abs=0.005)


def repeat_score_sd(shown: Shown) -> None:
    wanted = shown.sql("select max(repeat_score_sd) from marts.mart_judge_quality")
    assert shown.metric("quality", "Spread when repeated") == ("–" if wanted is None else f"{wanted:.1f}")


def length_correlation(shown: Shown) -> None:
    wanted = shown.sql("select length_correlation from marts.mart_judge_quality where dimension = 'discovery'")
    table = shown.table("quality")
    assert table[table["dimension"] == "Discovery"]["length_correlation"].iloc[0] == pytest.approx(wanted, abs=0.005)


def points_to_gain(shown: Shown) -> None:
    wanted = shown.sql(
        "select max(points_to_gain) from marts.mart_skill_gaps where rep_id = 'finch' and window_days = 90"
    )
    assert shown.answers["get_rep_insights"]["focus"]["points_to_gain"] == wanted
    table = shown.table("skills")
    assert table[table["rep_name"] == "Finch Sample"]["points_to_gain"].max() == wanted


def priority_points(shown: Shown) -> None:
    wanted = shown.sql("select round(max(priority_points), 1) from marts.mart_coaching_queue")
    assert shown.answers["get_coaching_queue"]["rows"][0]["priority_points"] == wanted
    assert f"{wanted:.0f} points" in shown.words("queue")


CHECKS: tuple[Callable[[Shown], None], ...] = (
    *(dimension_score, criterion_level, mean_score, rolling_score, trend_signal, leaderboard_score, coverage),
    *(quote_verified_rate, talk_ratio, longest_monologue, patience, interruption_rate, switches_per_min),
    *(questions_per_hour, cost_per_scored_call, cache_hit_rate, saved_against_no_caching, agreement_with_managers),
    *(kappa, repeat_score_sd, length_correlation, points_to_gain, priority_points),
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_page_tool_and_sql_show_the_same_number(check: Callable[[Shown], None], shown: Shown) -> None:
    check(shown)


def test_no_metric_that_is_shown_is_left_uncompared() -> None:
    assert {check.__name__ for check in CHECKS} == {metric.metric for metric in load_metrics()} - NOT_SHOWN
