"""The server as a process: transports, tokens, hosts, and a database that goes away."""

import asyncio
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport

from streamlit_app.mcp_server import main, start_up_check
from streamlit_app.settings import Settings

ROOT = Path(__file__).parents[2]
TOKENS = {
    "read-robin": ("robin", ["read"]),
    "write-robin": ("robin", ["read", "write"]),
    "read-finch": ("finch", ["read"]),
}
ISSUER, AUDIENCE = "https://login.example.test/", "call-coach"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(url: str, **extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CALL_COACH_")}
    return {**kept, "DATABASE_URL": url, "PYTHONPATH": str(ROOT), **extra}


@contextmanager
def serving(url: str, **extra: str) -> Iterator[str]:
    """A server process on a free port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit_app.mcp_server", "--http", "--port", str(port)],
        env=environment(url, **extra),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    """A private and a public key, as PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return (
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


@pytest.fixture(scope="module")
def server_url(desk_url: str, keys: tuple[str, str]) -> Iterator[str]:
    grants = {
        hashlib.sha256(token.encode()).hexdigest(): {"viewer": viewer, "scopes": scopes}
        for token, (viewer, scopes) in TOKENS.items()
    }
    with serving(
        desk_url,
        CALL_COACH_MCP_TOKENS=json.dumps(grants),
        CALL_COACH_MCP_JWT_PUBLIC_KEY=keys[1],
        CALL_COACH_MCP_JWT_ISSUER=ISSUER,
        CALL_COACH_MCP_JWT_AUDIENCE=AUDIENCE,
    ) as url:
        yield url


def connected(url: str, token: str) -> Client:
    return Client(StreamableHttpTransport(url, headers={"Authorization": f"Bearer {token}"}))


def signed(private_key: str, **claims: Any) -> str:
    now = int(time.time())
    base = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 300, "scope": "read", "sub": "someone"}
    return jwt.encode({**base, **claims}, private_key, algorithm="RS256")


async def reps_seen(url: str, token: str) -> set[str]:
    async with connected(url, token) as client:
        result = await client.call_tool("get_team_overview", {"period": "last_90_days"})
    return set((result.structured_content or {})["reps"])


async def test_a_token_decides_whose_calls_are_seen(server_url: str) -> None:
    assert await reps_seen(server_url, "read-finch") == {"Finch Sample"}
    assert await reps_seen(server_url, "read-robin") == {"Wren Sample", "Finch Sample", "Heron Sample", "Dove Sample"}


async def test_a_jwt_decides_by_its_address(server_url: str, keys: tuple[str, str]) -> None:
    assert await reps_seen(server_url, signed(keys[0], email="crane@example.test")) == {"Crane Sample"}


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1_700_000_000},
        {"aud": "another-service"},
        {"iss": "https://evil.example.test/"},
        {"scope": ""},
    ],
    ids=["expired", "other audience", "other issuer", "no scope"],
)
async def test_a_jwt_made_for_something_else_opens_nothing(
    claims: dict[str, Any], server_url: str, keys: tuple[str, str]
) -> None:
    token = signed(keys[0], email="robin@example.test", **claims)
    assert httpx.post(server_url, json={}, headers={"Authorization": f"Bearer {token}"}).status_code == 401


async def test_a_jwt_cannot_call_itself_admin(server_url: str, keys: tuple[str, str]) -> None:
    async with connected(server_url, signed(keys[0], sub="admin")) as client:
        result = await client.call_tool("get_team_overview", {}, raise_on_error=False)
    assert result.is_error
    assert "not a rep's id" in result.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize("token", [None, "guess", "READ-ROBIN", hashlib.sha256(b"read-robin").hexdigest()])
async def test_without_a_known_token_nothing_is_answered(token: str | None, server_url: str) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = httpx.post(server_url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=headers)
    assert answer.status_code == 401


async def test_writing_needs_the_write_scope(server_url: str) -> None:
    arguments = {"call_id": "call-finch-05-0", "force": True}
    async with connected(server_url, "read-robin") as client:
        refused = await client.call_tool("analyze_call", arguments, raise_on_error=False)
        read = await client.call_tool("analyze_call", {"call_id": "call-finch-05-0"})
    async with connected(server_url, "write-robin") as client:
        queued = await client.call_tool("analyze_call", arguments)
    assert refused.is_error
    assert "write scope" in refused.content[0].text  # type: ignore[union-attr]
    assert (read.structured_content or {})["state"] == "scored"
    assert (queued.structured_content or {})["state"] == "received"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example.test"}, {421}), ({"Origin": "https://evil.example.test"}, {403})],
    ids=["foreign host", "foreign origin"],
)
async def test_a_page_of_another_site_cannot_reach_the_server(
    headers: dict[str, str], status: set[int], server_url: str
) -> None:
    sent = {"Authorization": "Bearer read-robin", "Accept": "application/json, text/event-stream", **headers}
    assert (
        httpx.post(server_url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=sent).status_code
        in status
    )


async def test_long_work_says_how_far_it_is_while_it_is_under_way(server_url: str) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def on_progress(done: float, of: float | None, what: str | None) -> None:
        heard.append((done, of, what))

    async with connected(server_url, "read-robin") as client:
        await client.call_tool("export_coaching_report", {"team": "Team Robin"}, progress_handler=on_progress)
    reps = ("Finch Sample", "Heron Sample", "Wren Sample")
    assert heard == [
        *((nth, 3, f"reading {name}") for nth, name in enumerate(reps)),
        (3, 3, "done"),
    ]


async def test_twenty_questions_at_once_are_all_answered(server_url: str) -> None:
    async with connected(server_url, "read-robin") as client:
        results = await asyncio.gather(
            *(client.call_tool("get_rep_insights", {"rep": "finch"}, raise_on_error=False) for _ in range(20))
        )
    assert not [result for result in results if result.is_error]
    assert len({json.dumps(result.structured_content["rows"]) for result in results if result.structured_content}) == 1


async def test_stdio_speaks_as_the_configured_person(desk_url: str) -> None:
    transport = StdioTransport(
        sys.executable,
        ["-m", "streamlit_app.mcp_server", "--stdio"],
        env=environment(desk_url, CALL_COACH_LOCAL_VIEWER="finch"),
        cwd=str(ROOT),
    )
    async with Client(transport) as client:
        result = await client.call_tool("get_team_overview", {"period": "last_90_days"})
    assert (result.structured_content or {})["reps"] == ["Finch Sample"]


@pytest.mark.parametrize(
    ("extra", "is_http", "problem"),
    [
        ({}, True, "CALL_COACH_MCP_TOKENS"),
        ({}, False, "CALL_COACH_LOCAL_VIEWER"),
        ({"CALL_COACH_MCP_JWT_PUBLIC_KEY": "x"}, True, "other services"),
        ({"CALL_COACH_LOCAL_VIEWER": "admin"}, True, None),
    ],
)
def test_a_configuration_that_lets_the_wrong_people_in_is_named(
    extra: dict[str, str], is_http: bool, problem: str | None
) -> None:
    problems = " ".join(start_up_check(Settings(_env_file=None, **extra), is_http=is_http))  # type: ignore[call-arg]
    assert (problem in problems) if problem else not problems


def test_the_check_says_which_of_database_marts_and_identity_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], desk_url: str, database_url: str
) -> None:
    monkeypatch.setenv("CALL_COACH_LOCAL_VIEWER", "admin")
    for url, status, words in (
        (desk_url, 0, ""),
        (database_url, 1, "no marts yet"),
        ("postgresql://nobody:secret-word@127.0.0.1:9/none", 1, "does not answer"),
    ):
        monkeypatch.setenv("DATABASE_URL", url)
        assert main(["--check"]) == status
        said = capsys.readouterr().err
        assert words in said
        assert "secret-word" not in said
    monkeypatch.delenv("CALL_COACH_LOCAL_VIEWER")
    assert main(["--check"]) == 2
    assert "cannot start" in capsys.readouterr().err


def test_without_tokens_it_binds_loopback_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], desk_url: str
) -> None:
    monkeypatch.setenv("CALL_COACH_LOCAL_VIEWER", "admin")
    monkeypatch.setenv("DATABASE_URL", desk_url)
    assert main(["--http", "--host", "0.0.0.0", "--port", "1"]) == 2
    assert "loopback only" in capsys.readouterr().err
