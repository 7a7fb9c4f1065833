"""Killed anywhere, a second run pays only for what had not been stored."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from decimal import Decimal

import pytest

from dagster_project.analysis.batch_collection import collect_batches
from dagster_project.analysis.batch_submission import submit_weeks

CONCURRENCY = 4

RUN = """
import asyncio, sys
from datetime import date
from dagster_project.analysis.engine import score_weeks
from dagster_project.analysis.settings import AnalysisSettings

settings = AnalysisSettings(
    base_url=sys.argv[2], api_key="k", model="sandbox", min_call_s=0, concurrency=4, _env_file=None
)
print("ready", flush=True)
report = asyncio.run(
    score_weeks(
        database_url=sys.argv[1],
        settings=settings,
        weeks=[date.fromisoformat(sys.argv[3])],
        dimensions=sys.argv[4:],
        run_id="killed",
    )
)
"""


def start_run(analysis, monday, dimensions):
    arguments = [analysis.warehouse.database_url, analysis.sandbox.url, monday.isoformat(), *dimensions]
    return subprocess.Popen([sys.executable, "-c", RUN, *arguments], stdout=subprocess.PIPE)


@pytest.mark.parametrize("stored_before", [1, 12])
async def test_a_killed_run_is_continued_and_not_repeated(analysis, monday, dimensions, stored_before):
    for index in range(12):
        analysis.warehouse.add_call((("R", f"What breaks most often in load {index}?"), ("C", "Mostly Sundays.")))
    analysis.chunk()
    analysis.sandbox.control(behaviour={"answer_s": 0.15})
    process = start_run(analysis, monday, dimensions)
    deadline = time.monotonic() + 60
    while analysis.warehouse.one("select count(*) from analysis.results") < stored_before:
        assert time.monotonic() < deadline
        assert process.poll() is None
        await asyncio.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    await asyncio.sleep(0.3)
    stored = analysis.warehouse.one("select count(*) from analysis.results")
    sent = analysis.sandbox.requests
    assert stored_before <= stored < 60
    # four in flight and the few answers on their way into the database are lost; everything else is kept
    assert sent - stored <= 10

    report = await analysis.score(run_id="continued")

    assert report.is_complete
    assert report.requests == 60 - stored
    assert analysis.sandbox.requests == sent + 60 - stored
    assert analysis.warehouse.one("select count(*) from analysis.call_results where status = 'scored'") == 60
    lost = analysis.warehouse.rows("select * from analysis.requests where status in ('interrupted', 'sent')")
    assert len(lost) <= 10
    assert all(row["status"] == "interrupted" and row["run_id"] == "killed" for row in lost)


async def test_killed_at_random_moments_the_ledger_still_matches_the_bill(analysis, monday, dimensions):
    """Kill -9 until a run gets through, then hold the ledger against the server's own bill, request by request."""
    rng = random.Random(11)
    n_questions = 12 * len(dimensions)
    for index in range(12):
        analysis.warehouse.add_call((("R", f"What breaks most often in load {index}?"), ("C", "Mostly Sundays.")))
    analysis.chunk()
    analysis.sandbox.control(behaviour={"answer_s": 0.05})
    n_kills = 0
    while n_kills < 5:
        process = start_run(analysis, monday, dimensions)
        before = analysis.sandbox.requests
        until = before + rng.randrange(1, n_questions // 4)
        while analysis.sandbox.requests < until and process.poll() is None:
            await asyncio.sleep(0.01)
        # anywhere in a request: before it is sent, while it is answered, while its answer is stored
        await asyncio.sleep(rng.random() * 0.1)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        n_kills += 1
    await asyncio.sleep(0.3)
    report = await analysis.score(run_id="last")
    assert report.is_complete
    assert n_kills >= 3

    rows = analysis.warehouse.rows("select * from analysis.requests")
    billed = {visit["request_id"]: Decimal(visit["usd"]) for visit in analysis.sandbox.visits()}
    recorded = {row["api_request_id"]: row["cost_usd"] for row in rows if row["status"] == "ok"}
    assert all(billed[request_id] == cost for request_id, cost in recorded.items())
    # what was billed to nobody's knowledge was in flight when a process died, and the ledger says so
    lost = billed.keys() - recorded.keys()
    interrupted = [row for row in rows if row["status"] == "interrupted"]
    assert len(lost) <= len(interrupted) <= n_kills * CONCURRENCY
    assert len(recorded) + len(interrupted) == len(rows)
    assert sum(billed.values()) == sum(recorded.values()) + sum(billed[request_id] for request_id in lost)
    # each question has one answer, and was billed again only where the first one was in flight or not yet stored
    assert analysis.warehouse.one("select count(*) from analysis.results") == n_questions
    assert n_questions <= len(billed) <= n_questions + n_kills * 2 * CONCURRENCY


COLLECT = """
import asyncio, sys
from dagster_project.analysis.batch_collection import collect_batches
from dagster_project.analysis.settings import AnalysisSettings

settings = AnalysisSettings(base_url=sys.argv[2], api_key="k", model="sandbox", min_call_s=0, _env_file=None)
asyncio.run(collect_batches(database_url=sys.argv[1], settings=settings))
"""


async def test_a_collector_killed_at_random_moments_enters_each_answer_of_a_batch_once(analysis, monday, dimensions):
    rng = random.Random(5)
    for index in range(24):
        analysis.warehouse.add_call((("R", f"What breaks most often in load {index}?"), ("C", "Mostly Sundays.")))
    analysis.chunk()
    common = {"database_url": analysis.warehouse.database_url, "settings": analysis.settings}
    submitted = await submit_weeks(**common, weeks=[monday], dimensions=dimensions)
    while analysis.sandbox.control()["batches"][submitted.batches[0]] != "ended":
        await asyncio.sleep(0.02)
    count = "select count(*) from analysis.results"
    n_kills = 0
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", COLLECT, common["database_url"], common["settings"].base_url])
        until = analysis.warehouse.one(count) + rng.randrange(5, 25)
        while analysis.warehouse.one(count) < until and process.poll() is None:
            await asyncio.sleep(0.002)
        n_kills += process.poll() is None
        process.kill()
        process.wait()

    await collect_batches(**common)

    assert n_kills > 0
    assert len(analysis.warehouse.answers()) == 24 * len(dimensions)
    rows = analysis.warehouse.rows(
        "select status, count(*) as n, sum(cost_usd) as usd from analysis.requests group by 1"
    )
    entered = {row["status"]: row for row in rows}
    assert entered["ok"]["n"] == 24
    assert entered["ok"]["usd"] == sum(Decimal(visit["usd"]) for visit in analysis.sandbox.visits())
    assert entered.keys() <= {"ok", "interrupted", "sent"}
    assert (await analysis.score()).requests == 0


@pytest.mark.parametrize("moment", range(4))
async def test_a_cancelled_run_ends_at_once_and_leaves_no_lock_behind(analysis, moment):
    analysis.warehouse.add_call()
    analysis.chunk()
    analysis.sandbox.control(behaviour={"answer_s": 30})
    running = asyncio.create_task(analysis.score())
    while analysis.sandbox.requests < 1:
        await asyncio.sleep(0.02)
    # the others begin about now: a cancellation may meet them anywhere
    await asyncio.sleep(moment * 0.002)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, timeout=15)
    analysis.sandbox.control(behaviour={"answer_s": 0})
    report = await asyncio.wait_for(analysis.score(), timeout=20)
    assert report.is_complete
    assert report.requests == 5
