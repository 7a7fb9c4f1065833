"""Named stretches of time, resolved to dates that every answer states."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

PeriodName = Literal[
    "last_7_days",
    "last_28_days",
    "last_90_days",
    "this_week",
    "last_week",
    "this_month",
    "last_month",
    "this_quarter",
    "last_quarter",
    "all",
]


# no call was recorded before, and a period twice as long as the calendar has no period before it
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 12, 31)


@dataclass(frozen=True, kw_only=True)
class Period:
    """Both ends included."""

    name: str
    since: date
    until: date

    @property
    def days(self) -> int:
        return (self.until - self.since).days + 1


def known_day(day: date) -> date:
    """The day itself; refuse one that no call can have been held on."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"{day} is no day of a call: give a day between {FIRST_DAY} and {LAST_DAY}.")
    return day


def _quarter_start(day: date) -> date:
    return date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)


def resolve(name: PeriodName, *, today: date, since: date | None = None, until: date | None = None) -> Period:
    """A named period as of a day; explicit dates win over the name."""
    if since is not None or until is not None:
        first, last = known_day(since or FIRST_DAY), known_day(until or today)
        if first > last:
            raise ValueError(f"The period starts on {first} and ends before that, on {last}. Swap the two dates.")
        return Period(name="custom", since=first, until=last)
    week_start = today - timedelta(days=today.weekday())
    month_start = today.replace(day=1)
    quarter_start = _quarter_start(today)
    ends: dict[str, tuple[date, date]] = {
        "last_7_days": (today - timedelta(days=6), today),
        "last_28_days": (today - timedelta(days=27), today),
        "last_90_days": (today - timedelta(days=89), today),
        "this_week": (week_start, today),
        "last_week": (week_start - timedelta(days=7), week_start - timedelta(days=1)),
        "this_month": (month_start, today),
        "last_month": ((month_start - timedelta(days=1)).replace(day=1), month_start - timedelta(days=1)),
        "this_quarter": (quarter_start, today),
        "last_quarter": (_quarter_start(quarter_start - timedelta(days=1)), quarter_start - timedelta(days=1)),
        "all": (FIRST_DAY, today),
    }
    first, last = ends[name]
    return Period(name=name, since=first, until=last)
