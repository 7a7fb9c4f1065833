from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from dagster_project.defs.partitions import call_weeks, week_of, weeks_between, window_of


def test_a_week_runs_from_monday_to_sunday() -> None:
    assert week_of(date(2026, 11, 16)) == week_of(date(2026, 11, 22)) == date(2026, 11, 16)


def test_a_sunday_evening_call_in_los_angeles_belongs_to_the_week_it_has_in_utc() -> None:
    sunday_evening = datetime(2026, 11, 15, 20, tzinfo=timezone(timedelta(hours=-8)))
    assert week_of(sunday_evening) == date(2026, 11, 16)


def test_the_running_week_is_a_partition() -> None:
    assert call_weeks.get_last_partition_key() == week_of(datetime.now(UTC)).isoformat()


def test_weeks_between_two_days_include_both_ends() -> None:
    assert weeks_between(date(2026, 11, 1), date(2026, 11, 9)) == (
        date(2026, 10, 26),
        date(2026, 11, 2),
        date(2026, 11, 9),
    )


@pytest.mark.parametrize("day", [date(2019, 12, 30), datetime.now(UTC).date() + timedelta(days=7)])
def test_a_week_without_a_partition_is_refused_with_the_ones_there_are(day: date) -> None:
    with pytest.raises(ValueError, match="Weeks go from 2020-01-06 to"):
        weeks_between(day, day)


def test_a_window_is_half_open() -> None:
    first, last = window_of([date(2026, 11, 9), date(2026, 11, 2)])
    assert (first, last) == (datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 16, tzinfo=UTC))
