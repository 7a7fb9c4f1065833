import asyncio
import logging
from collections.abc import Iterator
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING

import dagster as dg

from dagster_project.analysis.engine import score_weeks
from dagster_project.analysis.report import DimensionReport
from dagster_project.analysis.settings import AnalysisSettings
from dagster_project.analysis.store import build_chunks
from dagster_project.defs.analysis.specs import TRANSCRIPT_CHUNKS, dimension_specs
from dagster_project.defs.ingest.assets import IS_PARTIAL
from dagster_project.defs.ownership import DATA_TEAM, HOURLY
from dagster_project.defs.partitions import call_weeks, partition_weeks
from dagster_project.defs.resources import Warehouse

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

logger = logging.getLogger(__name__)


class ChunkConfig(dg.Config):
    """What a run may ask for: some calls only."""

    call_ids: list[str] | None = None


class ScoringConfig(dg.Config):
    """What a run may ask for: some calls only, or every answer anew."""

    call_ids: list[str] | None = None
    force: bool = False


@dg.asset(
    key=TRANSCRIPT_CHUNKS,
    deps=[dg.AssetKey(["gong", "transcripts"]), dg.AssetKey(["gong", "users"])],
    partitions_def=call_weeks,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="analysis",
    kinds={"postgres"},
    owners=DATA_TEAM,
    freshness_policy=HOURLY,
)
def transcript_chunks(
    context: dg.AssetExecutionContext, config: ChunkConfig, warehouse: Warehouse
) -> dg.MaterializeResult:
    """One row per call and chunk: the redacted transcript as Claude is sent it."""
    report = build_chunks(database_url=warehouse.database_url, weeks=partition_weeks(context), call_ids=config.call_ids)
    for message in report.messages:
        logger.warning("%s", message)
    return dg.MaterializeResult(metadata=_metadata(report))


@dg.multi_asset(
    specs=dimension_specs(),
    partitions_def=call_weeks,
    backfill_policy=dg.BackfillPolicy.single_run(),
    can_subset=True,
    pool="claude",
)
def dimension_scores(
    context: dg.AssetExecutionContext, config: ScoringConfig, warehouse: Warehouse
) -> Iterator[dg.MaterializeResult]:
    """Claude's verdicts on the week's calls, all dimensions in one process so that requests share a cached prefix."""
    dimensions = sorted(key.path[-1] for key in context.selected_asset_keys)
    report = asyncio.run(
        score_weeks(
            database_url=warehouse.database_url,
            settings=AnalysisSettings(),
            weeks=partition_weeks(context),
            dimensions=dimensions,
            call_ids=config.call_ids,
            force=config.force,
            run_id=context.run_id,
            on_progress=logger.info,
        )
    )
    for message in report.messages:
        logger.warning("%s", message)
    for dimension, outcome in report.dimensions.items():
        yield dg.MaterializeResult(
            asset_key=["analysis", dimension],
            metadata={
                **_metadata(outcome),
                **hit_rates(outcome),
                # what failed is asked again by the next run
                IS_PARTIAL: report.stop_kind is not None or not report.is_complete,
            },
        )


def hit_rates(outcome: DimensionReport) -> dict[str, float]:
    """Shares that say more than their counts: of the prompt read from Claude's cache, of answers that were there."""
    prompt = outcome.input_tokens + outcome.cache_read_tokens + outcome.cache_write_tokens
    asked = outcome.requests + outcome.cache_hits
    return {
        **({"prompt_cache_hit_rate": round(outcome.cache_read_tokens / prompt, 3)} if prompt else {}),
        **({"result_cache_hit_rate": round(outcome.cache_hits / asked, 3)} if asked else {}),
    }


def _metadata(report: "DataclassInstance") -> dict[str, int | float]:
    """The numbers of a report, as the UI can plot them over partitions."""
    return {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in asdict(report).items()
        if isinstance(value, int | float | Decimal)
    }
