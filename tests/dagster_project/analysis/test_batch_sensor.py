import asyncio
import time

import dagster as dg
import pytest

from dagster_project.analysis.batch_submission import submit_weeks
from dagster_project.defs.analysis.batches import claude_batches
from dagster_project.defs.resources import Warehouse


@pytest.fixture
def look(analysis, monkeypatch):
    """The sensor as the daemon calls it: settings from the environment, the warehouse as a resource."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", analysis.settings.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
    monkeypatch.setenv("CALL_COACH_MODEL", analysis.settings.model)
    warehouse = Warehouse(database_url=analysis.warehouse.database_url)

    def ask():
        return claude_batches(dg.build_sensor_context(resources={"warehouse": warehouse}))

    return ask


def test_without_a_batch_the_sensor_has_nothing_to_do(analysis, look):
    assert isinstance(look(), dg.SkipReason)


def test_a_batch_that_ended_is_stored_and_its_week_gets_a_run(analysis, look, monday, dimensions):
    analysis.warehouse.add_call(
        (("R", "What is the hardest part of a normal Monday?"), ("C", "Mostly the failed loads."))
    )
    analysis.chunk()
    submitted = asyncio.run(
        submit_weeks(
            database_url=analysis.warehouse.database_url,
            settings=analysis.settings,
            weeks=[monday],
            dimensions=dimensions,
        )
    )
    assert submitted.requests == 1
    end = time.monotonic() + 30
    while isinstance(outcome := look(), dg.SkipReason) and time.monotonic() < end:
        time.sleep(0.05)
    assert isinstance(outcome, dg.SensorResult)
    assert [request.partition_key for request in outcome.run_requests] == [monday.isoformat()]
    assert len(analysis.warehouse.answers()) == len(dimensions)
    assert isinstance(look(), dg.SkipReason)
