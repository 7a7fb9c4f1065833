"""The demo's first and second run against their limits: wall time, and peak memory of every process together.

Run with `uv run python tests/benchmarks/demo.py`; `--data DIR` measures a folder instead of the seeded company.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_EVERY_S = 0.25
LIMITS = {"first run": (120.0, 2.5), "second run": (40.0, 2.5)}


@dataclass(frozen=True)
class Measurement:
    seconds: float
    peak_gb: float


def memory_gb(root: psutil.Process, home: Path) -> float:
    """Proportional memory where the system tells it, so that pages shared by Postgres's processes count once."""
    total = 0
    # the embedded Postgres detaches itself, so it is found by the folder it serves
    servers = [
        process for process in psutil.process_iter(["cmdline"]) if str(home) in " ".join(process.info["cmdline"] or [])
    ]
    processes = {process.pid: process for server in [root, *servers] for process in [server, *children(server)]}
    for process in processes.values():
        try:
            memory = process.memory_full_info()
        except psutil.Error:
            continue
        total += getattr(memory, "pss", memory.rss)
    return total / 1e9


def children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def measure(command: list[str], home: Path) -> Measurement:
    started = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, "CALL_COACH_HOME": str(home)})
    root, peak, done = psutil.Process(process.pid), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(SAMPLE_EVERY_S):
            try:
                peak = max(peak, memory_gb(root, home))
            except psutil.Error:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    if code != 0:
        sys.exit(f"{' '.join(command)} ended with exit code {code}")
    return Measurement(seconds=time.monotonic() - started, peak_gb=peak)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path)
    data = arguments.parse_args().data
    command = [str(Path(sys.executable).with_name("call-coach")), "demo", *(["--data", str(data)] if data else [])]
    home = Path(tempfile.mkdtemp(prefix="call_coach_benchmark_"))
    try:
        measured = {name: measure(command, home) for name in LIMITS}
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print("\n| run | seconds | limit | peak memory, GB | limit |\n|---|---|---|---|---|")
    for name, result in measured.items():
        seconds, gigabytes = LIMITS[name]
        print(f"| {name} | {result.seconds:.1f} | {seconds:.0f} | {result.peak_gb:.2f} | {gigabytes} |")
    kept = all(
        result.seconds <= LIMITS[name][0] and result.peak_gb <= LIMITS[name][1] for name, result in measured.items()
    )
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
