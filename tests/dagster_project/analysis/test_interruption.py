"""Killed anywhere, a second run pays only for what had not been stored."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

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


@pytest.mark.parametrize("stored_before", [1, 12])
async def test_a_killed_run_is_continued_and_not_repeated(analysis, monday, dimensions, stored_before):
    for index in range(12):
        analysis.warehouse.add_call((("R", f"What breaks most often in load {index}?"), ("C", "Mostly Sundays.")))
    analysis.chunk()
    analysis.sandbox.control(behaviour={"answer_s": 0.15})
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            RUN,
            analysis.warehouse.database_url,
            analysis.sandbox.url,
            monday.isoformat(),
            *dimensions,
        ],
        stdout=subprocess.PIPE,
    )
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
