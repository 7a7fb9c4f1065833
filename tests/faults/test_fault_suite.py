"""The fault suite in small: the same driver and checker that `run.py` uses for the long one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_suite_holds_in_small(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, FAULTS / "run.py", "--folder", tmp_path, "--calls", "8"),
            *("kills=6", "rivals=1", "postgres=1", "storms=1", "erasures=1", "receiver=5"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def history(*events: dict[str, object]) -> list[str]:
    marts = {"fct_calls": {"rows": 8, "digest": "a"}}
    ledger = {"attempts": 40, "answered": 40, "paid_twice": 0, "open": 0, "states": {"scored": 40}}
    common = {
        "marts": marts,
        "ledger": ledger,
        "left": {"locks": 0, "temporary_folders": 0},
        "seconds": 1,
        "served": 40,
    }
    lines = [{"scenario": "stage", "event": "started"}, {"scenario": "baseline", "event": "observed", **common}]
    return [json.dumps(line) for line in [*lines, *({**common, **event} for event in events)]]


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"code": 1}, False),
        ({"marts": {"fct_calls": {"rows": 7, "digest": "b"}}}, False),
        ({"marts": {}}, False),
        ({"left": {"locks": 1, "temporary_folders": 0}}, False),
        ({"ledger": {"attempts": 41, "answered": 41, "paid_twice": 1, "open": 0, "states": {}}}, False),
    ],
)
def test_the_checker_sees_what_went_wrong_after_a_kill(tmp_path: Path, change: dict[str, object], holds: bool) -> None:
    file = tmp_path / "history.jsonl"
    killed = {"scenario": "pipeline kills", "event": "killed", "victim": "group", "after_s": 1}
    seen = {"scenario": "pipeline kills", "event": "observed", "code": 0, **change}
    file.write_text("\n".join(history(killed, seen)))
    checked = subprocess.run([sys.executable, FAULTS / "check.py", file], capture_output=True, text=True, check=False)
    assert (checked.returncode == 0) is holds, checked.stdout + checked.stderr
    assert "1 kills" in checked.stdout


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"said": []}, False),
        ({"most_in_a_second": 4}, False),
        ({"served": 10}, False),
        ({"struck": {}}, False),
        ({"codes": [70, 0]}, False),
    ],
)
def test_the_checker_holds_a_storm_at_gong_to_its_quota_and_to_saying_so(
    tmp_path: Path, change: dict[str, object], holds: bool
) -> None:
    file = tmp_path / "history.jsonl"
    storm = {"scenario": "Gong storms", "event": "observed", "kind": "500", "codes": [3, 0], "code": 0}
    seen = {"said": ["partial"], "counted": 9, "served": 9, "most_in_a_second": 3, "struck": {"500": 2}}
    file.write_text("\n".join(history({**storm, **seen, **change})))
    checked = subprocess.run([sys.executable, FAULTS / "check.py", file], capture_output=True, text=True, check=False)
    assert (checked.returncode == 0) is holds, checked.stdout + checked.stderr


def test_every_promised_fault_is_shown_by_something_that_exists() -> None:
    sys.path.insert(0, str(FAULTS))
    try:
        from rows import ROWS
    finally:
        sys.path.remove(str(FAULTS))
    judged = (FAULTS / "check.py").read_text()
    assert [row.number for row in ROWS] == list(range(1, 36))
    for row in ROWS:
        assert row.scenarios or row.tests, row
        assert [name for name in row.scenarios if f'"{name}": _' not in judged] == []
        for test in row.tests:
            file, _, name = test.partition("::")
            assert f"def {name}" in (FAULTS.parent / file).read_text(), test


def test_a_history_without_an_undisturbed_run_proves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(json.dumps({"scenario": "stage", "event": "started"}))
    checked = subprocess.run([sys.executable, FAULTS / "check.py", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 1
