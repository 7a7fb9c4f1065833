import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from dagster_project.defs.ownership import DATA_TEAM, HOURLY
from dagster_project.defs.partitions import call_weeks, partition_weeks, window_of
from dagster_project.defs.resources import Warehouse
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.gong.source import load
from dlt_pipelines.report import LoadReport

logger = logging.getLogger(__name__)

GONG: dict[str, Any] = {
    "group_name": "ingest",
    "kinds": {"dlt", "postgres"},
    "owners": DATA_TEAM,
    "freshness_policy": HOURLY,
}


class LoadConfig(dg.Config):
    """What a run may ask for: some calls only."""

    call_ids: list[str] | None = None


def _load(
    warehouse: Warehouse,
    streams: Sequence[str],
    *,
    window: tuple[datetime, datetime] | None = None,
    call_ids: Sequence[str] | None = None,
) -> LoadReport:
    report = load(
        database_url=warehouse.database_url,
        settings=GongSettings(),
        streams=streams,
        window=window,
        call_ids=call_ids,
        on_progress=logger.info,
    )
    for problem in report.problems:
        logger.warning("%s", problem)
    return report


def _results(report: LoadReport) -> Iterator[dg.MaterializeResult]:
    for name, stream in report.streams.items():
        yield dg.MaterializeResult(
            asset_key=["gong", name],
            metadata={
                "rows_read": stream.rows_read,
                "rows_written": stream.rows_written,
                "requests": stream.requests,
                "problems": len([problem for problem in report.problems if problem.stream == name]),
            },
        )


@dg.multi_asset(specs=[dg.AssetSpec(["gong", "users"], description="One row per user and validity.", **GONG)])
def people(warehouse: Warehouse) -> Iterator[dg.MaterializeResult]:
    """Everybody in the Gong company, as a full snapshot with history."""
    yield from _results(_load(warehouse, ["users"]))


@dg.multi_asset(
    specs=[
        dg.AssetSpec(["gong", "calls"], description="One row per call.", **GONG),
        dg.AssetSpec(["gong", "transcripts"], description="One row per call with a transcript.", **GONG),
    ],
    partitions_def=call_weeks,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def conversations(
    context: dg.AssetExecutionContext, config: LoadConfig, warehouse: Warehouse
) -> Iterator[dg.MaterializeResult]:
    """The calls that started in the week, and what was said in them; or only the calls that events named."""
    streams = ["calls", "transcripts"]
    if config.call_ids:
        yield from _results(_load(warehouse, streams, call_ids=config.call_ids))
    else:
        yield from _results(_load(warehouse, streams, window=window_of(partition_weeks(context))))
