"""What Dagster knows of the run that carries a claim, and of runs whose process is gone."""

import json
import logging
import os
import re
from collections.abc import Sequence

import dagster as dg

from dagster_project.intake.queue import RunState

logger = logging.getLogger(__name__)

CLAIM_TAG = "call_coach/claim"
CAUSE_TAG = "call_coach/cause"
EVENTS_TAG = "call_coach/events"
GRPC_TAG = ".dagster/grpc_info"
# a hung run gives its place up; the longest honest one is a full week of a large company
MAX_RUNTIME_S = 4 * 3600
SHOWN_IDS = 20
DBT_ERRORS = "Errors parsed from dbt logs:"
STARTED_PROCESS = re.compile(r"\(pid: (\d+)\)")


def claim_tags(*, claim_id: str, cause: str, ids: Sequence[object]) -> dict[str, str]:
    """The tags that tell, in the UI, which events or requests caused a run."""
    shown = ", ".join(str(item) for item in ids[:SHOWN_IDS])
    more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
    return {
        CLAIM_TAG: claim_id,
        CAUSE_TAG: cause,
        EVENTS_TAG: shown + more,
        # the queue asks again by itself, with backoff
        "dagster/max_retries": "0",
        "dagster/max_runtime": str(MAX_RUNTIME_S),
    }


def run_of_claim(instance: dg.DagsterInstance, claim_id: str) -> RunState | None:
    """The newest run with this claim's tag."""
    runs = instance.get_runs(filters=dg.RunsFilter(tags={CLAIM_TAG: claim_id}), limit=1)
    if not runs:
        return None
    run = runs[0]
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return RunState(run.run_id, "succeeded")
    if run.is_finished:
        return RunState(run.run_id, "failed", failure_reason(instance, run))
    return RunState(run.run_id, "running")


def failure_reason(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The first failed step and its error, in one line."""
    failures = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1).records
    for record in failures:
        event = record.event_log_entry.dagster_event
        data = event.step_failure_data if event else None
        error = data.error.cause if data and data.error and data.error.cause else data.error if data else None
        text = error.message if error else "failed"
        # dbt's own words come after the command that was run
        text = text.split(DBT_ERRORS, 1)[-1]
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return f"{event.step_key if event else 'a step'}: {lines[0] if lines else 'failed'}"[:300]
    return "the run was canceled" if run.status == dg.DagsterRunStatus.CANCELED else "the run's process ended early"


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fail runs of this machine whose process is gone, so that they stop holding their pools; returns their ids.

    Dagster notices a dead worker while the server that started it lives. After a kill of both nobody else would.
    """
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    dead = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=unfinished)):
        process = _local_process(instance, run)
        if process is not None and not _is_alive(process):
            logger.warning("run %s is failed: its process %d is gone", run.run_id, process)
            instance.report_run_failed(run, f"Its process {process} is gone.")
            dead.append(run.run_id)
    return dead


def _local_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int | None:
    """The process id of a run that a server on this machine started; None where that cannot be told."""
    info = json.loads(run.tags.get(GRPC_TAG, "{}"))
    if info.get("host") != "localhost":
        return None
    events = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT, limit=50).records
    for record in events:
        found = STARTED_PROCESS.search(record.event_log_entry.message)
        if found:
            return int(found.group(1))
    return None


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
