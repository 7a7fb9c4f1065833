import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HMAC_SECRETS = ("the-first-shared-secret-of-a-relay", "the-second-shared-secret-of-a-relay")
URL_SECRETS = ("first-secret-in-the-address", "second-secret-in-the-address")
PUBLIC_URL = "https://hooks.example.com/webhooks/gong"


@dataclass(frozen=True)
class SigningKey:
    private: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    @property
    def as_shown_by_gong(self) -> str:
        return b64encode(
            self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).decode()

    def token(self, body: bytes, **changes: Any) -> str:
        claims = {
            "webhook_url": PUBLIC_URL,
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "exp": int(time.time()) + 300,
            **changes,
        }
        return jwt.encode({k: v for k, v in claims.items() if v is not None}, self.private, algorithm="RS256")


@pytest.fixture(scope="session")
def signing_keys() -> tuple[SigningKey, SigningKey]:
    return SigningKey(), SigningKey()


@pytest.fixture(scope="session")
def strange_key() -> SigningKey:
    return SigningKey()


@pytest.fixture(scope="session")
def receiver_environment(signing_keys: tuple[SigningKey, SigningKey]) -> dict[str, str]:
    return {
        "GONG_WEBHOOK_PUBLIC_KEY": ",".join(key.as_shown_by_gong for key in signing_keys),
        "GONG_WEBHOOK_URL": PUBLIC_URL,
        "GONG_WEBHOOK_SECRET": ",".join(HMAC_SECRETS),
        "GONG_WEBHOOK_URL_SECRET": ",".join(URL_SECRETS),
    }


def call_event(call_id: str = "7000000000000000001", **metadata: Any) -> bytes:
    meta = {"id": call_id, "started": "2026-11-16T10:00:00Z", "title": "Discovery", **metadata}
    return json.dumps({"callData": {"metaData": meta, "parties": []}, "isTest": False}).encode()


def hmac_headers(body: bytes, webhook_id: str | None = None, secret: str = HMAC_SECRETS[0]) -> dict[str, str]:
    headers = {
        "X-Gong-Signature": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "Content-Type": "application/json",
    }
    return headers | ({"X-Gong-Webhook-Id": webhook_id} if webhook_id else {})


@pytest.fixture(scope="session")
def event() -> Callable[..., bytes]:
    return call_event


@pytest.fixture(scope="session")
def signed() -> Callable[..., dict[str, str]]:
    return hmac_headers


class RunningReceiver:
    """The receiver as a process of its own, as production runs it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dlt_pipelines.webhooks", "--port", "0"],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the receiver ended before it was ready"
        self.url = json.loads(line)["url"]

    def post(self, body: bytes, headers: dict[str, str], path: str = "/webhooks/gong") -> httpx.Response:
        return httpx.post(self.url + path, content=body, headers=headers, timeout=30)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


@pytest.fixture(scope="session")
def start_receiver() -> Callable[[dict[str, str]], RunningReceiver]:
    return RunningReceiver


@pytest.fixture(scope="module")
def receiver(module_database_url: str, receiver_environment: dict[str, str]) -> Iterator[RunningReceiver]:
    running = RunningReceiver({**receiver_environment, "DATABASE_URL": module_database_url})
    yield running
    running.stop()


@pytest.fixture
def inbox(module_database_url: str) -> Iterator[psycopg.Connection]:
    """The database of the module's receiver, with an empty inbox."""
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute("truncate ops.webhook_inbox")
        yield connection
