"""Files between the API and the database: gone afterwards, also after kill -9."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dlt_pipelines.destination import scratch_folder

CHILD = """
import sys
from dlt_pipelines.destination import scratch_folder
with scratch_folder("killed") as folder:
    (folder / "calls.csv").write_text("said in confidence")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path))
    return tmp_path / "scratch"


def folders(scratch: Path) -> list[str]:
    return sorted(path.name.split("_")[0] for path in scratch.iterdir() if path.is_dir())


def test_a_scratch_folder_is_private_and_goes_with_its_work(scratch: Path) -> None:
    with scratch_folder("gong") as outer, scratch_folder("dlt") as inner:
        assert folders(scratch) == ["dlt", "gong"]
        assert outer.stat().st_mode & 0o077 == 0
        assert inner != outer
    assert folders(scratch) == []


def test_what_a_killed_load_left_is_removed_by_the_next_and_a_running_one_is_spared(scratch: Path) -> None:
    def start() -> tuple[subprocess.Popen[str], Path]:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "DLT_DATA_DIR": str(scratch.parent)},
        )
        assert child.stdout is not None
        return child, Path(child.stdout.readline().strip())

    killed, left_behind = start()
    running, in_use = start()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert left_behind.exists()
    with scratch_folder("next"):
        assert not left_behind.exists()
        assert in_use.exists()
    running.communicate("")
    assert folders(scratch) == []
