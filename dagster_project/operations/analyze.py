"""Score calls that somebody names, now: fetched if they are not here yet, cut, asked, and shown in the marts."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import psycopg

from dagster_project.analysis.batch_submission import SubmitReport, submit_weeks
from dagster_project.analysis.engine import score_weeks
from dagster_project.analysis.estimate import Estimate, estimate_weeks
from dagster_project.analysis.report import ScoreReport
from dagster_project.analysis.settings import AnalysisSettings
from dagster_project.analysis.store import build_chunks
from dagster_project.defs.analysis.specs import CALL_BRIEF
from dagster_project.operations.marts import build_marts
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.gong.source import load
from knowledge.rubrics import load_rubrics

logger = logging.getLogger(__name__)


class NoSuchCallError(LookupError):
    """Neither the warehouse nor Gong has the call."""


@dataclass(frozen=True)
class Selection:
    """Which calls of which weeks; without `call_ids` all of them."""

    weeks: tuple[date, ...]
    call_ids: tuple[str, ...] | None
    dimensions: tuple[str, ...]


def all_dimensions() -> tuple[str, ...]:
    """Every rubric's dimension, and the brief."""
    return (*(rubric.dimension for rubric in load_rubrics()), CALL_BRIEF)


def select_calls(
    database_url: str, call_ids: Sequence[str], *, dimensions: Sequence[str], on_progress: Callable[[str], None]
) -> Selection:
    """Find the calls' weeks; what is not here is asked of Gong. Raises NoSuchCallError."""
    weeks = _weeks_of(database_url, call_ids)
    missing = [call_id for call_id in call_ids if call_id not in weeks]
    if missing:
        load(database_url=database_url, settings=GongSettings(), call_ids=missing, on_progress=on_progress)
        weeks = _weeks_of(database_url, call_ids)
    missing = [call_id for call_id in call_ids if call_id not in weeks]
    if missing:
        raise NoSuchCallError(
            f"No call {', '.join(missing)} here or in Gong. It may be private, deleted or still being transcribed."
        )
    return Selection(weeks=tuple(sorted(set(weeks.values()))), call_ids=tuple(call_ids), dimensions=tuple(dimensions))


def _weeks_of(database_url: str, call_ids: Sequence[str]) -> dict[str, date]:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select to_regclass('raw_gong.calls')").fetchone()
        if not row or row[0] is None:
            return {}
        return dict(
            connection.execute(
                "select id, date_trunc('week', started at time zone 'utc')::date from raw_gong.calls "
                "where id = any(%s) and not coalesce(is_deleted, false)",
                [list(call_ids)],
            ).fetchall()
        )


def expected_cost(database_url: str, selection: Selection, *, is_forced: bool) -> Estimate:
    """What scoring the selection would ask and cost; cuts transcripts, which is free, and sends nothing."""
    build_chunks(database_url=database_url, weeks=selection.weeks, call_ids=selection.call_ids)
    return asyncio.run(
        estimate_weeks(
            database_url=database_url,
            settings=AnalysisSettings(),
            weeks=selection.weeks,
            dimensions=selection.dimensions,
            call_ids=selection.call_ids,
            force=is_forced,
        )
    )


def analyze(
    database_url: str, selection: Selection, *, is_forced: bool, on_progress: Callable[[str], None]
) -> ScoreReport:
    """Score the selection and build the marts when something changed."""
    build_chunks(database_url=database_url, weeks=selection.weeks, call_ids=selection.call_ids)
    report = asyncio.run(
        score_weeks(
            database_url=database_url,
            settings=AnalysisSettings(),
            weeks=selection.weeks,
            dimensions=selection.dimensions,
            call_ids=selection.call_ids,
            force=is_forced,
            on_progress=on_progress,
        )
    )
    if any(outcome.scored or outcome.failed or outcome.refused for outcome in report.dimensions.values()):
        on_progress("building the marts")
        build_marts(database_url)
    return report


def submit(
    database_url: str, selection: Selection, *, is_forced: bool, on_progress: Callable[[str], None]
) -> SubmitReport:
    """Hand the selection in as a batch at half the price; the sensor `claude_batches` collects it within a day."""
    build_chunks(database_url=database_url, weeks=selection.weeks, call_ids=selection.call_ids)
    return asyncio.run(
        submit_weeks(
            database_url=database_url,
            settings=AnalysisSettings(),
            weeks=selection.weeks,
            dimensions=selection.dimensions,
            call_ids=selection.call_ids,
            force=is_forced,
            on_progress=on_progress,
        )
    )
