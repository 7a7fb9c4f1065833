"""Twelve questions people ask, answered through the tools the way a model would, and checked against SQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from fastmcp import Client

from streamlit_app.mcp_server import build_server
from streamlit_app.queries.database import Database
from streamlit_app.settings import Settings

END = "(select max(started_at)::date from marts.fct_scores)"


class Coach:
    """A model's view: tools by name."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return (await self._client.call_tool(tool, arguments)).structured_content or {}


@pytest.fixture
async def coach(desk: Database) -> AsyncIterator[Coach]:
    settings = Settings(CALL_COACH_LOCAL_VIEWER="admin", _env_file=None)  # type: ignore[call-arg]
    async with Client(build_server(settings, desk)) as client:
        yield Coach(client)


@pytest.fixture
def sql(desk_url: str) -> Any:
    def ask(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(desk_url) as connection:
            return connection.execute(statement, parameters).fetchall()

    return ask


async def test_analyze_call_x(coach: Coach, sql: Any) -> None:
    found = await coach("analyze_call", call_id="call-finch-05-0")
    scores = dict(
        sql("select dimension, round(score, 1)::float from marts.fct_scores where call_id = %s", "call-finch-05-0")
    )
    assert {row["dimension"]: row["score"] for row in found["rows"]} == scores
    assert found["state"] == "scored"
    assert (
        found["objections"][0]["objection_type"]
        == sql("select objection_type from marts.fct_objections where call_id = 'call-finch-05-0'")[0][0]
    )


async def test_performance_of_a_rep_over_the_last_quarter(coach: Coach, sql: Any) -> None:
    found = await coach("get_rep_insights", rep="Finch Sample", period="last_quarter")
    means = sql(
        "select dimension, count(score), round(avg(score), 1)::float from marts.fct_scores where rep_id = 'finch' "
        "and started_at::date between %s and %s group by dimension",
        found["period"]["since"],
        found["period"]["until"],
    )
    assert {row["dimension"]: (row["n_calls"], row["mean_score"]) for row in found["rows"] if row["n_calls"]} == {
        dimension: (n, mean if n >= 5 else None) for dimension, n, mean in means if n
    }


async def test_discovery_calls_with_pricing_objections_where_the_rep_scored_below_70(coach: Coach, sql: Any) -> None:
    found = await coach(
        "search_calls",
        call_type="discovery",
        objection_type="price",
        dimension="discovery",
        max_score=70,
        period="last_90_days",
        limit=100,
    )
    expected = sql(
        "select calls.call_id from marts.fct_calls as calls "
        "join marts.fct_scores as scores using (call_id) join marts.fct_objections as objections using (call_id) "
        "where calls.call_type = 'discovery' and scores.dimension = 'discovery' and scores.score < 70 "
        "and objections.objection_type = 'price' and calls.started_at >= " + END + " - 89"
    )
    assert {row["call_id"] for row in found["rows"]} == {call_id for (call_id,) in expected}
    assert found["total"] == len(expected) > 0


async def test_who_is_improving_and_who_is_slipping(coach: Coach, sql: Any) -> None:
    found = await coach("get_team_overview")
    newest = "(select max(week_start) from marts.mart_rep_trends)"
    for signal, field in (("up", "rising"), ("down", "falling")):
        expected = sql(
            f"select rep_id, dimension from marts.mart_rep_trends where signal = %s and week_start = {newest}", signal
        )
        assert {(row["rep_id"], row["dimension"]) for row in found[field]} == set(expected)


async def test_who_can_others_learn_discovery_from(coach: Coach, sql: Any) -> None:
    found = await coach("get_leaderboard", dimension="discovery")
    above = [row["rep_id"] for row in found["rows"] if row["tier"] == "clearly above"]
    assert above == [
        rep_id
        for (rep_id,) in sql(
            "select rep_id from marts.mart_leaderboard where dimension = 'discovery' and window_days = 90 "
            "and tier = 'clearly above' order by score desc"
        )
    ]
    moments = await coach("find_moments", rep=above[0], dimension="discovery", polarity="strength", limit=3)
    assert all(row["rep_id"] == above[0] and row["quote_verified"] for row in moments["rows"])


async def test_what_should_i_look_at_first_this_week(coach: Coach, sql: Any) -> None:
    found = await coach("get_coaching_queue", limit=3)
    assert [row["moment_id"] for row in found["rows"]] == [
        moment_id
        for (moment_id,) in sql(
            "select moment_id from marts.mart_coaching_queue "
            "order by priority_points desc, started_at desc, moment_id limit 3"
        )
    ]


async def test_prepare_my_one_to_one(coach: Coach, sql: Any) -> None:
    found = await coach("get_coaching_plan", rep="finch")
    (weakest,) = sql(
        "select criterion_title from marts.mart_skill_gaps where rep_id = 'finch' and window_days = 90 "
        "and points_to_gain is not null order by points_to_gain desc, criterion_id desc limit 1"
    )[0]
    kinds = [step["kind"] for step in found["rows"]]
    assert kinds == ["keep"] * 3 + ["tighten"] * 2 + ["exercise"]
    assert weakest in [step["criterion"] for step in found["rows"] if step["kind"] == "tighten"]


async def test_what_did_customers_say_about_the_price_last_month(coach: Coach, sql: Any) -> None:
    found = await coach("search_calls", text="price", period="last_month", limit=100)
    first = datetime.now(UTC).date().replace(day=1)
    expected = sql(
        "select distinct turns.call_id from marts.fct_turns as turns join marts.fct_calls as calls using (call_id) "
        "where turns.text ilike '%%price%%' and calls.started_at >= %s and calls.started_at < %s",
        (first - timedelta(days=1)).replace(day=1),
        first,
    )
    assert found["total"] == len(expected) > 0
    assert all("price" in row["hit_text"].lower() for row in found["rows"])


async def test_what_did_we_spend_and_does_caching_work(coach: Coach, sql: Any) -> None:
    (total,) = (await coach("get_cost_report", period="last_28_days"))["rows"]
    spent, hit_rate = sql(
        "select round(sum(cost_usd), 4)::float, round(sum(cache_read_tokens)::numeric / "
        "sum(input_tokens + cache_read_tokens + cache_write_tokens), 4)::float from marts.fct_llm_requests "
        "where day > current_date - 28"
    )[0]
    assert (total["cost_usd"], total["cache_hit_rate"]) == (spent, hit_rate)


async def test_what_was_different_between_two_calls(coach: Coach, sql: Any) -> None:
    found = await coach("compare_calls", call_ids=["call-finch-05-0", "call-wren-05-0"])
    scores = dict(
        sql(
            "select one.dimension, abs(one.score - other.score) from marts.fct_scores as one "
            "join marts.fct_scores as other using (dimension, rubric_version) "
            "where one.call_id = 'call-finch-05-0' and other.call_id = 'call-wren-05-0' and one.score is not null "
            "and other.score is not null"
        )
    )
    assert found["largest_differences"][0].split(":")[0] == max(scores, key=scores.__getitem__)


async def test_does_the_team_get_the_product_right(coach: Coach, sql: Any) -> None:
    found = await coach("analyze_product_knowledge", team="Team Robin")
    n_calls, mean = sql(
        "select count(scores.score), round(avg(scores.score), 1)::float from marts.fct_scores as scores "
        "join marts.dim_reps using (rep_id) where dimension = 'product_knowledge' and team_id = 'robin' "
        "and started_at >= " + END + " - 89"
    )[0]
    assert (found["n_calls"], found["mean_score"]) == (n_calls, mean)
    assert len(found["rows"]) == 4


async def test_what_does_a_tier_mean(coach: Coach) -> None:
    (found,) = (await coach("describe_metric", metric="leaderboard_score"))["rows"]
    assert "interval" in found["definition"]
    assert found["caution"]
