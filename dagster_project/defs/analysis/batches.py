import asyncio

import dagster as dg

from dagster_project.analysis.batch_collection import collect_batches, has_open_batches
from dagster_project.analysis.settings import AnalysisSettings
from dagster_project.defs.partitions import week_of
from dagster_project.defs.resources import Warehouse

# most batches end within an hour; a look costs one request
LOOK_EVERY_S = 60


@dg.sensor(
    job_name="new_calls",
    minimum_interval_seconds=LOOK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Batches that have ended are stored and deleted; their weeks get a run that scores the rest live.",
)
def claude_batches(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SensorResult | dg.SkipReason:
    settings = AnalysisSettings()
    if not has_open_batches(warehouse.database_url, origin=settings.origin):
        return dg.SkipReason("No batch is at work.")
    report = asyncio.run(collect_batches(database_url=warehouse.database_url, settings=settings))
    if not report.batches_ended:
        return dg.SkipReason(f"{report.batches_waiting} batches are still at work.")
    context.log.info(
        "%d answers stored, %d to be asked live, $%.2f spent", report.stored, report.failed, report.cost_usd
    )
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(partition_key=week_of(week).isoformat(), tags={"call_coach/cause": "batch"})
            for week in sorted(report.weeks)
        ]
    )
