"""One build of the marts at a time."""

import threading
import time

import psycopg

from dagster_project.database.building import BUILDER, exclusive_build


def test_a_second_build_waits_for_the_first(database_url: str) -> None:
    order: list[str] = []

    def build(name: str, seconds: float) -> None:
        with exclusive_build(database_url):
            order.append(f"{name} starts")
            time.sleep(seconds)
            order.append(f"{name} ends")

    first = threading.Thread(target=build, args=("first", 0.6))
    first.start()
    while not order:
        time.sleep(0.01)
    second = threading.Thread(target=build, args=("second", 0))
    second.start()
    first.join()
    second.join()
    assert order == ["first starts", "first ends", "second starts", "second ends"]


def test_the_lock_of_a_broken_build_is_free_again(database_url: str) -> None:
    for _ in range(2):
        try:
            with exclusive_build(database_url):
                raise RuntimeError("dbt said no")
        except RuntimeError:
            continue


def test_a_dbt_that_outlived_its_run_is_ended(database_url: str) -> None:
    orphan = psycopg.connect(database_url, application_name=BUILDER)
    by_hand = psycopg.connect(database_url, application_name="dbt by hand")
    with exclusive_build(database_url):
        by_hand.execute("select 1")
        try:
            orphan.execute("select 1")
            is_alive = True
        except psycopg.OperationalError:
            is_alive = False
    assert not is_alive
    by_hand.close()
