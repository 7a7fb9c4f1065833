"""The MCP server under abuse: absurd arguments, SQL in every text, 200 calls at once, callers who hang up."""

import asyncio
import contextlib
import hashlib
import json
import re
import sys
import time
from typing import Any

import psycopg
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from stage import Stage

from dagster_project.local.processes import Supervisor, free_port

MAX_CHARACTERS = 30_000
TOKEN = "stage-token"
SQL = (
    "' or '1'='1",
    "'; drop table marts.fct_calls; --",
    '" union select rolname from pg_roles --',
    "$$; select 1; $$",
    "%' or rep_id is not null --",
    "\\'; select pg_sleep(20); --",
    "x') or 1=1 --",
    "{{ 7 * 7 }}",
    "\x00",
)
LEAK = re.compile(r"\b(select|insert|from marts|psycopg|pg_roles|syntax error|Traceback)\b", re.IGNORECASE)
AT_ONCE = 200
# invisible, control and direction characters that could hide something from a person
HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2060\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def mcp_alone(stage: Stage, n: int) -> None:
    """The abuse over an ordinary company; `hostile` has it over its own too."""
    del n
    url = stage.new_database()
    stage.complete_run(url)
    mcp_abuse(stage, url)
    stage.drop(url)


def mcp_abuse(stage: Stage, url: str) -> None:
    """Against a warehouse that a run has filled."""
    grant = {hashlib.sha256(TOKEN.encode()).hexdigest(): {"viewer": "admin", "scopes": ["read"]}}
    port = free_port(0)
    with Supervisor(logs=stage.folder / "logs") as supervisor:
        child = supervisor.start(
            "mcp",
            [sys.executable, "-m", "streamlit_app.mcp_server", "--http", "--port", str(port)],
            environment={**stage.environment(url), "CALL_COACH_MCP_TOKENS": json.dumps(grant)},
        )
        address = f"http://127.0.0.1:{port}/mcp"
        supervisor.wait_until_ready(child, address)
        before = _writes(url)
        counted = asyncio.run(_abuse(address))
        time.sleep(2)
        stage.history.add(
            "MCP abuse",
            "counted",
            **counted,
            is_alive=child.process.poll() is None,
            connections=_busy(url),
            writes=_writes(url) - before,
        )


async def _abuse(address: str) -> dict[str, Any]:
    asked = refused = limited = leaks = too_long = hidden = 0
    samples: list[str] = []
    transport = StreamableHttpTransport(address, headers={"Authorization": f"Bearer {TOKEN}"})
    async with Client(transport) as client:
        tools = await client.list_tools()
        cases: list[tuple[str, dict[str, Any]]] = [("no_such_tool", {}), ("search_calls", {"limit": 10**9})]
        cases += [("search_calls", {"cursor": cursor}) for cursor in ("%%%", "A" * 299, "eyJhIjoxfQ==")]
        cases += [("search_calls", {"text": "x" * 10_000_000}), ("find_moments", {"limit": -1})]
        for tool in tools:
            properties = tool.input_schema.get("properties", {})
            required = tool.input_schema.get("required", [])
            texts = [name for name, schema in properties.items() if '"string"' in json.dumps(schema)]
            cases += [(tool.name, {**dict.fromkeys(required, "x"), name: text}) for name in texts for text in SQL]
            cases.append((tool.name, dict.fromkeys(required, 10**12)))
        for name, arguments in cases:
            asked += 1
            with contextlib.suppress(UnicodeEncodeError):
                text, is_error = await _call(client, name, arguments)
                while "rate limit" in text.lower():
                    limited += 1
                    await asyncio.sleep(0.5)
                    text, is_error = await _call(client, name, arguments)
                refused += is_error
                # what an answer repeats of the question is no news to who asked
                for given in arguments.values():
                    text = text.replace(str(given), "")
                is_leaking, is_hiding = is_error and bool(LEAK.search(text)), bool(HIDDEN.search(text))
                leaks += is_leaking
                too_long += len(text) > MAX_CHARACTERS
                hidden += is_hiding
                if is_leaking or is_hiding:
                    samples.append(f"{name} {str(arguments)[:80]}: {text[:300]}")
        latencies = await asyncio.gather(*(_timed(client) for _ in range(AT_ONCE)))
        for _ in range(50):
            task = asyncio.create_task(_call(client, "search_calls", {"text": "price", "limit": 100}))
            await asyncio.sleep(0.005)
            task.cancel()
        text, is_error = await _call(client, "get_team_overview", {})
    good = sorted(seconds for seconds, failed in latencies if not failed)
    return {
        "asked": asked,
        "refused": refused,
        "limited": limited,
        "leaks": leaks,
        "too_long": too_long,
        "hidden": hidden,
        "samples": samples[:10],
        "at_once": AT_ONCE,
        "answered_at_once": len(good),
        "p95_s": round(good[int(len(good) * 0.95)], 2) if good else None,
        "well_afterwards": not is_error,
    }


async def _call(client: Client, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
    try:
        result = await client.call_tool(name, arguments, raise_on_error=False)
    except Exception as error:
        # a protocol error is an answer too; what matters is what it says
        return str(error), True
    return "".join(getattr(block, "text", "") for block in result.content), bool(result.is_error)


async def _timed(client: Client) -> tuple[float, bool]:
    began = time.monotonic()
    _, is_error = await _call(client, "search_calls", {"text": "price", "limit": 20})
    return time.monotonic() - began, is_error


def _busy(database_url: str) -> int:
    """Sessions that hold a transaction or a statement open."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and state <> 'idle' and pid <> pg_backend_pid() and backend_type = 'client backend'"
        ).fetchone()
    return row[0] if row else 0


def _writes(database_url: str) -> int:
    """Rows written outside the audit log so far."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint from pg_stat_user_tables "
            "where relname <> 'audit_log' and schemaname <> 'dagster'"
        ).fetchone()
    return row[0] if row else 0
