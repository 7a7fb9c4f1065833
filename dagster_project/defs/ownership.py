"""Who answers for what, and how old it may get. The hourly sync refreshes everything but the reviews."""

from datetime import timedelta

import dagster as dg

DATA_TEAM = ["team:data"]
COACHING_TEAM = ["team:sales-enablement"]

HOURLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=2))
# written within four hours of Monday 06:00 in Los Angeles
MONDAYS = dg.FreshnessPolicy.cron(
    deadline_cron="0 10 * * 1", lower_bound_delta=timedelta(hours=4), timezone="America/Los_Angeles"
)
