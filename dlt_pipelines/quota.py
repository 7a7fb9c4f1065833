"""One request limiter per company: never more than N requests in any second, and a daily budget.

The day's count is kept in the database, so it survives restarts and is shared by every process. Loads of one database
run one after the other (a lock sees to it), so the sliding second lives in memory; the times of the last requests are
stored too, because a load may start in the same second in which another one ended.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg

from dlt_pipelines.errors import QuotaExhaustedError

# a slot is free again one second after its answer came in, so the server can never have seen more; 20 ms for the clocks
WINDOW_S = 1.02
# the stored times are from before sending: how much later a request may have reached the server
LATE_ARRIVAL_S = 0.25


class Quota:
    """Hands out requests one at a time."""

    def __init__(
        self,
        connection: psycopg.Connection,
        *,
        schema: str,
        api: str,
        per_second: int,
        per_day: int,
        setting: str = "GONG_DAILY_REQUESTS",
    ) -> None:
        self._connection = connection
        self._table = f"{schema}._requests"
        self._api = api
        self._per_day = per_day
        self._setting = setting
        self._sent: deque[float] = deque(maxlen=per_second)
        connection.execute(
            f"create table if not exists {self._table} (api text, day date, requests integer not null, "
            "recent timestamptz[] not null, primary key (api, day))"
        )
        row = connection.execute(
            f"select recent from {self._table} where api = %s order by day desc limit 1",  # noqa: S608
            [api],
        ).fetchone()
        for at in sorted(row[0])[-per_second:] if row else []:
            age_s = (datetime.now(UTC) - at).total_seconds() - LATE_ARRIVAL_S
            if age_s < WINDOW_S:
                self._sent.append(time.monotonic() - age_s)

    @contextmanager
    def request(self, *, stream: str) -> Iterator[None]:
        """Wait for the next free slot and count one request, or say that the day's budget is used up."""
        if len(self._sent) == self._sent.maxlen:
            wait_s = self._sent[0] + WINDOW_S - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
        row = self._connection.execute(
            f"insert into {self._table} as known "  # noqa: S608
            "values (%s, (now() at time zone 'utc')::date, 1, array[now()]) "
            "on conflict (api, day) do update set requests = known.requests + 1, "
            "recent = (array_prepend(now(), known.recent))[1:%s] where known.requests < %s returning day",
            [self._api, self._sent.maxlen, self._per_day],
        ).fetchone()
        if row is None:
            midnight = datetime.now(UTC).date() + timedelta(days=1)
            raise QuotaExhaustedError(
                f"{stream}: the day's budget of {self._per_day} requests is used up. "
                f"What was read is saved; run again after {midnight}T00:00Z, or raise {self._setting} "
                "if your contract allows more"
            )
        try:
            yield
        finally:
            self._sent.append(time.monotonic())
            # the next load counts from the answer too: on a busy machine a request may arrive long after it was taken
            self._connection.execute(
                f"update {self._table} set recent[1] = clock_timestamp() where api = %s and day = %s",  # noqa: S608
                [self._api, row[0]],
            )
