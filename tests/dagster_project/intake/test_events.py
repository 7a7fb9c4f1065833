import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from dagster_project.intake import events
from dagster_project.intake.events import Batch
from dagster_project.intake.queue import RunState

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEEK = date(2026, 11, 9)
PATIENCE = timedelta(days=14)


def look(warehouse: Any, **options: Any) -> list[Batch]:
    with warehouse.connection.transaction():
        events.unpack(warehouse.connection)
        return events.claim(warehouse.connection, first_week=date(2024, 1, 1), now=NOW, **options)


def end(
    warehouse: Any, *, state: str = "succeeded", reason: str = "", patience: timedelta = PATIENCE
) -> events.Settled:
    with warehouse.connection.transaction():
        return events.settle(
            warehouse.connection,
            lambda claim_id: RunState(f"run-of-{claim_id}", state, reason),  # type: ignore[arg-type]
            give_up_after=patience,
        )


def test_an_event_goes_from_received_to_completed_with_its_times_and_run(warehouse: Any) -> None:
    event = warehouse.announce("1")
    (batch,) = look(warehouse)
    assert (batch.week_start, batch.call_ids, batch.event_ids) == (WEEK, ("1",), (event,))
    assert warehouse.state(event) == ("processing", None)
    warehouse.load("1")
    warehouse.score("1")
    assert end(warehouse).completed == 1
    row = warehouse.connection.execute(
        "select status, run_id, call_id, claimed_at >= received_at, finished_at >= claimed_at, attempts "
        "from ops.webhook_inbox"
    ).fetchone()
    assert row == ("completed", f"run-of-{batch.claim_id}", "1", True, True, 1)
    assert look(warehouse) == []


def test_a_burst_of_duplicates_is_one_batch_that_names_each_call_once(warehouse: Any) -> None:
    for n in range(40):
        warehouse.announce(str(n % 10), title=f"delivery {n}")
    (batch,) = look(warehouse)
    assert sorted(batch.call_ids, key=int) == [str(n) for n in range(10)]
    assert len(batch.event_ids) == 40


def test_events_of_a_week_at_work_wait_for_its_run_and_other_weeks_do_not(warehouse: Any) -> None:
    warehouse.announce("1")
    look(warehouse)
    later = warehouse.announce("2")
    warehouse.announce("3", started="2026-11-03T10:00:00Z")
    (other_week,) = look(warehouse)
    assert other_week.week_start == date(2026, 11, 2)
    assert warehouse.state(later) == ("received", None)
    for call in ("1", "3"):
        warehouse.load(call)
        warehouse.score(call)
    end(warehouse)
    (batch,) = look(warehouse)
    assert batch.call_ids == ("2",)


def test_a_batch_is_bounded_and_the_rest_comes_next(warehouse: Any) -> None:
    for n in range(13):
        warehouse.announce(str(n))
    (first,) = look(warehouse, calls_per_batch=10)
    assert len(first.call_ids) == 10
    for call in first.call_ids:
        warehouse.load(call)
        warehouse.score(call)
    end(warehouse)
    (second,) = look(warehouse)
    assert len(second.call_ids) == 3


def test_two_sensors_at_once_never_take_the_same_event(
    module_database_url: str, warehouse: Any, record_property: Callable[[str, object], None]
) -> None:
    for n in range(60):
        warehouse.announce(str(n), started=f"2026-0{1 + n % 9}-12T10:00:00Z")
    events.unpack(warehouse.connection)
    barrier, taken = threading.Barrier(3), []

    def take() -> None:
        with psycopg.connect(module_database_url) as connection:
            barrier.wait()
            taken.extend(events.claim(connection, first_week=date(2024, 1, 1), now=NOW))

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [event_id for batch in taken for event_id in batch.event_ids]
    assert len(ids) == len(set(ids)) == 60
    record_property("figure", "three sensors over 60 events: 60 taken, 0 twice")


def test_an_event_committed_late_with_a_lower_id_is_not_skipped(
    module_database_url: str, warehouse: Any, record_property: Callable[[str, object], None]
) -> None:
    with psycopg.connect(module_database_url) as slow:
        slow.execute(
            "insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256) "
            "values ('gong', 'slow', 'hmac', %s, 'x')",
            (b'{"callData": {"metaData": {"id": "slow", "started": "2026-11-10T10:00:00Z"}}}',),
        )
        fast = warehouse.announce("fast", started="2026-11-03T10:00:00Z")
        (first,) = look(warehouse)
        assert first.event_ids == (fast,)
    (second,) = look(warehouse)
    assert second.call_ids == ("slow",)
    assert second.event_ids[0] < fast
    record_property("figure", "2 events committed in reverse order, 0 passed over")


def test_a_test_of_the_rule_is_completed_without_a_run(warehouse: Any) -> None:
    event = warehouse.deliver(b'{"callData": {"metaData": {"id": "1"}}, "isTest": true}')
    assert look(warehouse) == []
    status, reason = warehouse.state(event)
    assert status == "completed"
    assert "test" in (reason or "")


def test_odd_events_are_parked_with_the_reason_and_hold_nothing_up(warehouse: Any) -> None:
    odd = [
        warehouse.deliver(body) for body in (b"", b"nonsense", b'{"callData": {"metaData": {"id": "a\\u0000"}}}', b"[]")
    ]
    warehouse.announce("1")
    (batch,) = look(warehouse)
    assert batch.call_ids == ("1",)
    for event in odd:
        status, reason = warehouse.state(event)
        assert status == "parked"
        assert reason


def test_a_start_at_the_edge_of_the_calendar_holds_no_other_event_up(warehouse: Any) -> None:
    edges = ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z")
    odd = [warehouse.announce(f"9{n}", started=started) for n, started in enumerate(edges)]
    warehouse.announce("1")
    batches = look(warehouse)
    assert "1" in [call_id for batch in batches for call_id in batch.call_ids]
    taken = {event_id for batch in batches for event_id in batch.event_ids}
    assert all(event_id in taken or warehouse.state(event_id)[0] == "parked" for event_id in odd)


def test_the_same_bytes_under_a_fresh_id_cause_nothing(warehouse: Any, call_event: Callable[..., bytes]) -> None:
    first = warehouse.deliver(call_event("1"), key="gong:id:1")
    look(warehouse)
    warehouse.load("1")
    warehouse.score("1")
    end(warehouse)
    replayed = warehouse.deliver(call_event("1"), key="gong:id:2")
    assert look(warehouse) == []
    assert warehouse.state(replayed) == ("completed", f"the same bytes came as event {first}")


def test_a_second_richer_delivery_of_a_call_is_fetched_again(warehouse: Any) -> None:
    warehouse.announce("1")
    look(warehouse)
    warehouse.load("1")
    warehouse.score("1")
    end(warehouse)
    warehouse.announce("1", content={"brief": "now there is one"})
    (batch,) = look(warehouse)
    assert batch.call_ids == ("1",)


def test_an_event_that_came_before_its_call_was_fetched_costs_no_second_fetch(warehouse: Any) -> None:
    warehouse.announce("1")
    look(warehouse)
    event = warehouse.announce("1", content={"brief": "now there is one"})
    warehouse.load("1")
    warehouse.score("1")
    end(warehouse)
    assert look(warehouse) == []
    assert warehouse.state(event) == ("completed", "the call was fetched after this event came")


def test_a_call_without_a_transcript_is_asked_for_again_until_it_has_one(warehouse: Any) -> None:
    event = warehouse.announce("1")
    look(warehouse)
    warehouse.load("1", transcript=False)
    assert end(warehouse).waiting == 1
    assert warehouse.state(event) == ("received", "Gong has no transcript of the call yet")
    assert look(warehouse) == []
    row = warehouse.connection.execute("select next_attempt_at - now() from ops.webhook_inbox").fetchone()
    assert timedelta(minutes=4) < row[0] <= timedelta(minutes=5)

    warehouse.make_due()
    (batch,) = look(warehouse)
    assert batch.call_ids == ("1",)
    warehouse.load("1")
    warehouse.score("1")
    assert end(warehouse).completed == 1


def test_a_wait_ends_without_a_run_when_the_hourly_sync_brought_the_call(warehouse: Any) -> None:
    event = warehouse.announce("1")
    look(warehouse)
    end(warehouse)
    warehouse.load("1")
    warehouse.score("1")
    warehouse.make_due()
    assert look(warehouse) == []
    assert warehouse.state(event) == ("completed", "the call was fetched after this event came")


def test_a_transcript_that_never_comes_is_given_up_with_a_record(warehouse: Any) -> None:
    event = warehouse.announce("1")
    waits = []
    for _ in range(8):
        assert len(look(warehouse)) == 1
        assert end(warehouse).waiting == 1
        row = warehouse.connection.execute("select next_attempt_at - now() from ops.webhook_inbox").fetchone()
        waits.append(round(row[0] / timedelta(minutes=1)))
        warehouse.make_due()
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (5, 24 * 60)
    look(warehouse)
    assert end(warehouse, patience=timedelta(0)).parked == 1
    status, reason = warehouse.state(event)
    assert status == "parked"
    assert "after 9 attempts: Gong does not show the call yet" in (reason or "")
    letters = warehouse.connection.execute("select source, stream, key, status from ops.dead_letters").fetchall()
    assert letters == [("webhook", "events", "1", "given_up")]


def test_a_failed_run_is_asked_again_with_growing_pauses_and_then_parked(warehouse: Any) -> None:
    event = warehouse.announce("1")
    pauses = []
    for _ in range(4):
        look(warehouse)
        assert end(warehouse, state="failed", reason="marts: disk is full").failed == 1
        assert warehouse.state(event) == ("failed", "marts: disk is full")
        row = warehouse.connection.execute("select next_attempt_at - now() from ops.webhook_inbox").fetchone()
        pauses.append(round(row[0] / timedelta(minutes=1)))
        assert look(warehouse) == []
        warehouse.make_due()
    assert pauses == [1, 5, 30, 120]
    look(warehouse)
    assert end(warehouse, state="failed", reason="marts: disk is full").parked == 1
    status, reason = warehouse.state(event)
    assert (status, reason) == ("parked", "given up after 5 attempts: marts: disk is full")


def test_patience_with_gong_does_not_count_as_failure(warehouse: Any) -> None:
    event = warehouse.announce("1")
    for state in ("failed", "succeeded") * 5:
        look(warehouse)
        settled = end(warehouse, state=state, reason="the network was away")
        assert settled.parked == 0
        warehouse.make_due()
    assert warehouse.state(event)[0] == "received"


def test_a_call_whose_scoring_failed_is_asked_again(warehouse: Any) -> None:
    event = warehouse.announce("1")
    look(warehouse)
    warehouse.load("1")
    warehouse.score("1", status="failed", reason="overloaded")
    assert end(warehouse).failed == 1
    assert warehouse.state(event) == ("failed", "scoring failed: discovery: overloaded")


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [("not_eligible", "under 5 minutes", "not scored: under 5 minutes"), ("refused", "declined", None)],
)
def test_a_call_that_will_not_be_scored_is_completed(
    warehouse: Any, status: str, reason: str, expected: str | None
) -> None:
    event = warehouse.announce("1")
    look(warehouse)
    warehouse.load("1")
    warehouse.score("1", status=status, reason=reason)
    assert end(warehouse).completed == 1
    assert warehouse.state(event) == ("completed", expected)


def test_a_deleted_call_is_completed(warehouse: Any) -> None:
    event = warehouse.announce("1")
    look(warehouse)
    warehouse.load("1", transcript=False)
    warehouse.connection.execute("update raw_gong.calls set is_deleted = true")
    end(warehouse)
    assert warehouse.state(event) == ("completed", "the call was deleted in Gong")


def test_a_call_that_must_stay_out_is_completed_and_not_asked_for_again(warehouse: Any) -> None:
    event = warehouse.announce("1")
    look(warehouse)
    warehouse.connection.execute(
        "insert into raw_gong._kept_out values (encode(sha256('1'::bytea), 'hex'), 'it is private')"
    )
    end(warehouse)
    assert warehouse.state(event) == ("completed", "the call stays out: it is private")


def test_a_claim_whose_tick_died_is_released_after_a_while(warehouse: Any) -> None:
    event = warehouse.announce("1")
    look(warehouse)
    assert events.settle(warehouse.connection, lambda _: None, give_up_after=PATIENCE).released == 0
    warehouse.connection.execute("update ops.webhook_inbox set claimed_at = now() - interval '5 minutes'")
    assert events.settle(warehouse.connection, lambda _: None, give_up_after=PATIENCE).released == 1
    assert warehouse.state(event) == ("received", None)
    (batch,) = look(warehouse)
    assert batch.event_ids == (event,)


def test_a_run_still_going_is_left_alone(warehouse: Any) -> None:
    event = warehouse.announce("1")
    look(warehouse)
    warehouse.connection.execute("update ops.webhook_inbox set claimed_at = now() - interval '5 hours'")
    end(warehouse, state="running")
    assert warehouse.state(event)[0] == "processing"


def test_a_call_without_a_start_goes_to_the_week_gong_says(warehouse: Any) -> None:
    warehouse.deliver(b'{"callData": {"metaData": {"id": "1"}}}')
    (guess,) = look(warehouse)
    assert guess.week_start == date.fromisocalendar(*datetime.now(UTC).isocalendar()[:2], 1)
    warehouse.load("1", started="2026-10-08T10:00:00Z")
    assert end(warehouse).failed == 1
    warehouse.make_due()
    (batch,) = look(warehouse)
    assert batch.week_start == date(2026, 10, 5)


@pytest.mark.parametrize("started", ["2019-01-01T10:00:00Z", "2031-01-01T10:00:00Z"])
def test_a_call_outside_the_kept_weeks_is_parked(warehouse: Any, started: str) -> None:
    event = warehouse.announce("1", started=started)
    assert look(warehouse) == []
    status, reason = warehouse.state(event)
    assert status == "parked"
    assert "outside" in (reason or "")


def test_the_week_is_cut_at_midnight_utc_on_monday(warehouse: Any) -> None:
    warehouse.announce("before", started="2026-11-08T18:59:59-05:00")
    warehouse.announce("after", started="2026-11-08T19:00:00-05:00")
    assert [(batch.week_start, batch.call_ids) for batch in look(warehouse)] == [
        (date(2026, 11, 2), ("before",)),
        (WEEK, ("after",)),
    ]


def test_the_poll_finds_calls_that_no_event_announced(warehouse: Any) -> None:
    now = datetime.now(UTC)
    warehouse.announce("announced", started=now.isoformat())
    warehouse.connection.execute("update ops.webhook_inbox set received_at = now() - interval '1 day'")
    events.unpack(warehouse.connection)
    for call in ("announced", "missed", "fresh", "gone"):
        warehouse.load(call, started=(now - timedelta(hours=1)).isoformat())
    warehouse.load("before the first event", started=(now - timedelta(hours=30)).isoformat())
    warehouse.connection.execute(
        "update raw_gong.calls set loaded_at = now() - interval '1 hour' where id <> 'fresh'; "
        "update raw_gong.calls set is_deleted = true where id = 'gone'"
    )
    look_back, grace = timedelta(hours=48), timedelta(minutes=10)
    assert events.add_missed(warehouse.connection, look_back=look_back, grace=grace) == ("missed",)
    events.unpack(warehouse.connection)
    assert events.add_missed(warehouse.connection, look_back=look_back, grace=grace) == ()
    warehouse.score("missed")
    events.claim(warehouse.connection, first_week=date(2024, 1, 1))
    row = warehouse.connection.execute(
        "select status, reason from ops.webhook_inbox where endpoint = 'poll'"
    ).fetchall()
    assert row == [("completed", "the call was fetched after this event came")]


def test_without_any_webhook_the_poll_misses_nothing(warehouse: Any) -> None:
    warehouse.load("1", started=datetime.now(UTC).isoformat())
    warehouse.connection.execute("update raw_gong.calls set loaded_at = now() - interval '1 hour'")
    assert not events.has_events(warehouse.connection)
    assert events.add_missed(warehouse.connection, look_back=timedelta(hours=48), grace=timedelta(0)) == ()


def test_before_the_first_load_there_is_nothing_to_compare_with(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert events.add_missed(connection, look_back=timedelta(hours=48), grace=timedelta(0)) == ()
        assert events.claim(connection, first_week=date(2024, 1, 1)) == []
