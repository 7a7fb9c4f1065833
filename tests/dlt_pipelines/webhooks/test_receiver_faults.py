"""The receiver under kill -9, under a crashing Postgres and under ten thousand forgeries; run with `-m slow`."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from dagster_project.database.migrate import migrate
from dagster_project.local import postgres

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = 30
CLIENTS = 16


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[str]:
    """A Postgres of this test's own: it is going to crash."""
    server = postgres.start(tmp_path)
    url = postgres.ensure_database(server, "faults")
    migrate(url)
    yield url
    postgres.stop(tmp_path)


class Senders:
    """Clients that deliver without pause, repeat what was not acknowledged, and remember what was."""

    def __init__(self, address: Callable[[], str], event: Callable[..., bytes], signed: Callable[..., Any]) -> None:
        self.address = address
        self.event, self.signed = event, signed
        self.acknowledged: set[bytes] = set()
        self.statuses: Counter[int] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self) -> "Senders":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int) -> None:
        sent = 0
        while not self._stop.is_set():
            body = self.event(f"{number}-{sent}")
            try:
                answer = httpx.post(
                    f"{self.address()}/webhooks/gong", content=body, headers=self.signed(body), timeout=15
                )
            except httpx.HTTPError:
                self.statuses[0] += 1
                time.sleep(0.05)
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code in (200, 202):
                self.acknowledged.add(body)
                sent += 1
            else:
                time.sleep(0.05)


def stored(url: str) -> list[bytes]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("select body from ops.webhook_inbox")]


def test_no_acknowledged_event_is_lost_when_receiver_and_postgres_are_killed_under_load(
    own_server: str,
    receiver_environment: dict[str, str],
    start_receiver: Callable[..., Any],
    event: Callable[..., bytes],
    signed: Callable[..., Any],
    record_property: Callable[[str, object], None],
) -> None:
    rng = random.Random(7)
    environment = {**receiver_environment, "DATABASE_URL": own_server}
    running = [start_receiver(environment)]
    killed: Counter[str] = Counter()
    try:
        with Senders(lambda: running[0].url, event, signed) as senders:
            for number in range(KILLS):
                taken = len(senders.acknowledged)
                end = time.monotonic() + 60
                while len(senders.acknowledged) < taken + 5:
                    assert time.monotonic() < end, f"nothing is taken any more after {number} kills"
                    time.sleep(0.05)
                time.sleep(rng.uniform(0, 0.5))
                victim = rng.choice(["receiver", "postgres"])
                if victim == "receiver":
                    running[0].kill()
                    running[0] = start_receiver(environment)
                    killed[victim] += 1
                    continue
                with suppress(psycopg.Error), psycopg.connect(own_server, autocommit=True) as connection:
                    backends = connection.execute(
                        "select pid from pg_stat_activity where application_name = 'call_coach_webhooks'"
                    ).fetchall()
                    if backends:
                        # a killed backend makes the whole server crash and roll forward from its log
                        os.kill(rng.choice(backends)[0], signal.SIGKILL)
                        killed[victim] += 1
            end = time.monotonic() + 60
            while running[0].get("/readyz").status_code != 200:
                assert time.monotonic() < end, "the receiver did not become ready again"
                time.sleep(0.2)
            before = len(senders.acknowledged)
            time.sleep(2)
            assert len(senders.acknowledged) > before, "nothing is taken any more"
    finally:
        running[0].kill()
    rows = stored(own_server)
    assert len(senders.acknowledged) >= 5 * KILLS
    assert senders.acknowledged - set(rows) == set(), f"acknowledged and lost, after {dict(killed)}"
    assert len(rows) == len(set(rows)), "an event is stored twice"
    assert set(senders.statuses) <= {0, 200, 202, 503}, senders.statuses
    killed_text = ", ".join(f"{name} {times} times" for name, times in killed.items())
    record_property("figure", f"killed: {killed_text}; {len(senders.acknowledged):,} acknowledged, 0 lost, 0 doubled")


def test_ten_thousand_forgeries_of_every_scheme_are_refused(
    receiver: Any,
    inbox: psycopg.Connection,
    event: Callable[..., bytes],
    signed: Callable[..., Any],
    signing_keys: tuple[Any, ...],
    strange_key: Any,
    record_property: Callable[[str, object], None],
) -> None:
    body = event("forged")
    rng = random.Random(11)
    right = signed(body)["X-Gong-Signature"].removeprefix("sha256=")
    tokens = [
        strange_key.token(body),
        signing_keys[0].token(body, exp=int(time.time()) - 3600),
        signing_keys[0].token(body, webhook_url="https://elsewhere.example.com/webhooks/gong"),
        signing_keys[0].token(body, body_sha256="0" * 64),
    ]
    genuine = signing_keys[0].token(body)

    def tampered(text: str) -> str:
        place = rng.randrange(len(text))
        # hex means the same in capitals, so another case would be no forgery
        other = rng.choice([c for c in "0123456789abcdef-_xyz" if c != text[place].lower()])
        return text[:place] + other + text[place + 1 :]

    def forged_token() -> str:
        choice = rng.randrange(4)
        if choice == 0:
            return rng.choice(tokens)
        # the last character of a part carries bits that base64 throws away: change one before it
        head, claims, mark = genuine.split(".")
        part = rng.randrange(3)
        parts = [head, claims, mark]
        parts[part] = tampered(parts[part][:-1]) + parts[part][-1]
        return ".".join(parts)

    def forge() -> tuple[str, dict[str, str]]:
        match rng.randrange(4):
            case 0:
                return "/webhooks/gong", {"X-Gong-Signature": tampered(right)}
            case 1:
                return "/webhooks/gong", {"Authorization": f"Bearer {forged_token()}"}
            case 2:
                return f"/webhooks/gong/{tampered('first-secret-in-the-address')}", {}
            case _:
                return "/webhooks/gong", {"X-Gong-Signature": right[: rng.randrange(64)]}

    statuses: Counter[int] = Counter()
    with httpx.Client(base_url=receiver.url) as client:
        for _ in range(10_000):
            path, headers = forge()
            answer = client.post(path, content=body, headers={"Content-Type": "application/json", **headers})
            statuses[answer.status_code] += 1
    assert inbox.execute("select count(*) from ops.webhook_inbox").fetchone() == (0,)
    assert dict(statuses) == {401: 10_000}
    record_property("figure", "10,000 forgeries of three schemes, 10,000 times 401, 0 rows")
