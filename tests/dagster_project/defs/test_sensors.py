import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from dagster_project.defs.partitions import week_of
from dagster_project.defs.resources import Warehouse
from dagster_project.intake.runs import CAUSE_TAG, CLAIM_TAG, EVENTS_TAG, GRPC_TAG, fail_dead_runs

LAST_WEEK = week_of(datetime.now(UTC) - timedelta(weeks=1))


def tick(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, database_url: str, name: str = "webhook_inbox"
) -> list[dg.RunRequest]:
    context = dg.build_sensor_context(
        instance=instance,
        repository_def=repository,
        resources={"warehouse": Warehouse(database_url=database_url)},
    )
    return list(repository.get_sensor_def(name).evaluate_tick(context).run_requests or [])


def deliver(database_url: str, call_id: str) -> None:
    meta = {"id": call_id, "started": f"{LAST_WEEK}T10:00:00Z"}
    body = json.dumps({"callData": {"metaData": meta}}).encode()
    digest = hashlib.sha256(body).hexdigest()
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256) "
            "values ('gong', %s, 'hmac', %s, %s)",
            (digest, body, digest),
        )


def statuses(database_url: str) -> list[Any]:
    with psycopg.connect(database_url) as connection:
        return connection.execute("select status, reason, run_id from ops.webhook_inbox order by inbox_id").fetchall()


def start(repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.DagsterRun:
    """What the daemon makes of a run request, up to the point where the run's process takes over."""
    return instance.create_run_for_job(
        repository.get_job("new_calls"),
        status=dg.DagsterRunStatus.STARTED,
        tags={**request.tags, "dagster/partition": request.partition_key or ""},
        run_config=dict(request.run_config),
    )


def test_new_events_become_one_run_that_names_its_calls_and_events(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, database_url: str
) -> None:
    deliver(database_url, "1")
    deliver(database_url, "2")
    (request,) = tick(repository, instance, database_url)
    assert request.partition_key == LAST_WEEK.isoformat()
    assert request.tags[CAUSE_TAG] == "webhook"
    assert request.tags[EVENTS_TAG] == "1, 2"
    assert request.run_key == request.tags[CLAIM_TAG]
    for op in ("conversations", "analysis__transcript_chunks", "dimension_scores"):
        assert request.run_config["ops"][op]["config"]["call_ids"] == ["1", "2"]
    assert dg.validate_run_config(repository.get_job("new_calls"), dict(request.run_config))
    assert tick(repository, instance, database_url) == []


def test_a_failed_run_puts_its_reason_beside_the_event(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, database_url: str
) -> None:
    deliver(database_url, "1")
    (request,) = tick(repository, instance, database_url)
    run = start(repository, instance, request)
    assert tick(repository, instance, database_url) == []
    assert statuses(database_url) == [("processing", None, None)]
    instance.report_run_failed(run)
    tick(repository, instance, database_url)
    assert statuses(database_url) == [("failed", "the run's process ended early", run.run_id)]


def test_a_run_that_succeeded_before_gong_had_the_call_is_asked_again_later(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, database_url: str
) -> None:
    deliver(database_url, "1")
    (request,) = tick(repository, instance, database_url)
    run = start(repository, instance, request)
    instance.handle_new_event(
        dg.EventLogEntry(
            error_info=None,
            user_message="",
            level="debug",
            run_id=run.run_id,
            timestamp=datetime.now(UTC).timestamp(),
            dagster_event=dg.DagsterEvent("PIPELINE_SUCCESS", "new_calls"),
        )
    )
    tick(repository, instance, database_url)
    assert statuses(database_url) == [("received", "Gong does not show the call yet", run.run_id)]


def test_a_run_whose_process_was_killed_is_failed_and_its_event_asked_again(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, database_url: str
) -> None:
    deliver(database_url, "1")
    (request,) = tick(repository, instance, database_url)
    run = start(repository, instance, request)
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    instance.add_run_tags(run.run_id, {GRPC_TAG: json.dumps({"host": "localhost", "port": 1})})
    instance.report_engine_event(f"Started process for run (pid: {killed.pid}).", run)
    tick(repository, instance, database_url)
    assert statuses(database_url) == [("processing", None, None)]
    killed.kill()
    killed.wait()
    tick(repository, instance, database_url)
    found = instance.get_run_by_id(run.run_id)
    assert found
    assert found.status == dg.DagsterRunStatus.FAILURE
    assert [row[0] for row in statuses(database_url)] == ["failed"]


def test_runs_that_this_machine_did_not_start_are_not_judged(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance
) -> None:
    job = repository.get_job("new_calls")
    elsewhere = instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={GRPC_TAG: json.dumps({"host": "worker-7", "port": 1})}
    )
    instance.report_engine_event("Started process for run (pid: 999999).", elsewhere)
    alive = instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={GRPC_TAG: json.dumps({"host": "localhost", "port": 1})}
    )
    instance.report_engine_event(f"Started process for run (pid: {os.getpid()}).", alive)
    assert fail_dead_runs(instance) == []


def test_a_request_selects_the_dimensions_it_asked_for(
    repository: dg.RepositoryDefinition, instance: dg.DagsterInstance, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into ops.analysis_requests (week_start, dimensions, is_forced, requested_by, requested_via) "
            "values (%s, '{discovery}', true, 'manager-1', 'cli')",
            (LAST_WEEK,),
        )
    (request,) = tick(repository, instance, database_url, "analysis_requests")
    assert request.asset_selection
    analysed = {key.path[-1] for key in request.asset_selection if key.path[0] == "analysis"}
    assert analysed == {"transcript_chunks", "discovery"}
    assert any(key.path[0] == "marts" for key in request.asset_selection)
    assert request.run_config == {"ops": {"dimension_scores": {"config": {"force": True}}}}
    assert request.tags[CAUSE_TAG] == "request"


def test_a_failed_run_is_announced_once_and_in_the_tools_own_words(
    repository: dg.RepositoryDefinition,
    instance: dg.DagsterInstance,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CALL_COACH_HOME", str(tmp_path))
    for name in ("SMTP_URL", "SLACK_WEBHOOK_URL"):
        monkeypatch.setenv(name, "")
    tick(repository, instance, database_url, "alerts")
    assert not (tmp_path / "alerts").exists()
    run = instance.create_run_for_job(repository.get_job("reconcile"), status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(run)
    for _ in range(2):
        tick(repository, instance, database_url, "alerts")
    (message,) = (tmp_path / "alerts").iterdir()
    assert f"Run {run.run_id}: the run's process ended early" in message.read_text()
