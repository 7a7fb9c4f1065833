"""How fast the receiver answers, on this machine with its own Postgres: open loop, saturation and forgeries.

uv run python tests/benchmarks/webhooks.py --rate 200 --seconds 60

Latency counts from the moment a request was due, so a receiver that stalls cannot hide it. Every acknowledged event is
looked for in the inbox afterwards. Prints one JSON line per measurement.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg

from dagster_project.database.migrate import migrate
from dagster_project.local import postgres

SECRET = secrets.token_hex(24)
FILLER = "x" * 2_000


def event(number: str) -> bytes:
    meta = {"id": number, "started": "2026-11-16T10:00:00Z", "title": FILLER}
    return json.dumps({"callData": {"metaData": meta}, "isTest": False}).encode()


def request(body: bytes, *, signature: str | None = None) -> bytes:
    mark = signature or hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return (
        f"POST /webhooks/gong HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"X-Gong-Signature: sha256={mark}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@dataclass
class Connections:
    """Kept-alive connections, each used by one request at a time."""

    port: int
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def send(self, payload: bytes) -> int:
        """The status of the answer; 0 where the connection broke.

        A kept connection may have been closed for its idleness; like every client, this one then takes a fresh one.
        """
        while self.idle:
            kept = self.idle.pop()
            if not kept[0].at_eof() and (status := await self._exchange(kept, payload)):
                return status
        try:
            fresh = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return 0
        return await self._exchange(fresh, payload)

    async def _exchange(self, pair: tuple[asyncio.StreamReader, asyncio.StreamWriter], payload: bytes) -> int:
        reader, writer = pair
        try:
            writer.write(payload)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, IndexError):
            return 0
        if b"connection: close" in head.lower():
            writer.close()
        else:
            self.idle.append((reader, writer))
        return int(head[9:12])


def percentiles(latencies: list[float]) -> dict[str, float]:
    ordered = sorted(latencies)
    return {
        name: round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
        for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999), ("max_ms", 1.0))
    }


async def open_loop(connections: Connections, *, rate: float, seconds: float, prefix: str) -> dict[str, object]:
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    acknowledged: list[str] = []

    async def one(number: int, due: float) -> None:
        name = f"{prefix}{number}"
        status = await connections.send(request(event(name)))
        latencies.append(time.perf_counter() - due)
        statuses[status] += 1
        if status in (200, 202):
            acknowledged.append(name)

    started = time.perf_counter() + 0.1
    tasks = []
    for number in range(int(rate * seconds)):
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    return {"statuses": dict(statuses), "acknowledged": acknowledged, **percentiles(latencies)}


async def saturate(connections: Connections, *, seconds: float) -> dict[str, object]:
    """As many clients as the receiver takes at once, and twice as many again, while health is asked for."""
    statuses: Counter[int] = Counter()
    acknowledged: list[str] = []
    health: list[float] = []
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        sent = 0
        while time.perf_counter() < end:
            name = f"flood-{number}-{sent}"
            status = await connections.send(request(event(name)))
            statuses[status] += 1
            sent += 1
            if status in (200, 202):
                acknowledged.append(name)
            elif status == 503:
                # what the answer asks for
                await asyncio.sleep(1)

    async def watcher() -> None:
        while time.perf_counter() < end:
            began = time.perf_counter()
            status = await connections.send(b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n")
            health.append(time.perf_counter() - began)
            if status != 200:
                statuses[-1] += 1
            await asyncio.sleep(0.1)

    await asyncio.gather(*(client(number) for number in range(600)), watcher())
    return {"statuses": dict(statuses), "acknowledged": acknowledged, "health": percentiles(health)}


async def forgeries(connections: Connections, *, count: int, rate: float) -> dict[str, object]:
    """Good requests at a steady rate, alone and then beside `count` forged ones."""
    alone = await open_loop(connections, rate=rate, seconds=8, prefix="alone-")
    statuses: Counter[int] = Counter()
    body = event("forged")
    forged = [
        request(body, signature="0" * 64),
        request(body, signature=hmac.new(b"guess", body, hashlib.sha256).hexdigest()),
        request(body, signature="not-hex"),
        request(body).replace(b"X-Gong-Signature: sha256=", b"Authorization: Bearer e30.e30."),
        request(body).replace(b"X-Gong-Signature", b"X-Other"),
        request(body)[:-1] + b"]",
    ]
    gate = asyncio.Semaphore(8)
    done = asyncio.Event()

    async def forge(number: int) -> None:
        async with gate:
            statuses[await connections.send(forged[number % len(forged)])] += 1

    async def flood() -> None:
        await asyncio.gather(*(forge(number) for number in range(count)))
        done.set()

    flooding = asyncio.create_task(flood())
    beside = await open_loop(connections, rate=rate, seconds=8, prefix="beside-")
    await flooding
    alone_p99, beside_p99 = alone.pop("p99_ms"), beside.pop("p99_ms")
    return {
        "forged": count,
        "forged_statuses": dict(statuses),
        "good_p50_alone_ms": alone["p50_ms"],
        "good_p50_beside_ms": beside["p50_ms"],
        "good_p99_alone_ms": alone_p99,
        "good_p99_beside_ms": beside_p99,
        "acknowledged": [*alone["acknowledged"], *beside["acknowledged"]],  # type: ignore[misc]
    }


def lost(database_url: str, acknowledged: object) -> int:
    """Acknowledged events that are not in the inbox."""
    assert isinstance(acknowledged, list)
    with psycopg.connect(database_url) as connection:
        stored = {
            json.loads(row[0])["callData"]["metaData"]["id"]
            for row in connection.execute("select body from ops.webhook_inbox").fetchall()
        }
    return len(set(acknowledged) - stored)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--forged", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = postgres.start(Path(folder))
        try:
            url = postgres.ensure_database(server, "bench")
            migrate(url)
            measure(url, arguments)
        finally:
            postgres.stop(Path(folder))


def measure(url: str, arguments: argparse.Namespace) -> None:
    receiver = subprocess.Popen(
        [sys.executable, "-m", "dlt_pipelines.webhooks", "--port", "0"],
        env={**os.environ, "DATABASE_URL": url, "GONG_WEBHOOK_SECRET": SECRET},
        stdout=subprocess.PIPE,
    )
    assert receiver.stdout
    try:
        port = urlsplit(json.loads(receiver.stdout.readline())["url"]).port
        assert port
        for name, run in (
            ("open_loop", lambda c: open_loop(c, rate=arguments.rate, seconds=arguments.seconds, prefix="open-")),
            ("forgeries", lambda c: forgeries(c, count=arguments.forged, rate=50)),
            ("saturation", lambda c: saturate(c, seconds=8)),
        ):
            before = sum(psutil.Process(receiver.pid).cpu_times()[:2])
            result = asyncio.run(run(Connections(port)))
            # what a busy machine does not blur: the receiver's own work
            result["receiver_cpu_s"] = round(sum(psutil.Process(receiver.pid).cpu_times()[:2]) - before, 2)
            result["lost"] = lost(url, result["acknowledged"])
            result["acknowledged"] = len(result["acknowledged"])  # type: ignore[arg-type]
            print(json.dumps({"measurement": name, "load_average": os.getloadavg()[0], **result}), flush=True)
    finally:
        receiver.terminate()
        receiver.wait()


if __name__ == "__main__":
    main()
