"""The worked queries of dbt/README.md run as an analyst would run them, and answer."""

import re
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.dbt.conftest import MONDAY, PROJECT, Warehouse, at, evidence

README = (PROJECT / "README.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"\n([^\n]+\?[^\n]*)\n\n```sql\n(.*?)```", README, re.DOTALL)
VERDICTS = {"dc1_asks": "yes", "dc1_cost": "no", "dc1_confirms": "yes", "dc2_reflects": "yes", "dc2_argues": "no"}
BRIEF = {
    "summary": "They lose mornings.",
    "sentiment": [{"side": "customer", "sentiment": "negative", "turn_ids": [2], "why": "tired"}],
    "objections": [
        {"objection_type": "price", "turn_id": 2, "quote": "Two people", "response_turn_id": 3, "outcome": "parked"}
    ],
    "next_steps": [],
    "flags": [],
    "priority": "high",
    "priority_reason": "No owner.",
}
CLAIMS = [
    {"verdict": "inaccurate", "turn_id": 3, "quote": "lose their mornings", "knowledge_id": "mornings", "why": "nights"}
]
PAGE = {
    "statements": [{"id": "mornings", "text": "Nobody loses a morning.", "source": "the docs", "date": "2026-09-01"}]
}
CONTEXT = [
    {
        "system": "HubSpot",
        "objects": [
            {"objectType": "Account", "objectId": "a1", "fields": [{"name": "Name", "value": "Acme"}]},
            {"objectType": "Deal", "objectId": "d1", "fields": [{"name": "Amount", "value": 40_000}]},
        ],
    }
]


@pytest.fixture(scope="module")
def built(shared_warehouse: Warehouse) -> Warehouse:
    """Six reps with a call a week for twelve weeks up to last week; Ada climbs."""
    warehouse = shared_warehouse
    warehouse.rubric()
    warehouse.insert(
        "knowledge.documents",
        {
            "document_id": "product",
            "document_version": "v1",
            "kind": "product",
            "title": "Product",
            "body": PAGE,
            "source_text": "",
        },
    )
    warehouse.user("mia", title="Sales manager")
    last_week = at(MONDAY + timedelta(days=63))
    for rep_id in ("ada", "ben", "cyd", "dan", "eli", "fay"):
        warehouse.user(rep_id, manager_id="mia")
        for week in range(10):
            call_id = f"{rep_id}-{week}"
            started_at = last_week - timedelta(days=7 * (9 - week))
            warehouse.call(call_id, rep_id=rep_id, started_at=started_at, context=CONTEXT)
            if rep_id == "ada":
                verdicts = dict.fromkeys(VERDICTS, "no") if week < 5 else VERDICTS | {"dc1_cost": "yes"}
            else:
                verdicts = VERDICTS | ({"dc1_asks": "no"} if week % 2 else {})
            warehouse.answer(
                call_id,
                rep_id=rep_id,
                verdicts=verdicts,
                quotes={"dc1_cost": [evidence(1, "What does a failed night cost you?")]},
                quote_counts=(1, 1, 0, 0),
                statements=CLAIMS,
            )
            warehouse.answer(call_id, rep_id=rep_id, dimension="call_brief", brief=BRIEF)
            warehouse.request(call_id=call_id, rep_id=rep_id, cost_usd=0.02, started_at=started_at)
    warehouse.call("unscored", rep_id="ada", started_at=at(MONDAY + timedelta(days=60)))
    warehouse.build()
    return warehouse


def test_there_are_ten_worked_queries_and_more() -> None:
    assert len(QUERIES) >= 10


def test_a_claim_stands_beside_the_passage_it_contradicts(built: Warehouse) -> None:
    row = built.one("select * from marts.fct_statements where call_id = 'ben-3'")
    assert (row["verdict"], row["quote"], row["turn_id"]) == ("inaccurate", "lose their mornings", 3)
    assert (row["passage"], row["passage_source"]) == ("Nobody loses a morning.", "the docs")


@pytest.mark.parametrize(("question", "query"), QUERIES, ids=[question[:60] for question, _ in QUERIES])
def test_a_worked_query_answers_its_question(built: Warehouse, question: str, query: str) -> None:
    query = query.replace("current_date", "date '2026-11-20'")
    with psycopg.connect(built.url) as connection:
        connection.execute("set role call_coach_analyst")
        rows: list[Any] = connection.execute(query.encode()).fetchall()
    assert rows, question


def test_an_analyst_reads_marts_and_nothing_else(built: Warehouse) -> None:
    for relation in ("raw_gong.calls", "analysis.results", "intermediate.int_calls_classified", "ops.audit_log"):
        with psycopg.connect(built.url) as connection:
            connection.execute("set role call_coach_analyst")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select * from {relation}".encode())


def test_the_picture_names_only_tables_that_exist(built: Warehouse) -> None:
    named = set(re.findall(r"\b((?:dim|fct|mart)_\w+)", README))
    existing = {
        row["table_name"]
        for row in built.rows("select table_name from information_schema.tables where table_schema = 'marts'")
    }
    assert named <= existing


def test_a_steady_climb_shows_as_a_signal_and_the_others_do_not(built: Warehouse) -> None:
    rows = built.rows(
        """
        select rep_id, signal from marts.mart_rep_trends
        where dimension = 'discovery' and week_start = (select max(week_start) from marts.mart_rep_trends)
        """
    )
    signals = {row["rep_id"]: row["signal"] for row in rows}
    assert signals.pop("ada") == "up"
    assert set(signals.values()) == {"no clear change"}
