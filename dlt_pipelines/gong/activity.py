"""Streams that Gong counts by day in the company's time zone: answered scorecards and interaction statistics."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from dlt_pipelines import answers
from dlt_pipelines.destination import Table
from dlt_pipelines.gong import tables
from dlt_pipelines.gong.client import GongClient, Page
from dlt_pipelines.session import Session

DAY = timedelta(days=1)
# a day's numbers move while its last calls are analysed; until then it is read again, but not with every load
SETTLED_AFTER = timedelta(days=2)
READ_AGAIN_AFTER = timedelta(hours=6)


def load_answered_scorecards(
    session: Session, client: GongClient, *, begin: datetime, end: datetime, by_call: bool
) -> None:
    """What people scored. By review date as a rule, because a call may be reviewed long after it took place.

    Args:
        session: the run.
        client: Gong.
        begin: the first moment.
        end: the moment after the last.
        by_call: take the calls of the span instead of the reviews of the span.
    """
    # the days are the company's and the last one is exclusive: a day more on either side covers every time zone
    span = ("callFromDate", "callToDate") if by_call else ("reviewFromDate", "reviewToDate")
    first, last = (begin - DAY).date(), (end + 2 * DAY).date()
    body = {"filter": {span[0]: first.isoformat(), span[1]: last.isoformat()}}
    seen: set[str] = set()
    for page in client.pages(
        "POST",
        "/v2/stats/activity/scorecards",
        stream="answered_scorecards",
        items_key="answeredScorecards",
        where=f"{first} to {last}",
        body=body,
    ):
        rows: dict[str, dict[str, Any]] = {}
        for item in page.items:
            key = item.get("answeredScorecardId") if isinstance(item, dict) else None
            if key is None:
                session.dead_letter("answered_scorecards", item, "the item has no answeredScorecardId")
                continue
            session.read["answered_scorecards"] += 1
            key = key if isinstance(key, str) else answers.dump(key)
            if key not in seen:
                rows[key] = tables.plain_row(tables.ANSWERED_SCORECARDS, item, now=session.now)
        seen.update(rows)
        _write_changed(session, tables.ANSWERED_SCORECARDS, rows)


def load_interaction_stats(
    session: Session, client: GongClient, *, begin: datetime, end: datetime, is_forced: bool
) -> None:
    """One request per day: Gong adds a longer span up into one number per user.

    Args:
        session: the run.
        client: Gong.
        begin: the first moment.
        end: the moment after the last; the running day is left out, Gong refuses it.
        is_forced: read every day of the span, also the settled ones.
    """
    days_read = session.books.days_read("interaction_stats")
    n_days = (min(end, session.now).date() - begin.date()).days
    span = [begin.date() + n * DAY for n in range(n_days)]
    due = [day for day in span if is_forced or _is_due(day, days_read.get(day), session.now)]
    if len(due) > 1 and not _has_any(client, due[0], due[-1]):
        for day in due:
            session.after_commit(_day_read(session, day))
        return
    for day in due:
        _load_day(session, client, day)


def _has_any(client: GongClient, first: date, last: date) -> bool:
    """One request for the whole span spares a company without these statistics a request per day."""
    return any(page.items for page in _pages(client, first, last))


def _pages(client: GongClient, first: date, last: date) -> Iterator[Page]:
    return client.pages(
        "POST",
        "/v2/stats/interaction",
        stream="interaction_stats",
        items_key="peopleInteractionStats",
        where=f"{first} to {last}",
        body={"filter": {"fromDate": first.isoformat(), "toDate": (last + DAY).isoformat()}},
    )


def _is_due(day: date, read_at: datetime | None, now: datetime) -> bool:
    settles_at = datetime.combine(day + DAY, time(), tzinfo=UTC) + SETTLED_AFTER
    return read_at is None or (read_at < settles_at and now - read_at >= READ_AGAIN_AFTER)


def _load_day(session: Session, client: GongClient, day: date) -> None:
    rows: dict[str, dict[str, Any]] = {}
    for page in _pages(client, day, day):
        for item in page.items:
            user_id = item.get("userId") if isinstance(item, dict) else None
            if not isinstance(user_id, str):
                session.dead_letter("interaction_stats", item, f"the item of {day} has no userId of type text")
                continue
            session.read["interaction_stats"] += 1
            stamped = {**item, "day": day.isoformat()}
            rows[f"{user_id}|{day}"] = tables.plain_row(tables.INTERACTION_STATS, stamped, now=session.now)
    _write_changed(session, tables.INTERACTION_STATS, rows)
    session.after_commit(_day_read(session, day))


def _day_read(session: Session, day: date) -> Callable[[], None]:
    return lambda: session.books.set_day_read("interaction_stats", day, session.now)


def _write_changed(session: Session, table: Table, rows: dict[str, dict[str, Any]]) -> None:
    stored = session.stored_hashes(table, [str(row[table.key[0]]) for row in rows.values()])
    for key, row in rows.items():
        if stored.get(key) != row["content_hash"]:
            session.write(table, row)
