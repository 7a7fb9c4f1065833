import logging
from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

import dagster as dg
import psycopg

from dagster_project.defs.analysis.specs import analysis_keys
from dagster_project.defs.partitions import FIRST_WEEK
from dagster_project.defs.resources import Warehouse
from dagster_project.intake import events, requests
from dagster_project.intake.runs import claim_tags, fail_dead_runs, run_of_claim
from dlt_pipelines.gong.settings import GongSettings

logger = logging.getLogger(__name__)

# the daemon's own loop takes 5 s; asking for as much would miss every other turn
LOOK_EVERY_S = 1
OLDEST_WEEK = date.fromisoformat(FIRST_WEEK)


def call_config(call_ids: Sequence[str] | None, *, is_forced: bool = False) -> dict[str, Any]:
    """The run config of job `new_calls` for some calls, or for the whole week."""
    if call_ids is None:
        return {"ops": {"dimension_scores": {"config": {"force": is_forced}}}}
    chosen = {"config": {"call_ids": list(call_ids)}}
    scoring = {"config": {"call_ids": list(call_ids), "force": is_forced}}
    return {"ops": {"conversations": chosen, "analysis__transcript_chunks": chosen, "dimension_scores": scoring}}


@dg.sensor(
    job_name="new_calls",
    minimum_interval_seconds=LOOK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="New webhook events become runs, one for each week, that fetch and score only the named calls.",
)
def webhook_inbox(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SensorResult | dg.SkipReason:
    fail_dead_runs(context.instance)
    give_up_after = timedelta(days=GongSettings().give_up_after_days)
    with psycopg.connect(warehouse.database_url) as connection:
        settled = events.settle(connection, partial(run_of_claim, context.instance), give_up_after=give_up_after)
        connection.commit()
        events.unpack(connection)
        connection.commit()
        batches = events.claim(connection, first_week=OLDEST_WEEK)
    if not batches:
        return dg.SkipReason(f"No event is due. Settled now: {settled}")
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=batch.claim_id,
                partition_key=batch.week_start.isoformat(),
                run_config=call_config(batch.call_ids),
                tags=claim_tags(claim_id=batch.claim_id, cause="webhook", ids=batch.event_ids),
            )
            for batch in batches
        ]
    )


@dg.sensor(
    job_name="new_calls",
    minimum_interval_seconds=LOOK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests from the command line, the dashboard and MCP become runs of their calls and dimensions.",
)
def analysis_requests(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SensorResult | dg.SkipReason:
    with psycopg.connect(warehouse.database_url) as connection:
        settled = requests.settle(connection, partial(run_of_claim, context.instance))
        connection.commit()
        dimensions = [key.path[-1] for key in analysis_keys()]
        batches = requests.claim(connection, known_dimensions=dimensions, first_week=OLDEST_WEEK)
    if not batches:
        return dg.SkipReason(f"No request is due. Settled now: {settled}")
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=batch.claim_id,
                partition_key=batch.week_start.isoformat(),
                run_config=call_config(batch.call_ids, is_forced=batch.is_forced),
                asset_selection=_selection(context, batch.dimensions),
                tags=claim_tags(claim_id=batch.claim_id, cause="request", ids=batch.request_ids),
            )
            for batch in batches
        ]
    )


def _selection(context: dg.SensorEvaluationContext, dimensions: Sequence[str] | None) -> list[dg.AssetKey] | None:
    """The job's assets without the dimensions nobody asked for; None for all of them."""
    if dimensions is None or context.repository_def is None:
        return None
    keys = context.repository_def.get_job("new_calls").asset_layer.selected_asset_keys
    unwanted = {key for key in analysis_keys() if key.path[-1] not in dimensions}
    return sorted(set(keys) - unwanted)
