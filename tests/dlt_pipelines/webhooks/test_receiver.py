import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

JSON = {"Content-Type": "application/json"}
Signed = Callable[..., dict[str, str]]
MakeEvent = Callable[..., bytes]


def rows(inbox: psycopg.Connection, columns: str = "event_key, scheme, body, status") -> list[tuple[Any, ...]]:
    return inbox.execute(f"select {columns} from ops.webhook_inbox order by inbox_id").fetchall()


def test_each_scheme_is_stored_byte_for_byte_before_the_answer(
    receiver: Any, inbox: psycopg.Connection, event: MakeEvent, signed: Signed, signing_keys: tuple[Any, ...]
) -> None:
    bodies = [event(str(n)) + b" \n" for n in range(3)]
    answers = [
        receiver.post(bodies[0], JSON | {"Authorization": f"Bearer {signing_keys[1].token(bodies[0])}"}),
        receiver.post(bodies[1], signed(bodies[1], webhook_id="evt-1")),
        receiver.post(bodies[2], JSON, path="/webhooks/gong/second-secret-in-the-address"),
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert [answer.json() for answer in answers] == [{"status": "received"}] * 3
    stored = rows(inbox)
    assert [row[1:] for row in stored] == [
        ("jwt", bodies[0], "received"),
        ("hmac", bodies[1], "received"),
        ("url_secret", bodies[2], "received"),
    ]
    assert stored[1][0] == "gong:id:evt-1"


def test_credentials_are_never_stored(
    receiver: Any, inbox: psycopg.Connection, event: MakeEvent, signing_keys: tuple[Any, ...]
) -> None:
    body = event()
    token = signing_keys[0].token(body)
    receiver.post(body, JSON | {"Authorization": token, "User-Agent": "Gong", "X-TraceId": "abc", "Cookie": "c=1"})
    ((headers,),) = rows(inbox, "headers")
    assert headers == {"content-type": "application/json", "user-agent": "Gong", "x-traceid": "abc"}


def test_a_replayed_delivery_is_acknowledged_and_changes_nothing(
    receiver: Any, inbox: psycopg.Connection, event: MakeEvent, signed: Signed
) -> None:
    body = event()
    headers = signed(body, webhook_id="evt-replayed")
    assert receiver.post(body, headers).status_code == 202
    inbox.execute("update ops.webhook_inbox set status = 'completed', received_at = now() - interval '6 minutes'")
    before = rows(inbox, "*")
    again = receiver.post(body, headers)
    assert (again.status_code, again.json()) == (200, {"status": "duplicate"})
    assert rows(inbox, "*") == before


def test_twenty_concurrent_copies_of_fifty_events_are_fifty_rows(
    receiver: Any, inbox: psycopg.Connection, event: MakeEvent, signed: Signed
) -> None:
    bodies = [event(str(n)) for n in range(50)]
    with httpx.Client(base_url=receiver.url, timeout=30) as client, ThreadPoolExecutor(16) as pool:
        statuses = list(
            pool.map(
                lambda body: client.post("/webhooks/gong", content=body, headers=signed(body)).status_code, bodies * 20
            )
        )
    assert sorted(set(statuses)) == [200, 202]
    assert statuses.count(202) == 50
    assert sorted(row[2] for row in rows(inbox)) == sorted(bodies)


ODD_BODIES = [
    b"",
    b"not json",
    b'{"callData": {"metaData": {"id": "a\\u0000b"}}}',
    b'{"callData": {"metaData": {"id": 123e-10000000}}}',
    b'{"a\\u0000": 1}',
    b"[" * 100_000,
    b"\xff\xfe\x00",
    b"\x00" * 1000,
    b'{"callData": null}',
    b"null",
    b'{"callData": {"metaData": {"id": "\\ud800"}}}',
]


def test_odd_but_signed_bytes_are_stored_and_never_an_error(
    receiver: Any, inbox: psycopg.Connection, signed: Signed, record_property: Callable[[str, object], None]
) -> None:
    for body in ODD_BODIES:
        assert receiver.post(body, signed(body)).status_code == 202, body[:60]
    assert [row[2] for row in rows(inbox)] == ODD_BODIES
    record_property("figure", f"{len(ODD_BODIES)} odd bodies, {len(ODD_BODIES)} stored byte for byte, 0 times 5xx")


def test_forged_requests_are_refused_and_leave_no_row(
    receiver: Any, inbox: psycopg.Connection, event: MakeEvent, signed: Signed, signing_keys: tuple[Any, ...]
) -> None:
    body = event()
    right, token = signed(body), signing_keys[0].token(body)
    forged: list[tuple[bytes, dict[str, str], str]] = [
        (body, JSON, "/webhooks/gong"),
        (body, JSON, "/webhooks/gong/"),
        (body, JSON, "/webhooks/gong/wrong"),
        (body, JSON, "/webhooks/gong/first-secret-in-the-address%00"),
        (body + b" ", right, "/webhooks/gong"),
        (body, right | {"X-Gong-Signature": "sha256=" + "0" * 64}, "/webhooks/gong"),
        (body, right | {"X-Gong-Signature": "sha256=," + "0" * 64}, "/webhooks/gong"),
        (body, right | {"Authorization": "Bearer x.y.z"}, "/webhooks/gong"),
        (json.dumps(json.loads(body)).encode() + b" ", JSON | {"Authorization": token}, "/webhooks/gong"),
        (body, JSON | {"Authorization": token[:-5]}, "/webhooks/gong"),
    ]
    with httpx.Client(base_url=receiver.url, follow_redirects=False) as client:
        for content, headers, path in forged:
            answer = client.post(path, content=content, headers=headers)
            assert answer.status_code in (401, 307), (headers, path)
    assert rows(inbox) == []


def test_a_flood_of_forgeries_does_not_hold_up_genuine_deliveries(
    receiver: Any,
    inbox: psycopg.Connection,
    event: MakeEvent,
    signed: Signed,
    record_property: Callable[[str, object], None],
) -> None:
    """A thousand here; tests/benchmarks/webhooks.py sends ten thousand and measures."""
    body = event()
    wrong = signed(body) | {"X-Gong-Signature": "sha256=" + "1" * 64}
    with httpx.Client(base_url=receiver.url) as client, ThreadPoolExecutor(8) as pool:
        flood = [pool.submit(client.post, "/webhooks/gong", content=body, headers=wrong) for _ in range(1000)]
        genuine = [
            client.post("/webhooks/gong", content=event(str(n)), headers=signed(event(str(n)))) for n in range(30)
        ]
        assert {answer.result().status_code for answer in flood} == {401}
    assert {answer.status_code for answer in genuine} == {202}
    slowest_s = max(answer.elapsed.total_seconds() for answer in genuine)
    assert slowest_s < 1
    record_property("figure", f"30 genuine ones among 1,000 forgeries, the slowest in {1000 * slowest_s:.0f} ms")
    assert len(rows(inbox)) == 30


def test_what_cannot_be_an_event_is_refused_by_its_head(
    receiver: Any, inbox: psycopg.Connection, event: MakeEvent, signed: Signed
) -> None:
    body = event()
    assert receiver.post(body, signed(body) | {"Content-Type": "text/xml"}).status_code == 415
    assert receiver.post(body, signed(body) | {"Content-Encoding": "gzip"}).status_code == 415
    large = b"x" * 5_000_001
    answer = receiver.post(large, signed(large))
    assert answer.status_code == 413
    assert "5,000,000" in answer.json()["message"]
    assert httpx.get(f"{receiver.url}/webhooks/gong").status_code == 405
    assert rows(inbox) == []


def raw(receiver: Any, *parts: bytes, pause_s: float = 0) -> bytes:
    """Send `parts` over a plain socket and return what comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", urlsplit(receiver.url).port or 0), timeout=30) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause_s)
        except OSError:
            pass
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except OSError:
            pass
        return answer


CHUNKED = (
    b"POST /webhooks/gong HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def test_an_endless_body_without_a_length_is_cut_off_while_it_streams(receiver: Any) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    answer = raw(receiver, CHUNKED, *[chunk] * 200)
    assert answer.startswith(b"HTTP/1.1 413") or answer == b""
    assert receiver.get("/healthz").status_code == 200


def test_an_endless_head_is_cut_off(receiver: Any) -> None:
    head = b"POST /webhooks/gong HTTP/1.1\r\nHost: x\r\n"
    answer = raw(receiver, head, *[b"X-Filler: " + b"y" * 8000 + b"\r\n"] * 40)
    assert b" 431 " in answer or answer == b""
    assert receiver.get("/healthz").status_code == 200


def test_slow_clients_are_sent_away_in_time(
    module_database_url: str,
    receiver_environment: dict[str, str],
    start_receiver: Callable[..., Any],
    record_property: Callable[[str, object], None],
) -> None:
    receiver = start_receiver(
        {
            **receiver_environment,
            "DATABASE_URL": module_database_url,
            "GONG_WEBHOOK_HEAD_TIMEOUT_S": "0.5",
            "GONG_WEBHOOK_BODY_TIMEOUT_S": "0.5",
        }
    )
    try:
        head = b"POST /webhooks/gong HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nContent-Type: application/json\r\n"
        started = time.monotonic()
        assert b" 408 " in raw(receiver, b"POST /webhooks/gong HT")
        assert b" 408 " in raw(receiver, head, b"X-Drip: 1\r\n")
        assert b" 408 " in raw(receiver, head + b"\r\n", b"{")
        assert b" 408 " in raw(receiver, b"")
        # a second request on a connection that was fine before
        assert b" 408 " in raw(receiver, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /hea", pause_s=0.1)
        took_s = time.monotonic() - started
        assert took_s < 8
        record_property("figure", f"5 kinds of slow clients, each 408, all in {took_s:.1f} s at a limit of 0.5 s")
    finally:
        receiver.stop()


def test_health_and_readiness_and_metrics_tell_the_state(
    receiver: Any, inbox: psycopg.Connection, event: MakeEvent, signed: Signed
) -> None:
    body = event("metrics")
    receiver.post(body, signed(body))
    receiver.post(body, signed(body))
    receiver.post(body, JSON)
    assert receiver.get("/healthz").json() == {"status": "ok"}
    assert receiver.get("/readyz").json() == {"status": "ready"}
    page = receiver.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = page.text
    assert 'deliveries_total{outcome="received",scheme="hmac",reason=""}' in text
    assert 'deliveries_total{outcome="duplicate",scheme="hmac",reason=""}' in text
    assert 'deliveries_total{outcome="unauthorized",scheme="",reason="no_credential"}' in text
    assert "call_coach_webhook_database_up 1" in text
    counts = [int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if "seconds_bucket" in line]
    assert counts == sorted(counts)
    assert f"call_coach_webhook_seconds_count {counts[-1]}" in text


def test_the_description_names_every_route_and_every_answer(receiver: Any) -> None:
    described = receiver.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/webhooks/gong",
        "/webhooks/gong/{secret}",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    }
    assert set(described["paths"]["/webhooks/gong"]["post"]["responses"]) == {
        "200",
        "202",
        "401",
        "408",
        "413",
        "415",
        "503",
    }


def test_the_receivers_role_may_insert_and_nothing_else(module_database_url: str) -> None:
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute("set role call_coach_receiver")
        for statement in (
            "select 1 from ops.webhook_inbox",
            "update ops.webhook_inbox set status = 'completed'",
            "delete from ops.webhook_inbox",
            "insert into ops.analysis_requests (requested_by, requested_via, call_id) values ('x', 'cli', 'y')",
            "select 1 from analysis.requests",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)  # type: ignore[arg-type]


def test_while_the_database_is_away_it_says_so_and_it_recovers_by_itself(
    database_url: str,
    receiver_environment: dict[str, str],
    start_receiver: Callable[..., Any],
    event: MakeEvent,
    signed: Signed,
    record_property: Callable[[str, object], None],
) -> None:
    """The database takes no connection any more: every one ends and no new one succeeds."""
    name = urlsplit(database_url).path[1:]
    admin_url = database_url.replace(f"/{name}", "/postgres")
    receiver = start_receiver({**receiver_environment, "DATABASE_URL": database_url})
    try:
        body = event("before")
        assert receiver.post(body, signed(body)).status_code == 202
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(f'alter database "{name}" allow_connections false')
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
            answers = []
            for n in range(20):
                body = event(f"during {n}")
                answers.append(receiver.post(body, signed(body)))
            assert {answer.status_code for answer in answers} == {503}
            assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
            slowest_s = sorted(answer.elapsed.total_seconds() for answer in answers)[-2]
            assert slowest_s < 1
            record_property("figure", f"20 deliveries: 20 times 503, 19 within {1000 * slowest_s:.0f} ms")
            assert receiver.get("/healthz").status_code == 200
            assert receiver.get("/readyz").status_code == 503
            admin.execute(f'alter database "{name}" allow_connections true')
        end = time.monotonic() + 15
        while receiver.get("/readyz").status_code != 200:
            assert time.monotonic() < end, "the receiver did not come back"
            time.sleep(0.1)
        body = event("after")
        assert receiver.post(body, signed(body)).status_code == 202
        with psycopg.connect(database_url) as connection:
            assert connection.execute("select count(*) from ops.webhook_inbox").fetchone() == (2,)
    finally:
        receiver.stop()


def test_it_starts_without_a_database_and_takes_events_once_there_is_one(
    database_url: str,
    receiver_environment: dict[str, str],
    start_receiver: Callable[..., Any],
    event: MakeEvent,
    signed: Signed,
) -> None:
    name = urlsplit(database_url).path[1:]
    missing = f"{name[:50]}_late"
    receiver = start_receiver({**receiver_environment, "DATABASE_URL": database_url.replace(f"/{name}", f"/{missing}")})
    try:
        body = event()
        assert receiver.post(body, signed(body)).status_code == 503
        with psycopg.connect(database_url.replace(f"/{name}", "/postgres"), autocommit=True) as admin:
            admin.execute(f'alter database "{name}" rename to "{missing}"')
            end = time.monotonic() + 15
            while receiver.post(body, signed(body)).status_code != 202:
                assert time.monotonic() < end
                time.sleep(0.2)
            receiver.stop()
            admin.execute(f'alter database "{missing}" rename to "{name}"')
    finally:
        receiver.kill()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, "GONG_WEBHOOK_PUBLIC_KEY"),
        ({"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "GONG_WEBHOOK_PUBLIC_KEY": "nonsense"}, "copy it whole"),
    ],
)
def test_a_missing_setting_ends_the_start_with_its_name(environment: dict[str, str], message: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GONG_", "DATABASE_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "dlt_pipelines.webhooks", "--port", "0"],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert message.lower() in ended.stderr.lower()


def test_the_body_hash_in_the_row_is_that_of_the_bytes(
    receiver: Any, inbox: psycopg.Connection, event: MakeEvent, signed: Signed
) -> None:
    body = event("hashed")
    receiver.post(body, signed(body))
    assert rows(inbox, "body_sha256, endpoint") == [(hashlib.sha256(body).hexdigest(), "gong")]
