"""A flood at the webhook receiver: copies, reordering, forgeries, replays, clocks that differ."""

import hashlib
import hmac
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from stage import Stage

from dagster_project.local.processes import Supervisor
from dagster_project.settings import ROOT

EVENTS, COPIES = 500, 20
FORGERIES = 10_000
SECRET = b"stage-secret"
LEEWAY_S = 60
TRIES = 5
# of a connection that ended without an answer
CUT = 599


def webhook_flood(stage: Stage, n: int) -> None:
    """Each of 500 events twenty times, shuffled into ten thousand forgeries; then tokens from clocks that differ."""
    for _ in range(n):
        url = stage.new_database()
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        environment = {
            "DATABASE_URL": url,
            "GONG_WEBHOOK_SECRET": SECRET.decode(),
            "GONG_WEBHOOK_PUBLIC_KEY": public.decode(),
            "PYTHONPATH": str(ROOT),
        }
        deliveries = [(event, False) for event in range(EVENTS) for _ in range(COPIES)]
        deliveries += [(number, True) for number in range(FORGERIES)]
        stage.rng.shuffle(deliveries)
        with Supervisor(logs=stage.folder / "logs") as supervisor:
            address = supervisor.start_server(
                "receiver", [sys.executable, "-m", "dlt_pipelines.webhooks", "--port", "0"], environment=environment
            )
            began = time.monotonic()
            with httpx.Client(base_url=address, timeout=30) as client, ThreadPoolExecutor(32) as pool:
                answers = list(pool.map(lambda delivery: _deliver(client, *delivery), deliveries))
                seconds = time.monotonic() - began
                wrong_clock = _wrong_about_clocks(client, key, address)
        good = sorted(answer.seconds for answer in answers if not answer.is_forged and answer.status < 300)
        with psycopg.connect(url) as connection:
            row = connection.execute("select count(*), count(distinct event_key) from ops.webhook_inbox").fetchone()
        assert row is not None
        stage.history.add(
            "webhook flood",
            "counted",
            sent=len(answers),
            seconds=round(seconds, 1),
            rows=row[0] - wrong_clock["taken"],
            good=EVENTS * COPIES,
            good_ok=len(good),
            good_p99_ms=round(1000 * good[int(len(good) * 0.99)]),
            forged=FORGERIES,
            again=sum(answer.again for answer in answers),
            forged_ok=sum(answer.status < 300 for answer in answers if answer.is_forged),
            server_errors=sum(answer.status >= 500 for answer in answers),
            clocks=wrong_clock,
        )
        stage.drop(url)


@dataclass(frozen=True)
class Delivered:
    """The last answer, how long it took to get, and how often it had to be sent again."""

    status: int
    seconds: float
    is_forged: bool
    again: int


def _deliver(client: httpx.Client, number: int, is_forged: bool) -> Delivered:
    event_id = f"{'forged' if is_forged else 'event'}-{number}"
    body = json.dumps({"callData": {"metaData": {"id": event_id}}}).encode()
    secret = b"wrong" if is_forged else SECRET
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    if is_forged:
        signature = (signature, signature[:40], "not hex", "", signature.upper() * 2)[number % 5]
    headers = {"X-Gong-Signature": signature, "X-Gong-Webhook-Id": event_id}
    began = time.monotonic()
    again = 0
    # as every sender does: who is told to come back, or cut off, comes back
    while (status := _post(client, body, headers)) in (503, CUT) and again < TRIES:
        again += 1
        time.sleep(0.2)
    return Delivered(status, time.monotonic() - began, is_forged, again)


def _post(client: httpx.Client, body: bytes, headers: dict[str, str]) -> int:
    try:
        return client.post("/webhooks/gong", content=body, headers=headers).status_code
    except httpx.TransportError:
        return CUT


def _wrong_about_clocks(client: httpx.Client, key: rsa.RSAPrivateKey, address: str) -> dict[str, Any]:
    """Tokens that ran out so many seconds ago, by the receiver's clock: inside the leeway they count, beyond not."""
    wrong = taken = 0
    ages = (-3600, -600, -30, LEEWAY_S - 20, LEEWAY_S + 20, 600, 3600)
    for age in ages:
        body = json.dumps({"callData": {"metaData": {"id": f"clock-{age}"}}}).encode()
        claims = {
            "webhook_url": address + "/webhooks/gong",
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "exp": int(time.time()) - age,
        }
        token = jwt.encode(claims, key, algorithm="RS256")
        status = client.post("/webhooks/gong", content=body, headers={"Authorization": f"Bearer {token}"}).status_code
        is_taken = status < 300
        taken += is_taken
        wrong += is_taken is not (age < LEEWAY_S)
    return {"tried": len(ages), "taken": taken, "wrong": wrong}
