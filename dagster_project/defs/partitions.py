"""Calls are kept by the week they started in: Monday to Sunday, UTC; the running week exists."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

# before the five years that calls are kept
FIRST_WEEK = "2020-01-06"

call_weeks = dg.WeeklyPartitionsDefinition(start_date=FIRST_WEEK, day_offset=1, end_offset=1)


def week_of(moment: datetime | date) -> date:
    """The Monday of the week that holds `moment`; a datetime counts in UTC."""
    day = moment.astimezone(UTC).date() if isinstance(moment, datetime) else moment
    return day - timedelta(days=day.weekday())


def weeks_between(first: date, last: date) -> tuple[date, ...]:
    """The Mondays from the week of `first` to the week of `last`, both included.

    Raises ValueError when there is no partition for one of them.
    """
    start, end = week_of(first), week_of(last)
    newest = week_of(datetime.now(UTC))
    if start < date.fromisoformat(FIRST_WEEK) or end > newest:
        raise ValueError(f"Weeks go from {FIRST_WEEK} to {newest}; {start} to {end} is not within.")
    return tuple(start + timedelta(weeks=n) for n in range((end - start).days // 7 + 1))


def window_of(weeks: Iterable[date]) -> tuple[datetime, datetime]:
    """The half-open span of time, in UTC, that the weeks cover from the first to the last."""
    ordered = sorted(weeks)
    first = datetime.combine(ordered[0], datetime.min.time(), tzinfo=UTC)
    last = datetime.combine(ordered[-1], datetime.min.time(), tzinfo=UTC)
    return first, last + timedelta(weeks=1)


def partition_weeks(context: dg.AssetExecutionContext) -> tuple[date, ...]:
    """The weeks a run was asked for, oldest first."""
    return tuple(sorted(date.fromisoformat(key) for key in context.partition_keys))
