"""A synthetic gold set: the seeded company's calls, whose behaviours are planted and therefore known.

It shows that the mechanics carry a known truth from transcript to stored verdict. It says nothing about how well Claude
agrees with coaches: the judge here is the sandbox, which finds the very wordings that were planted.
"""

from datetime import date

import pytest
from psycopg.types.json import Jsonb

from dagster_project.analysis.evaluation import Label, evaluate
from dlt_pipelines.gong.simulator.company import build_company

N_CALLS = 30
SCORED = ("product_knowledge", "discovery", "objections", "engagement")


@pytest.fixture(scope="module")
def company():
    return build_company(until=date(2026, 11, 20))


@pytest.fixture
def gold_calls(company, warehouse):
    """The first calls that can be scored, and the call in which somebody gives orders to the machine."""
    known = [call for call in company.calls if company.planted(call["metaData"]["id"])]
    injected = company.special("injection")
    chosen = {call["metaData"]["id"]: call for call in known[: N_CALLS - 1]}
    chosen.update({call["metaData"]["id"]: call for call in known if call["metaData"]["id"] == injected})
    for call_id, call in chosen.items():
        head = call["metaData"]
        warehouse.add_call(
            call_id=call_id,
            started=head["started"],
            duration=head["duration"],
            primary_user_id=head["primaryUserId"],
            scope=head["scope"],
            parties=Jsonb(call["parties"]),
        )
        warehouse.set_monologues(call_id, company.transcripts[call_id]["transcript"])
    return list(chosen)


async def test_planted_behaviours_arrive_as_verdicts(company, gold_calls, analysis):
    weeks = [
        row["week"]
        for row in analysis.warehouse.rows(
            "select distinct date_trunc('week', started at time zone 'utc')::date as week from raw_gong.calls"
        )
    ]
    analysis.chunk(weeks=weeks)
    report = await analysis.score(weeks=weeks, dimensions=SCORED)
    assert report.is_complete
    planted = [
        Label(call_id, marker_id, "verdict", verdict, "planted")
        for call_id in gold_calls
        for (_, marker_id), verdict in company.planted(call_id).items()
    ]
    found = evaluate(database_url=analysis.warehouse.database_url, labels=planted)
    assert found.is_sandbox
    assert {item.dimension for item in found.agreements} == set(SCORED)
    for item in found.agreements:
        assert item.n_calls == len(gold_calls)
        assert item.exact >= 0.9, item
        assert item.kappa >= 0.8, item
        assert item.exact > item.constant_exact
        # one label an item: nothing is known of how people agree, so nothing may be claimed
        assert item.claim.startswith("no claim")

    answers = analysis.warehouse.answers()
    injected = company.special("injection")
    orders = analysis.warehouse.one(
        "select flagged_turn_ids from analysis.transcript_chunks where call_id = %s", injected
    )
    assert orders
    cited = {
        item["turn_id"]
        for dimension in SCORED
        for marker in answers[injected, dimension]["markers"]
        for item in marker["evidence"]
    }
    assert not cited & set(orders)
