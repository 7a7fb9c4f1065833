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
from dlt_pipelines.hubspot.settings import HubSpotSettings
from dlt_pipelines.hubspot.source import load as load_hubspot
from dlt_pipelines.report import LoadReport

logger = logging.getLogger(__name__)

# a run that stopped early, for instance at the day's quota, says so under this name; the next run resumes
IS_PARTIAL = "is_partial"

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
    return load(
        database_url=warehouse.database_url,
        settings=GongSettings(),
        streams=streams,
        window=window,
        call_ids=call_ids,
        on_progress=logger.info,
    )


def _results(report: LoadReport, source: str = "gong") -> Iterator[dg.MaterializeResult]:
    for name, stream in report.streams.items():
        yield dg.MaterializeResult(
            asset_key=[source, name],
            metadata={
                "rows_read": stream.rows_read,
                "rows_written": stream.rows_written,
                "requests": stream.requests,
                "problems": len([problem for problem in report.problems if problem.stream == name]),
                IS_PARTIAL: report.is_partial,
            },
        )


COMPANY = {
    "users": "One row per user and validity.",
    "workspaces": "One row per workspace.",
    "trackers": "One row per keyword tracker.",
    "scorecards": "One row per scorecard, its questions as JSON.",
    "answered_scorecards": "One row per scorecard that a person filled in, to hold the machine's scores against.",
    "interaction_stats": "One row per user and day, as Gong measured it.",
    "library_folders": "One row per library folder, its calls as JSON.",
}


@dg.multi_asset(specs=[dg.AssetSpec(["gong", name], description=grain, **GONG) for name, grain in COMPANY.items()])
def company(warehouse: Warehouse) -> Iterator[dg.MaterializeResult]:
    """Everything of the Gong company that belongs to no single week."""
    yield from _results(_load(warehouse, list(COMPANY)))


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            ["hubspot", name],
            description=f"One row per HubSpot {grain}.",
            # contacts are matched with the people on calls
            deps=[dg.AssetKey(["gong", "calls"])],
            **GONG,
        )
        for name, grain in {"deals": "deal", "companies": "company", "contacts": "contact"}.items()
    ]
)
def crm(warehouse: Warehouse) -> Iterator[dg.MaterializeResult]:
    """HubSpot's objects and the calls they belong to; nothing without HUBSPOT_ACCESS_TOKEN."""
    settings = HubSpotSettings()
    if not settings.access_token.get_secret_value():
        logger.debug("HUBSPOT_ACCESS_TOKEN is not set: deals come from the calls' own context only")
        for name in ("deals", "companies", "contacts"):
            yield dg.MaterializeResult(asset_key=["hubspot", name], metadata={"rows_written": 0, "connected": False})
        return
    report = load_hubspot(database_url=warehouse.database_url, settings=settings, on_progress=logger.info)
    yield from _results(report, "hubspot")


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
