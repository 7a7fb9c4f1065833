"""What loading Gong costs: the loader against a plain psycopg COPY of the same bytes, in the same run.

    uv run python tests/benchmarks/gong_load.py                     # 5,000 calls, 2,000,000 sentences
    uv run python tests/benchmarks/gong_load.py --calls 100000 --sentences 20 --only-loader    # memory and requests

Both fetch the same pages from the same simulator (a process of its own) and put the same JSON into Postgres; the plain
one does nothing else: no hashes, no merge, no history, no progress. Prints CPU seconds, wall seconds and peak memory
of both, the ratio, and a second load with nothing new. Exits with 1 when a limit is broken.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg

from dagster_project.local import postgres
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant
from dlt_pipelines.gong.tables import CONTENT_SELECTOR

MOST_CPU_RATIO = 4.0
MOST_PEAK_MB = 300
SENTENCE = "well the rollout needs a second owner because nobody here can restart a failed flow on a Sunday"
HOURS = 24 * 80


@dataclass(frozen=True)
class Cost:
    """What a process used."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    output: str


def build_tenant(n_calls: int, n_sentences: int) -> Tenant:
    """Calls over the last 80 days. Transcripts share their sentences in memory, every one is sent in full."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    bodies = [_transcript(n_sentences, shift) for shift in range(20)]
    calls: list[dict[str, Any]] = []
    transcripts: dict[str, dict[str, Any]] = {}
    for number in range(n_calls):
        call_id = f"77{number:017d}"
        started = (now - timedelta(hours=HOURS * (n_calls - number) / n_calls)).isoformat()
        calls.append(
            {
                "metaData": {
                    "id": call_id,
                    "url": f"https://app.gong.io/call?id={call_id}",
                    "title": f"Call {number}",
                    "scheduled": started,
                    "started": started,
                    "duration": 1800,
                    "primaryUserId": "5500000000000000001",
                    "direction": "Conference",
                    "scope": "External",
                    "isPrivate": False,
                },
                "context": [],
                "parties": [{"id": f"99{n}", "speakerId": f"88{n}", "affiliation": "Internal"} for n in range(4)],
                "content": {"trackers": [{"id": str(n), "name": "Pricing", "count": n} for n in range(10)]},
                "interaction": {"speakers": [{"id": f"99{n}", "talkTime": 75.98} for n in range(4)]},
                "collaboration": {},
            }
        )
        transcripts[call_id] = {"callId": call_id, "transcript": bodies[number % len(bodies)]}
    return Tenant(users=[{"id": "5500000000000000001", "active": True}], calls=calls, transcripts=transcripts)


def _transcript(n_sentences: int, shift: int) -> list[dict[str, Any]]:
    per_monologue = 8
    return [
        {
            "speakerId": f"88{at % 4}",
            "topic": None,
            "sentences": [
                {
                    "start": 4000 * (at + n),
                    "end": 4000 * (at + n) + 3500,
                    "text": f"{SENTENCE[5 * ((at + n + shift) % 7) :].capitalize()}.",
                }
                for n in range(min(per_monologue, n_sentences - at))
            ],
        }
        for at in range(0, n_sentences, per_monologue)
    ]


def serve(n_calls: int, n_sentences: int) -> None:
    with Simulator(build_tenant(n_calls, n_sentences)).serve() as url:
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


def plain_copy(database_url: str, url: str) -> None:
    """Fetch, parse, COPY: the least that any loader of this API has to do."""
    since = (datetime.now(UTC) - timedelta(days=90)).isoformat()
    body = {"filter": {"fromDateTime": since, "toDateTime": datetime.now(UTC).isoformat()}}
    with (
        httpx.Client(base_url=url, auth=("key", "secret"), timeout=120) as http,
        psycopg.connect(database_url) as connection,
    ):
        connection.execute("create table calls (id text primary key, call jsonb)")
        connection.execute("create table transcripts (call_id text primary key, transcript jsonb)")
        ids: list[str] = []
        selected = {**body, "contentSelector": CONTENT_SELECTOR}
        with connection.cursor().copy("copy calls from stdin") as copy:
            for call in _items(http, "/v2/calls/extensive", "calls", selected):
                ids.append(call["metaData"]["id"])
                copy.write_row((call["metaData"]["id"], orjson.dumps(call).decode()))
        with connection.cursor().copy("copy transcripts from stdin") as copy:
            for at in range(0, len(ids), 100):
                wanted = {"filter": {"callIds": ids[at : at + 100]}}
                for item in _items(http, "/v2/calls/transcript", "callTranscripts", wanted):
                    copy.write_row((item["callId"], orjson.dumps(item["transcript"]).decode()))


def _items(http: httpx.Client, path: str, key: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        answer = orjson.loads(http.post(path, json={**body, "cursor": cursor} if cursor else body).content)
        yield from answer[key]
        cursor = answer["records"].get("cursor")
        if not cursor:
            return


def measure(command: Sequence[str], environment: dict[str, str]) -> Cost:
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
        output.seek(0)
        text = output.read().decode()
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{' '.join(command)} failed:\n{text[-3000:]}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)


@contextmanager
def simulator(n_calls: int, n_sentences: int) -> Iterator[str]:
    command = [sys.executable, __file__, "serve", "--calls", str(n_calls), "--sentences", str(n_sentences)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.communicate()


def run(n_calls: int, n_sentences: int, *, only_loader: bool) -> bool:
    with tempfile.TemporaryDirectory(prefix="gong_benchmark_") as folder, simulator(n_calls, n_sentences) as url:
        server = postgres.start(Path(folder))
        try:
            plain_url = postgres.ensure_database(server, "plain")
            loaded_url = postgres.ensure_database(server, "loaded")
            copy = [sys.executable, __file__, "copy", "--url", url, "--database-url", plain_url]
            plain = None if only_loader else measure(copy, {})
            environment = {
                "DATABASE_URL": loaded_url,
                "GONG_API_BASE_URL": url,
                "GONG_API_KEY": "key",
                "GONG_API_SECRET": "secret",
                # the limit of three a second measures Gong's patience, not the loader
                "GONG_REQUESTS_PER_SECOND": "1000",
            }
            loader = [sys.executable, "-m", "dlt_pipelines.gong", "--streams", "calls", "transcripts"]
            first = measure(loader, environment)
            again = None if only_loader else measure(loader, {**environment, "GONG_LOOK_BACK_DAYS": "90"})
            with psycopg.connect(loaded_url) as connection:
                counts = connection.execute(
                    "select (select count(*) from raw_gong.calls), (select count(*) from raw_gong.transcripts), "
                    "(select sum(jsonb_array_length(m -> 'sentences')) from raw_gong.transcripts, "
                    "jsonb_array_elements(transcript) as m)"
                ).fetchone()
        finally:
            postgres.stop(Path(folder))
    requests = sum(int(line.split()[-2].replace(",", "")) for line in first.output.splitlines() if "requests" in line)
    print(f"loaded: {counts} calls, transcripts, sentences")
    for name, cost in (("psycopg COPY", plain), ("loader, first", first), ("loader, nothing new", again)):
        if cost:
            print(f"{name:<22} {cost.cpu_s:7.1f} s CPU {cost.wall_s:7.1f} s wall {cost.peak_mb:7.0f} MB peak")
    print(f"{1000 * requests / n_calls:.1f} requests per 1,000 calls")
    ratio = first.cpu_s / plain.cpu_s if plain else 0.0
    if plain:
        print(f"ratio {ratio:.2f} (limit {MOST_CPU_RATIO})")
    is_complete = counts == (n_calls, n_calls, n_calls * n_sentences)
    return is_complete and ratio <= MOST_CPU_RATIO and first.peak_mb <= MOST_PEAK_MB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", choices=("run", "serve", "copy"), default="run", help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--sentences", type=int, default=400, help="per call")
    parser.add_argument("--only-loader", action="store_true", help="without the plain COPY and the second load")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--database-url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task == "serve":
        serve(options.calls, options.sentences)
        return 0
    if options.task == "copy":
        plain_copy(options.database_url, options.url)
        return 0
    return 0 if run(options.calls, options.sentences, only_loader=options.only_loader) else 1


if __name__ == "__main__":
    sys.exit(main())
