"""Gong fails, the database fails, the loader is killed: the tables end up the same."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dagster_project.local import postgres
from dlt_pipelines.errors import LoadFailedError
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.gong.simulator.faults import KINDS, Fault, Kind
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant
from dlt_pipelines.gong.source import load
from dlt_pipelines.report import LoadReport

Load = Callable[..., LoadReport]
Rows = Callable[..., list[dict[str, Any]]]

MOST_RUNS = 15
TABLES = {
    "calls": "select id, url, title, scheduled, started, duration, primary_user_id, is_private, parties, context, "
    "content, interaction, collaboration, content_hash from raw_gong.calls where not is_deleted order by id",
    "transcripts": "select call_id, started, transcript, content_hash from raw_gong.transcripts as t "
    "where exists (select from raw_gong.calls as c where c.id = t.call_id and not c.is_deleted) order by call_id",
    "users": "select id, email_address, title, content_hash from raw_gong.users "
    "where _dlt_valid_to is null order by id",
}


@pytest.fixture
def simulator(tenant: Tenant) -> Simulator:
    # small pages, so that five calls have a second and a third one
    return Simulator(tenant, page_size=2, hang_s=0.8, retry_after_s=0.05)


@pytest.fixture
def impatient(settings: GongSettings) -> GongSettings:
    return settings.model_copy(update={"timeout_s": 0.4})


def contents(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    return {name: rows(query) for name, query in TABLES.items()}


def load_until_quiet(load_gong: Load, simulator: Simulator, settings: GongSettings) -> None:
    """Run like a schedule does, until the faults are used up and a run has nothing to complain about."""
    for _ in range(MOST_RUNS):
        report = load_gong(settings=settings)
        if not report.is_partial and not report.problems and not any(fault.strikes for fault in simulator.faults):
            break
    # the rest of the strikes may never get a chance; a full load finds what was deleted meanwhile
    simulator.faults.clear()
    load_gong(settings=settings)
    report = load_gong(settings=settings, mode="full")
    assert not report.is_partial


def assert_same_tables(
    kinds: Sequence[Kind], load_gong: Load, rows: Rows, simulator: Simulator, settings: GongSettings
) -> None:
    simulator.faults.extend(Fault(kind, strikes=2, every=2) for kind in kinds)
    load_until_quiet(load_gong, simulator, settings)
    found = contents(rows)
    assert rows("select id from raw_gong.calls group by id having count(*) > 1") == []
    assert rows("select call_id from raw_gong.transcripts group by call_id having count(*) > 1") == []
    with psycopg.connect(settings_database(load_gong), autocommit=True) as connection:
        for table in ("calls", "transcripts", "users", "_owed", "_progress"):
            connection.execute(f"truncate raw_gong.{table}")
    load_gong(settings=settings, mode="full")
    assert found == contents(rows)
    assert len(found["calls"]) == len(found["transcripts"]) == 5


def settings_database(load_gong: Load) -> str:
    return load_gong.keywords["database_url"]


def test_all_faults_of_gong_together_change_nothing_in_the_end(
    load_gong: Load, rows: Rows, simulator: Simulator, impatient: GongSettings
) -> None:
    assert_same_tables(KINDS, load_gong, rows, simulator, impatient)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_of_gong_changes_nothing_in_the_end(
    load_gong: Load, rows: Rows, simulator: Simulator, impatient: GongSettings, kind: Kind
) -> None:
    assert_same_tables([kind], load_gong, rows, simulator, impatient)


@pytest.mark.slow
@pytest.mark.parametrize("kinds", list(itertools.combinations(KINDS, 2)), ids="+".join)
def test_two_faults_of_gong_change_nothing_in_the_end(
    load_gong: Load, rows: Rows, simulator: Simulator, impatient: GongSettings, kinds: tuple[Kind, Kind]
) -> None:
    assert_same_tables(kinds, load_gong, rows, simulator, impatient)


def spawn(database_url: str, url: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dlt_pipelines.gong", *arguments],
        env={
            **os.environ,
            "DATABASE_URL": database_url,
            "GONG_API_BASE_URL": url,
            "GONG_API_KEY": "key",
            "GONG_API_SECRET": "secret",
            "GONG_REQUESTS_PER_SECOND": "1000",
            "GONG_WINDOW_DAYS": "3",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def assert_loads(database_url: str, url: str) -> None:
    process = spawn(database_url, url)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors.decode()[-3000:]


def change_everything(tenant: Tenant, version: int) -> None:
    """New titles, new words and one new call: every load has something to write."""
    for call in tenant.calls:
        call["metaData"]["title"] = f"Version {version}"
    for transcript in tenant.transcripts.values():
        transcript["transcript"][0]["sentences"][0]["text"] = f"Version {version}."
    template = tenant.calls[0]
    call_id = f"66{version:017d}"
    started = datetime.now(UTC) - timedelta(days=1 + version % 9, minutes=version)
    tenant.calls.append(
        {**template, "metaData": {**template["metaData"], "id": call_id, "started": started.isoformat()}}
    )
    tenant.transcripts[call_id] = {"callId": call_id, "transcript": template_transcript(tenant)}


def template_transcript(tenant: Tenant) -> Any:
    return next(iter(tenant.transcripts.values()))["transcript"]


def kill_at_random(database_url: str, url: str, tenant: Tenant, *, kills: int, seed: int) -> int:
    """Start a load, kill it somewhere within the time that a whole one takes; returns how many were cut short."""
    chance = random.Random(seed)
    n_cut = 0
    began = time.monotonic()
    assert_loads(database_url, url)
    whole_s = time.monotonic() - began
    for version in range(kills):
        change_everything(tenant, version)
        process = spawn(database_url, url)
        try:
            process.communicate(timeout=chance.uniform(0.3, 1.05) * whole_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)
            n_cut += 1
    assert_loads(database_url, url)
    return n_cut


def assert_complete(rows: Rows, tenant: Tenant) -> None:
    wanted = sorted(call["metaData"]["id"] for call in tenant.calls)
    assert [row["id"] for row in rows("select id from raw_gong.calls order by id")] == wanted
    assert [row["id"] for row in rows("select call_id as id from raw_gong.transcripts order by 1")] == wanted
    assert len(rows("select title from raw_gong.calls group by title")) == 1
    assert rows("select count(*) as n from raw_gong.users where _dlt_valid_to is null") == [{"n": 2}]


def test_a_killed_load_loses_nothing_and_doubles_nothing(
    database_url: str, gong_url: str, tenant: Tenant, rows: Rows
) -> None:
    kill_at_random(database_url, gong_url, tenant, kills=2, seed=1)
    assert_complete(rows, tenant)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fifty_kills_lose_nothing_and_double_nothing(
    database_url: str, gong_url: str, tenant: Tenant, rows: Rows, record_property: Callable[[str, object], None]
) -> None:
    n_cut = kill_at_random(database_url, gong_url, tenant, kills=50, seed=7)
    assert n_cut >= 20
    assert_complete(rows, tenant)
    record_property("figure", f"50 kills of loads, {n_cut} in mid-load, 0 rows lost, 0 doubled")


def test_two_loads_at_once_take_turns(database_url: str, gong_url: str, tenant: Tenant, rows: Rows) -> None:
    loads = [spawn(database_url, gong_url) for _ in range(2)]
    errors = [process.communicate(timeout=180)[1].decode() for process in loads]
    assert [process.returncode for process in loads] == [0, 0], errors
    assert_complete_once(rows, tenant)


def assert_complete_once(rows: Rows, tenant: Tenant) -> None:
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": len(tenant.calls)}]
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": len(tenant.calls)}]
    assert rows("select count(*) as n from raw_gong.users") == [{"n": 2}]


def test_a_lost_database_connection_starts_the_load_over(
    database_url: str, settings: GongSettings, tenant: Tenant, rows: Rows, postgres_server: Any
) -> None:
    lines: list[str] = []
    has_cut = threading.Event()

    def cut_at_first_page(line: str) -> None:
        lines.append(line)
        if line.startswith("calls ") and not has_cut.is_set():
            has_cut.set()
            with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
                    [psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]],
                )

    report = load(database_url=database_url, settings=settings, on_progress=cut_at_first_page)
    assert has_cut.is_set()
    assert any("starts over" in line for line in lines)
    assert not report.is_partial
    assert_complete_once(rows, tenant)


def test_a_package_that_postgres_refuses_never_blocks_the_next_load(
    load_gong: Load, rows: Rows, tenant: Tenant, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table raw_gong.calls add constraint no_title check (title <> 'Call 3')")
    with pytest.raises(LoadFailedError, match=r"raw_gong\.calls.*no_title.*next run") as failure:
        load_gong()
    assert len(str(failure.value)) < 1000
    assert rows("select job from raw_gong._progress") == []
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table raw_gong.calls drop constraint no_title")
    assert load_gong().problems == ()
    assert_complete_once(rows, tenant)


def test_a_load_waits_for_the_one_before_it_and_says_so_when_it_waits_in_vain(
    database_url: str, settings: GongSettings
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(hashtext('raw_gong load'))")
        with pytest.raises(Exception, match="GONG_LOCK_WAIT_S"):
            load(database_url=database_url, settings=settings.model_copy(update={"lock_wait_s": 0.1}))


@pytest.mark.slow
def test_a_database_that_restarts_in_the_middle_of_a_load_loses_nothing(
    tmp_path: Path, settings: GongSettings, tenant: Tenant
) -> None:
    server = postgres.start(tmp_path)
    restarts = 0

    def restart_now_and_then(line: str) -> None:
        nonlocal restarts
        if restarts < 2 and line.startswith(("calls ", "writing ")):
            restarts += 1
            postgres.stop(tmp_path)
            postgres.start(tmp_path)

    try:
        url = postgres.ensure_database(server, "restarted")
        report = load(database_url=url, settings=settings, on_progress=restart_now_and_then)
        assert not report.is_partial
        with psycopg.connect(url) as connection:
            counts = connection.execute(
                "select (select count(*) from raw_gong.calls), (select count(*) from raw_gong.transcripts), "
                "(select count(*) from raw_gong.users)"
            ).fetchone()
    finally:
        postgres.stop(tmp_path)
    assert restarts == 2
    assert counts == (5, 5, 2)
