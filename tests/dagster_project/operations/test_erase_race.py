"""An erasure that races a load of the same call: the call is gone afterwards, also when Gong is asked again."""

import random
import threading
import time
from datetime import date

import psycopg
import pytest

from dagster_project.operations.erase import erase, erase_again
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.gong.simulator.company import build_company
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant
from dlt_pipelines.gong.source import load

STREAMS = ["users", "calls", "transcripts"]


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    company = build_company(until=date(2026, 11, 19), seed=7)
    calls = list(company.calls)[-12:]
    ids = [call["metaData"]["id"] for call in calls]
    return Tenant(
        users=list(company.users),
        calls=calls,
        transcripts={call_id: company.transcripts[call_id] for call_id in ids if call_id in company.transcripts},
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_call_erased_while_it_is_loaded_stays_away(tenant: Tenant, database_url: str, seed: int) -> None:
    rng = random.Random(seed)
    victim = rng.choice([call["metaData"]["id"] for call in tenant.calls])
    with Simulator(tenant).serve(port=0) as url:
        settings = GongSettings(
            api_base_url=url, api_key="k", api_secret="s", requests_per_second=100, history_days=4000
        )  # type: ignore[arg-type]

        def read() -> None:
            load(database_url=database_url, settings=settings, streams=STREAMS, on_progress=lambda _: None)

        loading = threading.Thread(target=read)
        loading.start()
        time.sleep(rng.uniform(0, 3))
        erase(database_url=database_url, kind="call", subject_id=victim, erased_by="test", is_unknown_allowed=True)
        loading.join()
        erase_again(database_url=database_url)
        read()
        load(database_url=database_url, settings=settings, streams=STREAMS, mode="full", on_progress=lambda _: None)
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "select format('%I.%I', table_schema, table_name) from information_schema.tables "
            "where table_schema not in ('pg_catalog', 'information_schema') and table_type = 'BASE TABLE'"
        ).fetchall()
        held = [
            table
            for (table,) in tables
            if connection.execute(
                f"select 1 from {table} as held where held::text like %s limit 1".encode(), [f"%{victim}%"]
            ).fetchone()
        ]
        loaded = connection.execute("select count(*) from raw_gong.calls").fetchone()
    assert held == []
    assert loaded == (len(tenant.calls) - 1,)
