from datetime import UTC, datetime, timedelta

import dagster as dg

from dagster_project.defs.partitions import week_of
from dagster_project.intake.runs import CAUSE_TAG, MAX_RUNTIME_S
from dagster_project.pipeline import RANGE_END, RANGE_START
from dlt_pipelines.gong.settings import GongSettings

REVIEW_TIMEZONE = "America/Los_Angeles"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def _is_unfinished(context: dg.ScheduleEvaluationContext, job_name: str) -> bool:
    return bool(context.instance.get_runs(filters=dg.RunsFilter(job_name=job_name, statuses=UNFINISHED), limit=1))


@dg.schedule(
    name="sync",
    job_name="sync",
    cron_schedule="5 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour: the weeks within GONG_LOOK_BACK_DAYS are read again and brought up to date.",
)
def sync_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    if _is_unfinished(context, "sync"):
        return dg.SkipReason("The sync before this one has not ended.")
    now = context.scheduled_execution_time.astimezone(UTC)
    first = week_of(now - timedelta(days=GongSettings().look_back_days))
    return dg.RunRequest(
        run_key=now.isoformat(),
        tags={
            RANGE_START: first.isoformat(),
            RANGE_END: week_of(now).isoformat(),
            CAUSE_TAG: "schedule",
            "dagster/max_runtime": str(MAX_RUNTIME_S),
        },
    )


@dg.schedule(
    name="reconcile",
    job_name="reconcile",
    cron_schedule="*/15 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every 15 minutes: calls of the last two days that no webhook announced are taken up.",
)
def reconcile_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    if _is_unfinished(context, "reconcile"):
        return dg.SkipReason("The poll before this one has not ended.")
    return dg.RunRequest(run_key=context.scheduled_execution_time.astimezone(UTC).isoformat(), tags={CAUSE_TAG: "poll"})


@dg.schedule(
    name="full_read",
    job_name="full_read",
    cron_schedule="15 2 * * 0",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Sundays at 02:15 UTC: all of Gong's calls are listed, which alone finds the deleted ones.",
)
def full_read_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    if _is_unfinished(context, "full_read"):
        return dg.SkipReason("The read before this one has not ended.")
    return dg.RunRequest(
        run_key=context.scheduled_execution_time.astimezone(UTC).isoformat(), tags={CAUSE_TAG: "schedule"}
    )


def ended_week(moment: datetime) -> str:
    """The partition of the last week that is over at `moment`."""
    return (week_of(moment) - timedelta(weeks=1)).isoformat()


@dg.schedule(
    name="weekly_review",
    job_name="weekly_review",
    cron_schedule="0 6 * * 1",
    execution_timezone=REVIEW_TIMEZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Mondays at 06:00 in Los Angeles: the week that ended is completed, and its reviews go out.",
)
def weekly_review_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    week = ended_week(context.scheduled_execution_time)
    return dg.RunRequest(
        run_key=week,
        partition_key=week,
        run_config={"ops": {"reviews__weekly_reviews": {"config": {"deliver": True}}}},
        tags={CAUSE_TAG: "schedule", "dagster/max_runtime": str(MAX_RUNTIME_S)},
    )
