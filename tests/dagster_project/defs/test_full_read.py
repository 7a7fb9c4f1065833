from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest

from dagster_project.defs.resources import Warehouse
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant


def call(number: int) -> dict[str, object]:
    started = datetime.now(UTC) - timedelta(days=60 + number)
    meta = {"id": f"90{number}", "started": started.isoformat(), "duration": 1800, "title": "Demo"}
    return {"metaData": {**meta, "primaryUserId": "1"}, "parties": []}


def test_a_call_that_gong_deleted_long_ago_is_marked_and_its_scores_go(
    repository: dg.RepositoryDefinition, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = Tenant(calls=[call(number) for number in range(5)])

    def read_all() -> dict[str, object]:
        done = repository.get_job("full_read").execute_in_process(
            instance=dg.DagsterInstance.ephemeral(), resources={"warehouse": Warehouse(database_url=database_url)}
        )
        assert done.success
        (output,) = [event for event in done.all_events if event.is_successful_output]
        return {name: value.value for name, value in output.step_output_data.metadata.items()}

    with Simulator(tenant).serve() as url, psycopg.connect(database_url, autocommit=True) as connection:
        for name, value in (("BASE_URL", url), ("KEY", "k"), ("SECRET", "s")):
            monkeypatch.setenv(f"GONG_API_{name}", value)
        assert read_all()["deleted_calls"] == 0
        connection.execute(
            "insert into analysis.transcript_chunks (call_id, chunk_index, n_chunks, first_turn_id, last_turn_id, "
            "transcript_hash, redactor_version, text, estimated_tokens, rep_id, week_start) "
            "select id, 0, 1, 1, 1, md5(id), '1', '-', 1, '1', date_trunc('week', started)::date from raw_gong.calls"
        )
        connection.execute(
            "insert into analysis.call_results (call_id, rep_id, dimension, week_start, rubric_version, status) "
            "select call_id, rep_id, 'discovery', week_start, 'v1', 'scored' from analysis.transcript_chunks"
        )
        gone = tenant.calls.pop(2)["metaData"]["id"]
        assert read_all()["deleted_calls"] == 1
        deleted = connection.execute("select id from raw_gong.calls where is_deleted").fetchall()
        assert deleted == [(gone,)]
        for table in ("transcript_chunks", "call_results"):
            left = connection.execute(f"select call_id from analysis.{table} order by 1").fetchall()
            assert left == [("900",), ("901",), ("903",), ("904",)]
        assert read_all() == {"requests": 1, "deleted_calls": 0, "is_partial": False}
