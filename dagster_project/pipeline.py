"""Run the whole asset graph once, in this process, over a range of weeks."""

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_project.definitions import defs
from dagster_project.defs.ingest.assets import IS_PARTIAL
from dagster_project.settings import Settings

logger = logging.getLogger(__name__)

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

INSTANCE_CONFIG = """\
telemetry:
  enabled: false
nux:
  enabled: false
storage:
  postgres:
    postgres_url:
      env: DAGSTER_PG_URL
python_logs:
  managed_python_loggers: [dagster_project, dlt_pipelines, knowledge]
  python_log_level: {log_level}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
concurrency:
  pools:
    default_limit: 1
    granularity: run
run_monitoring:
  enabled: true
  # a run of everything notes 300 plans before it starts: seconds, and minutes on a crowded machine
  start_timeout_seconds: 600
run_retries:
  enabled: true
  max_retries: 1
"""


@dataclass(frozen=True)
class PipelineRun:
    """How a run of the job ended. `failures` has one line for every step that failed.

    A partial run did what it could, for instance until the day's quota of Gong requests was gone; the next resumes.
    """

    run_id: str
    succeeded: bool
    is_partial: bool
    seconds: float
    failures: tuple[str, ...]


def prepare_instance(home: Path) -> None:
    """Write Dagster's instance file; its storage is the warehouse's own Postgres, in schema `dagster`."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text(INSTANCE_CONFIG.format(log_level=Settings().log_level))


def run_pipeline(*, weeks: Sequence[date], run_config: dict[str, Any] | None = None, log: Path) -> PipelineRun:
    """Execute job `pipeline` for `weeks` (Mondays, oldest first, without gaps); what tools print goes to `log`."""
    started = time.monotonic()
    job = defs().resolve_job_def("pipeline")
    tags = {RANGE_START: weeks[0].isoformat(), RANGE_END: weeks[-1].isoformat()}
    config = {**(run_config or {}), "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a") as output,
        contextlib.redirect_stdout(output),
        dg.DagsterInstance.get() as instance,
    ):
        result = job.execute_in_process(instance=instance, tags=tags, run_config=config, raise_on_error=False)
    return PipelineRun(
        run_id=result.run_id,
        succeeded=result.success,
        is_partial=any(_is_partial(event) for event in result.all_events),
        seconds=time.monotonic() - started,
        failures=tuple(_failure(event) for event in result.all_events if event.is_step_failure),
    )


def _is_partial(event: dg.DagsterEvent) -> bool:
    if not event.is_step_materialization:
        return False
    value = event.step_materialization_data.materialization.metadata.get(IS_PARTIAL)
    return value is not None and bool(value.value)


def _failure(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    error = data.error.cause if data.error and data.error.cause else data.error
    return f"{event.step_key}: {error.message.strip() if error else 'failed without an error'}"
