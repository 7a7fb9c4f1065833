from datetime import date
from typing import Any

import pytest

from dagster_project.intake import requests
from dagster_project.intake.queue import RunState, Settled
from dagster_project.intake.requests import RequestBatch

DIMENSIONS = ("discovery", "objections")


def ask(warehouse: Any, **columns: Any) -> str:
    values = {"requested_by": "manager-1", "requested_via": "mcp", **columns}
    row = warehouse.connection.execute(
        f"insert into ops.analysis_requests ({', '.join(values)}) values ({', '.join(['%s'] * len(values))}) "
        "returning request_id",
        list(values.values()),
    ).fetchone()
    return str(row[0])


def look(warehouse: Any) -> list[RequestBatch]:
    with warehouse.connection.transaction():
        return requests.claim(warehouse.connection, known_dimensions=DIMENSIONS, first_week=date(2024, 1, 1))


def end(warehouse: Any, state: str = "succeeded", reason: str = "") -> Settled:
    return requests.settle(warehouse.connection, lambda _: RunState("run-1", state, reason))  # type: ignore[arg-type]


def state(warehouse: Any, request_id: str) -> tuple[str, str | None]:
    row = warehouse.connection.execute(
        "select status, reason from ops.analysis_requests where request_id = %s", (request_id,)
    ).fetchone()
    return row[0], row[1]


def test_requests_for_calls_of_one_week_are_one_run(warehouse: Any) -> None:
    for call in ("1", "2"):
        warehouse.load(call)
    ids = [ask(warehouse, call_id="1"), ask(warehouse, call_id="2"), ask(warehouse, call_id="1")]
    (batch,) = look(warehouse)
    assert (batch.week_start, batch.call_ids, batch.dimensions) == (date(2026, 11, 9), ("1", "2"), None)
    assert sorted(batch.request_ids) == sorted(ids)
    for call in ("1", "2"):
        warehouse.score(call)
    assert end(warehouse).completed == 3
    assert look(warehouse) == []


def test_another_dimension_or_force_is_another_run(warehouse: Any) -> None:
    warehouse.load("1")
    ask(warehouse, call_id="1", dimensions=["discovery"])
    ask(warehouse, call_id="1", dimensions=["objections", "discovery"])
    ask(warehouse, call_id="1", is_forced=True)
    ask(warehouse, week_start=date(2026, 11, 11))
    batches = look(warehouse)
    assert {(batch.dimensions, batch.is_forced, batch.call_ids) for batch in batches} == {
        (("discovery",), False, ("1",)),
        (("discovery", "objections"), False, ("1",)),
        (None, True, ("1",)),
        (None, False, None),
    }
    assert {batch.week_start for batch in batches} == {date(2026, 11, 9)}


def test_a_request_for_a_dimension_nobody_knows_is_parked_with_the_choice(warehouse: Any) -> None:
    request = ask(warehouse, call_id="1", dimensions=["charm"])
    assert look(warehouse) == []
    assert state(warehouse, request) == (
        "parked",
        "unknown dimension charm; choose from discovery, objections",
    )


def test_a_request_for_a_week_outside_is_parked(warehouse: Any) -> None:
    request = ask(warehouse, week_start=date(2019, 1, 7))
    assert look(warehouse) == []
    assert state(warehouse, request)[0] == "parked"


def test_a_request_for_a_call_that_is_not_there_is_asked_again_and_reported_within_the_hour(warehouse: Any) -> None:
    request = ask(warehouse, call_id="unknown")
    look(warehouse)
    assert end(warehouse).waiting == 1
    assert state(warehouse, request) == ("received", "Gong does not show the call yet")
    warehouse.connection.execute("update ops.analysis_requests set requested_at = now() - interval '2 hours'")
    warehouse.make_due("ops.analysis_requests")
    look(warehouse)
    assert end(warehouse).parked == 1
    assert "Gong does not show the call yet" in (state(warehouse, request)[1] or "")


@pytest.mark.parametrize("columns", [{"call_id": "1"}, {"week_start": date(2026, 11, 9)}])
def test_a_failed_run_is_asked_again_and_then_parked(warehouse: Any, columns: dict[str, Any]) -> None:
    request = ask(warehouse, **columns)
    for _ in range(4):
        look(warehouse)
        assert end(warehouse, "failed", "the key was refused").failed == 1
        warehouse.make_due("ops.analysis_requests")
    look(warehouse)
    assert end(warehouse, "failed", "the key was refused").parked == 1
    assert state(warehouse, request) == ("parked", "given up after 5 attempts: the key was refused")
