import asyncio
from decimal import Decimal

import httpx
import pytest

from dagster_project.analysis.batch_collection import collect_batches
from dagster_project.analysis.batch_submission import submit_weeks
from dagster_project.analysis.claude import RequestError


@pytest.fixture
def batching(analysis, monday, dimensions):
    class Batching:
        async def submit(self, **options):
            return await submit_weeks(
                database_url=analysis.warehouse.database_url,
                settings=analysis.settings,
                weeks=[monday],
                dimensions=dimensions,
                on_progress=analysis.warehouse.messages.append,
                **options,
            )

        async def collect(self):
            return await collect_batches(
                database_url=analysis.warehouse.database_url, settings=analysis.settings, on_progress=lambda _: None
            )

        async def collect_when_ended(self):
            for _ in range(200):
                report = await self.collect()
                if report.batches_ended:
                    return report
                await asyncio.sleep(0.05)
            raise AssertionError("the batch did not end")

    return Batching()


@pytest.fixture
def calls(analysis):
    for index in range(6):
        analysis.warehouse.add_call(
            (("R", f"What is the hardest part of a normal Monday for team {index}?"), ("C", "Mostly the failed loads."))
        )
    analysis.chunk()
    return analysis


async def test_a_batch_is_handed_in_collected_and_deleted(calls, batching):
    submitted = await batching.submit()
    assert (submitted.requests, len(submitted.batches)) == (6, 1)

    report = await batching.collect_when_ended()

    assert (report.stored, report.failed, report.batches_deleted) == (30, 0, 1)
    assert calls.sandbox.control()["batches"] == {}
    assert len(calls.warehouse.answers()) == 30
    assert (await calls.score()).requests == 0
    rows = calls.warehouse.rows("select * from analysis.requests")
    assert {(row["kind"], row["dimension"], row["status"]) for row in rows} == {("batch", "joint", "ok")}
    assert sum(row["cost_usd"] for row in rows) == report.cost_usd > 0
    stored = calls.warehouse.one("select sum(cost_usd) from analysis.results")
    assert abs(stored - report.cost_usd) < Decimal("0.000001")
    assert (await batching.collect()).batches_ended == 0


async def test_answers_of_a_batch_equal_live_answers(calls, batching):
    await batching.submit()
    await batching.collect_when_ended()
    in_batch = calls.warehouse.answers()
    await calls.score(force=True)
    assert calls.warehouse.answers() == in_batch


async def test_what_a_batch_did_not_answer_is_asked_live(calls, batching):
    calls.sandbox.control(batches={"errored": [0], "expired": [2], "canceled": [4]})
    await batching.submit()
    report = await batching.collect_when_ended()
    assert (report.stored, report.failed) == (15, 3)
    statuses = calls.warehouse.rows("select status, count(*) as n from analysis.batch_items group by status")
    assert {row["status"]: row["n"] for row in statuses} == {
        "succeeded": 3,
        "errored": 1,
        "expired": 1,
        "canceled": 1,
    }
    rest = await calls.score()
    assert rest.requests == 15
    assert rest.is_complete


async def test_a_broken_answer_in_a_batch_is_paid_for_recorded_and_asked_live(calls, batching):
    calls.sandbox.control(faults=[{"kind": "broken_json", "times": 1}, {"kind": "refusal", "times": 1}])
    await batching.submit()
    report = await batching.collect_when_ended()
    assert (report.stored, report.failed) == (20, 2)
    rows = calls.warehouse.rows("select * from analysis.requests where status <> 'ok'")
    assert {row["error_kind"] for row in rows} == {"malformed", "refusal"}
    assert all(row["cost_usd"] > 0 for row in rows)
    assert (await calls.score()).requests == 10


async def test_what_waits_in_a_batch_is_not_paid_for_live(calls, batching):
    calls.sandbox.control(batches={"delay_s": 30})
    await batching.submit()
    report = await calls.score()
    assert report.requests == 0
    assert {part.waiting_in_batch for part in report.dimensions.values()} == {6}
    assert (await batching.submit()).requests == 0
    assert (await batching.collect()).batches_waiting == 1


async def test_identical_transcripts_are_handed_in_once(analysis, batching):
    for _ in range(3):
        analysis.warehouse.add_call()
    analysis.chunk()
    assert (await batching.submit()).requests == 1
    await batching.collect_when_ended()
    assert (await analysis.score()).requests == 0
    assert len(analysis.warehouse.answers()) == 15


async def test_a_transcript_that_changed_meanwhile_gets_no_answer_of_the_old_one(calls, batching):
    await batching.submit()
    calls.warehouse.set_transcript("call-0001", [("s-rep", "Something else."), ("s-customer", "Indeed so.")])
    calls.chunk()
    report = await batching.collect_when_ended()
    assert (report.stored, report.failed) == (25, 1)
    assert any("the transcript changed" in message for message in report.messages)
    assert (await calls.score()).requests == 5


@pytest.fixture
def long_call(analysis, batching):
    """A call of four or more chunks; (its id, what scores it)."""
    talk = [
        ("s-rep" if index % 2 == 0 else "s-customer", f"Number {index} in a long row of things said.")
        for index in range(400)
    ]
    talk[20] = ("s-rep", "What is the hardest part of a normal Monday for you?")
    talk[371] = ("s-customer", "We lose roughly two days a month to it.")
    call_id = analysis.warehouse.add_call()
    analysis.warehouse.set_transcript(call_id, talk)
    chunked = analysis.with_settings(whole_call_tokens=3_000, chunk_tokens=2_000)
    assert chunked.chunk().chunks >= 4
    return call_id, chunked


async def test_a_long_call_goes_into_a_batch_in_parts_and_is_merged(long_call, batching):
    call_id, chunked = long_call
    n_chunks = chunked.warehouse.one("select n_chunks from analysis.transcript_chunks limit 1")
    submitted = await batching.submit()
    assert (submitted.requests, submitted.left_for_live) == (n_chunks, 0)
    assert (await batching.submit()).requests == 0
    assert {part.waiting_in_batch for part in (await chunked.score()).dimensions.values()} == {1}

    report = await batching.collect_when_ended()

    assert (report.stored, report.failed) == (5, 0)
    in_batch = chunked.warehouse.answers()
    met = {m["marker_id"]: m["evidence"] for m in in_batch[call_id, "discovery"]["markers"] if m["verdict"] == "yes"}
    assert (met["ds1_asks_problem"][0]["turn_id"], met["ds1_asks_problem"][0]["chunk_index"]) == (21, 0)
    assert met["ds1_customer_quantifies"][-1]["turn_id"] == 372
    assert (await chunked.score()).requests == 0
    await chunked.score(force=True)
    assert chunked.warehouse.answers() == in_batch


async def test_a_part_that_a_batch_did_not_answer_is_asked_live_and_no_other(long_call, batching):
    _, chunked = long_call
    chunked.sandbox.control(batches={"errored": [1]})
    await batching.submit()
    report = await batching.collect_when_ended()
    assert (report.stored, report.failed) == (0, 1)
    rest = await chunked.score()
    assert rest.is_complete
    asked = chunked.warehouse.rows(
        "select kind, dimension, result_key from analysis.requests where kind in ('live', 'repair')"
    )
    assert len({row["result_key"] for row in asked}) == 5, asked


async def test_a_refused_batch_leaves_nothing_waiting(calls, batching, analysis):
    nowhere = analysis.with_settings(base_url="http://127.0.0.1:9")
    with pytest.raises(RequestError, match="nothing was handed in"):
        await submit_weeks(
            database_url=analysis.warehouse.database_url,
            settings=nowhere.settings,
            weeks=[monday_of(analysis)],
            dimensions=("discovery",),
        )
    assert analysis.warehouse.one("select count(*) from analysis.batch_items") == 0


async def test_a_batch_whose_submitter_died_is_found_again(calls, batching):
    await batching.submit()
    # as if the process had been killed between the API's answer and its own note of it
    calls.warehouse.rows("update analysis.batch_items set batch_id = null, updated_at = now() - interval '2 minutes'")
    calls.warehouse.rows("delete from analysis.batches")
    report = await batching.collect_when_ended()
    assert report.stored == 30
    assert any("handed in by a run that died" in message for message in report.messages)


async def test_a_batch_the_api_forgot_is_asked_live(calls, batching):
    submitted = await batching.submit()
    await wait_until_ended(calls, submitted.batches[0])
    async with httpx.AsyncClient() as client:
        headers = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
        await client.delete(f"{calls.sandbox.url}/v1/messages/batches/{submitted.batches[0]}", headers=headers)
    report = await batching.collect()
    assert (report.stored, report.failed) == (0, 6)
    assert (await calls.score()).requests == 30


async def wait_until_ended(analysis, batch_id):
    while analysis.sandbox.control()["batches"][batch_id] != "ended":
        await asyncio.sleep(0.02)


def monday_of(analysis):
    return analysis.warehouse.one("select distinct week_start from analysis.transcript_chunks")
