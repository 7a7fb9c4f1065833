"""The jobs that keep the house: what they call, and that Dagster can load them."""

import dagster as dg
import psycopg

from dagster_project.defs.operations.upkeep import daily_erasures, erasures, monthly_retention, retention
from dagster_project.defs.resources import Warehouse


def test_retention_runs_every_month_and_removes_what_is_old(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into ops.audit_log (viewer_id, surface, action, happened_at) values ('a', 'mcp', 'x', '2015-01-01')"
        )
    result = retention.execute_in_process(resources={"warehouse": Warehouse(database_url=database_url)})
    assert result.success
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select count(*) from ops.audit_log").fetchone() == (0,)
    assert monthly_retention.default_status is dg.DefaultScheduleStatus.RUNNING


def test_erasures_are_kept_every_day(database_url: str) -> None:
    result = erasures.execute_in_process(resources={"warehouse": Warehouse(database_url=database_url)})
    assert result.success
    assert daily_erasures.default_status is dg.DefaultScheduleStatus.RUNNING
