"""`python -m dlt_pipelines.gong`: what it prints and what its exit code says."""

from collections.abc import Callable
from typing import Any

import pytest

from dlt_pipelines.gong.__main__ import main
from dlt_pipelines.gong.simulator.faults import Fault
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant

Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, database_url: str, gong_url: str) -> pytest.MonkeyPatch:
    for name, value in {
        "DATABASE_URL": database_url,
        "GONG_API_BASE_URL": gong_url,
        "GONG_API_KEY": "key",
        "GONG_API_SECRET": "hunter2",
        "GONG_REQUESTS_PER_SECOND": "1000",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_load_ends_with_its_counts_and_zero(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rows: Rows
) -> None:
    assert main(["--streams", "calls", "transcripts"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[:5] for line in out] == [
        ["calls", "5", "read", "5", "written"],
        ["transcripts", "5", "read", "5", "written"],
    ]
    assert rows("select count(*) as n from raw_gong.calls") == [{"n": 5}]


def test_one_call_can_be_asked_for(environment: pytest.MonkeyPatch, rows: Rows, tenant: Tenant) -> None:
    wanted = tenant.calls[1]["metaData"]["id"]
    assert main(["--call", wanted]) == 0
    assert rows("select id from raw_gong.calls") == [{"id": wanted}]


def test_a_load_that_the_quota_ended_says_partial(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], simulator: Simulator
) -> None:
    simulator.faults.append(Fault("429-for-hours", strikes=1, every=2))
    assert main([]) == 3
    assert "Partial" in capsys.readouterr().out


def test_a_refused_key_is_a_failure_without_a_traceback_and_without_the_secret(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], simulator: Simulator
) -> None:
    simulator.api_key = "another"
    assert main([]) == 1
    shown = capsys.readouterr()
    assert "GONG_API_KEY" in shown.err
    assert "Traceback" not in shown.err
    assert "hunter2" not in shown.err + shown.out


@pytest.mark.parametrize(
    ("variables", "arguments", "text"),
    [
        ({"DATABASE_URL": ""}, [], "DATABASE_URL"),
        ({"GONG_API_BASE_URL": "gong"}, [], "GONG_API_BASE_URL"),
        ({"GONG_LOOK_BACK_DAYS": "many"}, [], "GONG_LOOK_BACK_DAYS"),
        ({}, ["--mode", "backfill"], "window"),
        ({}, ["--to", "2026-01-01"], "--from"),
        ({}, ["--from", "2026-01-02", "--to", "2026-01-01"], "before it starts"),
    ],
)
def test_wrong_settings_are_told_apart_from_failures(
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    arguments: list[str],
    text: str,
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    assert main(arguments) == 2
    assert text in capsys.readouterr().err
