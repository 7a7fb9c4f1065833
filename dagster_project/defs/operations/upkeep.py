import dagster as dg

from dagster_project.defs.resources import Warehouse
from dagster_project.operations.erase import erase_again
from dagster_project.operations.retention import KEPT_YEARS, retire


class RetentionConfig(dg.Config):
    """How long things are kept."""

    years: int = KEPT_YEARS


@dg.op(description="Remove what is older than we keep.")
def let_go(context: dg.OpExecutionContext, config: RetentionConfig, warehouse: Warehouse) -> None:
    retired = retire(database_url=warehouse.database_url, years=config.years)
    context.add_output_metadata(
        {"calls": retired.calls, "partitions": len(retired.partitions), "rows": sum(retired.rows.values())}
    )


@dg.op(description="Erase again what a run that raced an erasure may have written.")
def keep_erased(context: dg.OpExecutionContext, warehouse: Warehouse) -> None:
    context.add_output_metadata({"erased_again": len(erase_again(database_url=warehouse.database_url))})


@dg.job(description="Calls, answers and records older than five years go.", tags={"dagster/max_runtime": "7200"})
def retention() -> None:
    let_go()


@dg.job(description="What was erased stays erased.", tags={"dagster/max_runtime": "3600"})
def erasures() -> None:
    keep_erased()


monthly_retention = dg.ScheduleDefinition(
    job=retention,
    cron_schedule="0 4 1 * *",
    execution_timezone="UTC",
    description="On the first of each month: what is older than five years goes.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

daily_erasures = dg.ScheduleDefinition(
    job=erasures,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    description="Every night: what was erased and came back through a run that raced it goes again.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
