import hashlib
import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest

from dagster_project.defs.resources import Warehouse
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant


def call(call_id: str) -> dict[str, object]:
    started = datetime.now(UTC) - timedelta(hours=3)
    meta = {"id": call_id, "started": started.isoformat(), "duration": 1800, "title": "Demo", "primaryUserId": "1"}
    return {"metaData": meta, "parties": []}


def run(repository: dg.RepositoryDefinition, database_url: str) -> dg.ExecuteInProcessResult:
    return repository.get_job("reconcile").execute_in_process(
        instance=dg.DagsterInstance.ephemeral(), resources={"warehouse": Warehouse(database_url=database_url)}
    )


def test_the_poll_asks_gong_and_takes_up_what_no_webhook_announced(
    repository: dg.RepositoryDefinition, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = Simulator(Tenant(calls=[call("9001"), call("9002")]))
    with simulator.serve() as url, psycopg.connect(database_url, autocommit=True) as connection:
        for name, value in (("BASE_URL", url), ("KEY", "k"), ("SECRET", "s")):
            monkeypatch.setenv(f"GONG_API_{name}", value)
        assert run(repository, database_url).success
        assert simulator.log == []

        body = json.dumps({"callData": {"metaData": {"id": "9001"}}}).encode()
        connection.execute(
            "insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256, received_at) "
            "values ('gong', 'k', 'hmac', %s, %s, now() - interval '1 day')",
            (body, hashlib.sha256(body).hexdigest()),
        )
        assert run(repository, database_url).success
        polled = "select call_id, status, body from ops.webhook_inbox where endpoint = 'poll'"
        assert connection.execute(polled).fetchall() == []

        # the webhook had its ten minutes
        connection.execute("update raw_gong.calls set loaded_at = now() - interval '11 minutes'")
        for _ in range(2):
            assert run(repository, database_url).success
        ((_, status, found),) = connection.execute(polled).fetchall()
        assert status == "received"
        assert json.loads(found)["callData"]["metaData"]["id"] == "9002"
