import logging
from datetime import UTC, datetime

import dagster as dg
import psycopg

from dagster_project.defs.resources import Warehouse
from dagster_project.intake.runs import failure_reason
from dagster_project.reviews.alerts import JobState, announce, causes_of_data, causes_of_jobs
from dagster_project.reviews.settings import ReviewSettings
from dagster_project.settings import Settings

logger = logging.getLogger(__name__)

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
WATCHED_JOBS = ("sync", "new_calls", "weekly_review", "reconcile", "full_read", "pipeline")


def _job_state(
    instance: dg.DagsterInstance, job_name: str, statuses: list[dg.DagsterRunStatus] = FINISHED
) -> JobState | None:
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name, statuses=statuses), limit=1)
    if not records:
        return None
    run = records[0].dagster_run
    has_failed = run.status == dg.DagsterRunStatus.FAILURE
    return JobState(
        job_name=job_name,
        run_id=run.run_id,
        has_failed=has_failed,
        reason=failure_reason(instance, run) if has_failed else "",
        ended_at=datetime.fromtimestamp(records[0].end_time or records[0].update_timestamp.timestamp(), UTC),
    )


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="One message per cause: failed runs, stale data, dead letters, spend, caches. Quiet otherwise.",
)
def alerts(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SkipReason:
    settings = ReviewSettings()
    states = [_job_state(context.instance, job_name) for job_name in WATCHED_JOBS]
    synced = _job_state(context.instance, "sync", [dg.DagsterRunStatus.SUCCESS])
    with psycopg.connect(warehouse.database_url, autocommit=True) as connection:
        causes = [
            *causes_of_jobs(
                [state for state in states if state], settings, synced_at=synced.ended_at if synced else None
            ),
            *causes_of_data(connection, settings),
        ]
        report = announce(connection, causes, settings, folder=Settings().home_folder / "alerts")
    for problem in report.problems:
        logger.warning("an alert could not be sent: %s", problem)
    return dg.SkipReason(
        f"announced {len(report.announced)}, still open {len(report.still_open)}, resolved {len(report.resolved)}"
    )
