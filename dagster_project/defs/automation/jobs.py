import logging
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg

from dagster_project.analysis.store import forget_deleted
from dagster_project.defs.ingest.assets import IS_PARTIAL
from dagster_project.defs.resources import Warehouse
from dagster_project.intake import events
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.gong.source import load

logger = logging.getLogger(__name__)

POLL_LOOK_BACK = timedelta(hours=48)
# Gong fires a rule and shows the call at about the same time
POLL_GRACE = timedelta(minutes=10)

REVIEWS = dg.AssetSelection.groups("reviews")
# marts that a new call changes nothing in, or that may wait for the hourly sync: the minute belongs to the scores
WITHIN_THE_HOUR = dg.AssetSelection.groups("spend", "operations") | dg.AssetSelection.assets(
    *(
        ["marts", name]
        for name in ("dim_deals_history", "fct_manager_scores", "fct_moment_reviews", "fct_weekly_reviews")
    )
)
AT_ONCE = dg.AssetSelection.groups("core", "coaching") - WITHIN_THE_HOUR
# what one call goes through: it and its transcript, its scores, and what lies between them and the pages
CALL_PATH = (
    dg.AssetSelection.assets(["gong", "calls"], ["gong", "transcripts"]).downstream() & AT_ONCE.upstream()
) - dg.AssetSelection.key_prefixes("hubspot")

pipeline = dg.define_asset_job(
    name="pipeline",
    selection=dg.AssetSelection.all() - REVIEWS,
    description="Everything for a range of weeks: load from Gong, cut, score with Claude, build the marts.",
)

sync = dg.define_asset_job(
    name="sync",
    selection=dg.AssetSelection.all() - REVIEWS,
    description="The look-back weeks read again, for Gong has no list of changes. What did not change costs nothing.",
)

new_calls = dg.define_asset_job(
    name="new_calls",
    selection=CALL_PATH,
    description="The named calls of one week, from Gong to the pages: what webhooks and requests set off. "
    "Costs, health and the CRM follow with the hourly sync.",
)

weekly_review = dg.define_asset_job(
    name="weekly_review",
    selection=dg.AssetSelection.all(),
    description="One whole week brought up to date, then its reviews written and, when asked to, delivered.",
)


@dg.op(description="List the calls of the last two days and put those that no event announced into the inbox.")
def poll_for_missed_events(context: dg.OpExecutionContext, warehouse: Warehouse) -> None:
    """Asks nothing of Gong before the first webhook ever arrived: then the hourly sync is all there is."""
    with psycopg.connect(warehouse.database_url) as connection:
        if not events.has_events(connection):
            logger.info("no webhook has arrived yet, so none can be missing")
            return
    now = datetime.now(UTC)
    report = load(
        database_url=warehouse.database_url,
        settings=GongSettings(),
        streams=["calls"],
        window=(now - POLL_LOOK_BACK, now),
        on_progress=logger.info,
    )
    with psycopg.connect(warehouse.database_url) as connection:
        events.unpack(connection)
        missed = events.add_missed(connection, look_back=POLL_LOOK_BACK, grace=POLL_GRACE)
    context.add_output_metadata({"requests": report.requests, "missed_events": len(missed)})
    if missed:
        logger.warning("%d calls came without an event and are taken up now: %s", len(missed), ", ".join(missed[:10]))


@dg.job(
    description="The truth behind the hints: finds calls whose webhook never came.",
    tags={"dagster/max_runtime": "1800"},
)
def reconcile() -> None:
    poll_for_missed_events()


@dg.op(description="List all of Gong's calls, mark those that it no longer has, and let go of their scores.")
def read_every_call(context: dg.OpExecutionContext, warehouse: Warehouse) -> None:
    """Ten requests per 1,000 calls; what the day's quota cuts short goes on where it stopped a week later."""
    report = load(
        database_url=warehouse.database_url,
        settings=GongSettings(),
        streams=["calls"],
        mode="full",
        on_progress=logger.info,
    )
    deleted = forget_deleted(warehouse.database_url)
    context.add_output_metadata(
        {"requests": report.requests, "deleted_calls": len(deleted), IS_PARTIAL: report.is_partial}
    )


@dg.job(
    description="Gong has no event for a deleted call and no list of them: only reading all calls finds out.",
    tags={"dagster/max_runtime": "14400"},
)
def full_read() -> None:
    read_every_call()
