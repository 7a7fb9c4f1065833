import time
from collections.abc import Iterator

import psycopg
import pytest

from dlt_pipelines.errors import QuotaExhaustedError
from dlt_pipelines.quota import Quota


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create schema raw_gong")
        yield connection


def quota(connection: psycopg.Connection, *, per_second: int = 3, per_day: int = 100) -> Quota:
    return Quota(connection, schema="raw_gong", api="gong", per_second=per_second, per_day=per_day)


def most_in_any_second(times: list[float]) -> int:
    return max(sum(1 for other in times if at <= other < at + 1) for at in times)


def test_no_second_ever_holds_more_than_three_requests(connection: psycopg.Connection) -> None:
    times: list[float] = []
    limiter = quota(connection)
    for _ in range(8):
        with limiter.request(stream="calls"):
            times.append(time.monotonic())
    assert most_in_any_second(times) <= 3
    assert times[-1] - times[0] < 4


def test_a_load_that_follows_another_keeps_to_the_same_three(connection: psycopg.Connection) -> None:
    times: list[float] = []
    for _ in range(3):
        limiter = quota(connection)
        for _ in range(2):
            with limiter.request(stream="calls"):
                times.append(time.monotonic())
    assert most_in_any_second(times) <= 3


def test_the_daily_budget_is_shared_by_all_loads_of_a_day(connection: psycopg.Connection) -> None:
    for _ in range(2):
        with quota(connection, per_second=100, per_day=3).request(stream="calls"):
            pass
    last = quota(connection, per_second=100, per_day=3)
    with last.request(stream="users"):
        pass
    with (
        pytest.raises(QuotaExhaustedError, match=r"users: the day's budget of 3 requests"),
        last.request(stream="users"),
    ):
        pytest.fail("a fourth request was let through")


def test_two_companies_have_a_budget_each(connection: psycopg.Connection) -> None:
    with quota(connection, per_day=1).request(stream="calls"):
        pass
    other = Quota(connection, schema="raw_gong", api="other", per_second=3, per_day=1)
    with other.request(stream="calls"):
        pass
