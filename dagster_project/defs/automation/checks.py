from collections.abc import Iterator
from typing import Any

import dagster as dg
import psycopg

from dagster_project.defs.analysis.specs import CALL_BRIEF, analysis_keys
from dagster_project.defs.resources import Warehouse
from dagster_project.reviews.alerts import FOLLOWER_SHARE, MINIMUM_REQUESTS
from dagster_project.reviews.settings import ReviewSettings

QUOTES = "every_quote_is_verified"
COVERAGE_LINE = 0.95

UNVERIFIED = """
select
    dimension,
    count(*) as n_answers,
    count(*) filter (
        where jsonb_path_exists(answer, '$.markers[*].evidence[*] ? (!(@.quote_verified == true))')
    ) as n_unverified
from analysis.results
where created_at > now() - interval '1 day'
group by dimension
"""

COVERAGE = """
select count(*) filter (where is_eligible) as n_eligible, count(*) filter (where is_eligible and is_scored) as n_scored
from marts.fct_calls
where not is_deleted and week_start >= current_date - 28
"""

SPEND = "select coalesce(sum(cost_usd), 0)::float from marts.mart_llm_costs where day = current_date and not is_sandbox"

FOLLOWERS = """
select count(*), count(*) filter (where cache_read_tokens > 0)
from analysis.requests
where position = 'follower' and error_kind is null and kind = 'live' and started_at > now() - interval '1 day'
"""


def _row(warehouse: Warehouse, statement: Any) -> tuple[Any, ...]:
    with psycopg.connect(warehouse.database_url) as connection:
        found = connection.execute(statement).fetchone()
    assert found is not None  # noqa: S101 - an aggregate without groups has one row
    return found


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            QUOTES,
            asset=key,
            blocking=True,
            description="No stored answer of the last day holds evidence whose quote was not found in the transcript.",
        )
        for key in analysis_keys()
        if key.path[-1] != CALL_BRIEF
    ],
    can_subset=True,
)
def quotes_verified(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> Iterator[dg.AssetCheckResult]:
    """The one thing that must not reach a page: a quote that nobody said."""
    with psycopg.connect(warehouse.database_url) as connection:
        counted = {row[0]: (row[1], row[2]) for row in connection.execute(UNVERIFIED)}
    for check in sorted(context.selected_asset_check_keys):
        n_answers, n_unverified = counted.get(check.asset_key.path[-1], (0, 0))
        yield dg.AssetCheckResult(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=n_unverified == 0,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"answers": n_answers, "with_unverified_quotes": n_unverified},
        )


@dg.asset_check(
    asset=["marts", "fct_calls"],
    description=f"At least {COVERAGE_LINE:.0%} of the calls of four weeks that can be scored are.",
)
def coverage(warehouse: Warehouse) -> dg.AssetCheckResult:
    n_eligible, n_scored = _row(warehouse, COVERAGE)
    return dg.AssetCheckResult(
        passed=n_scored >= COVERAGE_LINE * n_eligible,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"eligible": n_eligible, "scored": n_scored},
    )


@dg.asset_check(
    asset=["marts", "mart_llm_costs"],
    description="Claude's cost of the day is below CALL_COACH_ALERT_DAILY_USD.",
)
def daily_spend(warehouse: Warehouse) -> dg.AssetCheckResult:
    (cost_usd,) = _row(warehouse, SPEND)
    line = ReviewSettings().daily_spend_alert_usd
    return dg.AssetCheckResult(
        passed=cost_usd <= line,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"cost_usd": cost_usd, "line_usd": line},
    )


@dg.asset_check(
    asset=["marts", "fct_llm_requests"],
    description=f"At least {FOLLOWER_SHARE:.0%} of a day's follower requests read the prefix their leader wrote.",
)
def follower_cache_reads(warehouse: Warehouse) -> dg.AssetCheckResult:
    n_followers, n_reading = _row(warehouse, FOLLOWERS)
    return dg.AssetCheckResult(
        passed=n_followers < MINIMUM_REQUESTS or n_reading >= FOLLOWER_SHARE * n_followers,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"followers": n_followers, "reading_the_cache": n_reading},
    )
