from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from dagster_project.pipeline import RANGE_END, RANGE_START


def ticks(repository: dg.RepositoryDefinition, name: str, after: datetime, count: int) -> list[datetime]:
    schedule = repository.get_schedule_def(name)
    times = schedule_execution_time_iterator(after.timestamp(), schedule.cron_schedule, schedule.execution_timezone)
    return list(islice(times, count))


def requests(
    repository: dg.RepositoryDefinition, name: str, moment: datetime, instance: dg.DagsterInstance | None = None
) -> list[dg.RunRequest]:
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=moment, repository_def=repository)
    return list(repository.get_schedule_def(name).evaluate_tick(context).run_requests or [])


def test_everything_that_runs_by_itself_is_switched_on_and_described(repository: dg.RepositoryDefinition) -> None:
    for name in ("sync", "reconcile", "full_read", "weekly_review"):
        schedule = repository.get_schedule_def(name)
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
        assert schedule.description
    for name in ("webhook_inbox", "analysis_requests", "alerts"):
        sensor = repository.get_sensor_def(name)
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        assert sensor.description


@pytest.mark.parametrize(
    "after",
    [
        datetime(2026, 3, 1, tzinfo=UTC),  # clocks go forward on 8 March 2026
        datetime(2026, 10, 25, tzinfo=UTC),  # and back on 1 November 2026
    ],
)
def test_the_weekly_review_is_at_six_in_los_angeles_on_both_sides_of_a_clock_change(
    repository: dg.RepositoryDefinition, after: datetime
) -> None:
    times = ticks(repository, "weekly_review", after, 4)
    assert {(time.hour, time.minute, time.isoweekday()) for time in times} == {(6, 0, 1)}
    utc = [time.astimezone(UTC) for time in times]
    assert {time.hour for time in utc} == {13, 14}
    assert sorted({later - earlier for earlier, later in pairwise(utc)}) != [timedelta(days=7)]


def test_the_weekly_review_is_of_the_week_that_ended_and_once(repository: dg.RepositoryDefinition) -> None:
    for after, week in (
        (datetime(2026, 3, 4, tzinfo=UTC), "2026-03-02"),
        (datetime(2026, 10, 28, tzinfo=UTC), "2026-10-26"),
        (datetime(2026, 12, 30, tzinfo=UTC), "2026-12-28"),
    ):
        (moment,) = ticks(repository, "weekly_review", after, 1)
        (request,) = requests(repository, "weekly_review", moment)
        assert (request.partition_key, request.run_key) == (week, week)


def test_only_the_schedule_of_the_weekly_review_asks_for_delivery(repository: dg.RepositoryDefinition) -> None:
    (moment,) = ticks(repository, "weekly_review", datetime(2026, 11, 10, tzinfo=UTC), 1)
    (request,) = requests(repository, "weekly_review", moment)
    assert request.run_config == {"ops": {"reviews__weekly_reviews": {"config": {"deliver": True}}}}
    assert dg.validate_run_config(repository.get_job("weekly_review"), request.run_config)
    without = dg.validate_run_config(repository.get_job("weekly_review"), {})
    assert without["ops"]["reviews__weekly_reviews"]["config"]["deliver"] is False
    for job in ("pipeline", "sync", "new_calls"):
        keys = repository.get_job(job).asset_layer.selected_asset_keys
        assert not [key for key in keys if key.path[0] == "reviews"]


def test_the_sync_covers_the_look_back_up_to_the_running_week(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONG_LOOK_BACK_DAYS", "14")
    (request,) = requests(repository, "sync", datetime(2026, 11, 16, 0, 5, tzinfo=UTC), instance)
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("2026-11-02", "2026-11-16")
    (request,) = requests(repository, "sync", datetime(2026, 11, 15, 23, 5, tzinfo=UTC), instance)
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("2026-10-26", "2026-11-09")


@pytest.mark.parametrize("name", ["sync", "reconcile", "full_read"])
def test_a_schedule_does_not_pile_up_on_a_run_that_has_not_ended(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, name: str
) -> None:
    moment = datetime(2026, 11, 16, 0, 5, tzinfo=UTC)
    run = instance.create_run_for_job(repository.get_job(name), status=dg.DagsterRunStatus.STARTED)
    assert requests(repository, name, moment, instance) == []
    instance.report_run_failed(run)
    assert len(requests(repository, name, moment, instance)) == 1
