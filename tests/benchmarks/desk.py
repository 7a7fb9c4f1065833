"""How fast the desk answers at 20,000 calls: tools over HTTP, pages in a browser, start-up and memory.

python tests/benchmarks/desk.py                       builds its own warehouse in a temporary folder
python tests/benchmarks/desk.py --calls 2000 --views 100
python tests/benchmarks/desk.py --database-url URL    measures a warehouse that is there already
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from psycopg import sql

from dagster_project.database.migrate import migrate
from dagster_project.local import postgres

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "dbt" / "models" / "marts"
TURNS_PER_COPY = 8
TURN_COPIES = 8
# tables whose rows belong to a call, and the columns that make a copy of a row another row
COPIED = {
    "fct_calls": ("call_id",),
    "fct_turns": ("call_id",),
    "fct_call_participants": ("call_id",),
    "fct_call_briefs": ("call_id",),
    "fct_objections": ("call_id",),
    "fct_next_steps": ("call_id",),
    "fct_call_flags": ("call_id",),
    "fct_scores": ("call_id",),
    "fct_criterion_scores": ("call_id",),
    "fct_marker_findings": ("call_id",),
    "fct_evidence": ("call_id", "evidence_id"),
    "fct_llm_requests": ("request_id", "call_id"),
    "mart_coaching_queue": ("moment_id", "call_id"),
}
RECENT_ONLY = {"mart_coaching_queue"}
TOOL_CALLS: dict[str, dict[str, Any]] = {
    "analyze_call": {"call_id": "call-finch-05-0-7"},
    "get_rep_insights": {"rep": "finch"},
    "search_calls": {"text": "price", "dimension": "discovery", "max_score": 70},
    "find_moments": {"dimension": "discovery", "polarity": "gap"},
    "compare_calls": {"call_ids": ["call-finch-05-0-7", "call-wren-05-0-9"]},
    "get_coaching_plan": {"rep": "finch"},
    "get_coaching_queue": {},
    "get_team_overview": {},
    "get_leaderboard": {"dimension": "discovery"},
    "analyze_product_knowledge": {},
    "get_cost_report": {"group_by": "dimension"},
    "describe_metric": {"metric": "mean_score"},
}
PAGES = {
    "overview": "/",
    "queue": "/queue",
    "rep": "/rep?rep=finch",
    "call": "/call?call=call-finch-05-0-7",
    "search": "/search?q=price",
    "compare": "/compare?a=call-finch-05-0-7&b=call-wren-05-0-9",
    "leaderboard": "/leaderboard",
    "skills": "/skills",
    "costs": "/costs",
    "quality": "/quality",
    "health": "/health",
    "reviews": "/reviews",
}


def say(text: str) -> None:
    print(text, flush=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def company() -> Any:
    """The small company of the desk's tests."""
    spec = importlib.util.spec_from_file_location("desk_company", ROOT / "tests" / "streamlit_app" / "conftest.py")
    if spec is None or spec.loader is None:
        raise RuntimeError("the tests of the desk are not where they should be")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(url: str, n_calls: int) -> None:
    """The company's rows, copied until there are enough calls, with the indexes that dbt gives the marts."""
    desk = company()
    migrate(url)
    desk.load_company(url, desk.company_rows())
    with psycopg.connect(url, autocommit=True) as connection:
        held = connection.execute("select count(*) from marts.fct_calls").fetchone()[0]  # type: ignore[index]
        copies = max(1, n_calls // held)
        for table, keys in COPIED.items():
            names = [
                name
                for (name,) in connection.execute(
                    "select attname from pg_attribute where attrelid = ('marts.' || %s)::regclass and attnum > 0 "
                    "order by attnum",
                    (table,),
                )
            ]
            values = [
                sql.SQL("{} || '-' || copy").format(sql.Identifier(name))
                if name in keys
                # eight stretches of twelve weeks: about two years of calls
                else sql.SQL("{} - 84 * (copy %% 8) * interval '1 day'").format(sql.Identifier(name))
                if name in ("started_at", "week_start", "day")
                else sql.Identifier(name)
                for name in names
            ]
            connection.execute(
                sql.SQL(
                    "insert into marts.{} ({}) select {} from marts.{} cross join generate_series(1, %s) as copy"
                ).format(
                    sql.Identifier(table),
                    sql.SQL(", ").join(map(sql.Identifier, names)),
                    sql.SQL(", ").join(values),
                    sql.Identifier(table),
                ),
                (copies // 8 if table in RECENT_ONLY else copies,),
            )
        connection.execute(
            "insert into marts.fct_turns (call_id, turn_id, rep_id, speaker_id, side, speaker_label, start_ms, end_ms, "
            "text, n_words, is_question, is_backchannel, search) "
            "select call_id, turn_id + %s * copy, rep_id, speaker_id, side, speaker_label, start_ms + 160000 * copy, "
            "end_ms + 160000 * copy, text, n_words, is_question, is_backchannel, search "
            "from marts.fct_turns cross join generate_series(1, %s) as copy",
            (TURNS_PER_COPY, TURN_COPIES - 1),
        )
        for path in MODELS.rglob("*.sql"):
            for columns in re.findall(r"\{'columns': \[([^\]]+)\](?!, 'type')", path.read_text(encoding="utf-8")):
                listed = sql.SQL(", ").join(sql.Identifier(name.strip(" '")) for name in columns.split(","))
                connection.execute(sql.SQL("create index on marts.{} ({})").format(sql.Identifier(path.stem), listed))
        connection.execute("create index on marts.fct_turns using gin (search)")
        connection.execute("vacuum analyze")
        sizes = connection.execute(
            "select (select count(*) from marts.fct_calls), (select count(*) from marts.fct_turns), "
            "(select count(*) from marts.fct_evidence), pg_size_pretty(pg_database_size(current_database()))"
        ).fetchone()
    say("warehouse: {:,} calls, {:,} turns, {:,} moments, {}".format(*sizes))  # type: ignore[misc]


@contextmanager
def process(command: list[str], url: str, port: int, **extra: str) -> Iterator[tuple[psutil.Process, float]]:
    """A service, and how long it took to accept connections."""
    started = time.perf_counter()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CALL_COACH_")}
    running = subprocess.Popen(
        command,
        env={**kept, "DATABASE_URL": url, "CALL_COACH_LOCAL_VIEWER": "admin", **extra},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while time.perf_counter() - started < 60:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield psutil.Process(running.pid), time.perf_counter() - started
    finally:
        running.terminate()
        running.wait(timeout=20)


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def measure_tools(url: str, rounds: int) -> None:
    port = free_port()
    command = [sys.executable, "-m", "streamlit_app.mcp_server", "--http", "--port", str(port)]
    with process(command, url, port) as (_, start_s):
        say(f"MCP server starts in {start_s:.1f} s")
        everything: list[float] = []
        async with Client(StreamableHttpTransport(f"http://127.0.0.1:{port}/mcp")) as client:
            for tool, arguments in TOOL_CALLS.items():
                took: list[float] = []
                for _ in range(rounds):
                    at = time.perf_counter()
                    result = await client.call_tool(tool, arguments, raise_on_error=False)
                    took.append((time.perf_counter() - at) * 1000)
                    if result.is_error:
                        say(f"  {tool}: {result.content[0].text}")  # type: ignore[union-attr]
                everything += took[1:]
                say(f"  {tool:28} p50 {statistics.median(took):6.0f} ms   p95 {quantile(took, 0.95):6.0f} ms")
            say(f"  all tools, one at a time     p95 {quantile(everything, 0.95):6.0f} ms")
            at = time.perf_counter()
            results = await asyncio.gather(
                *(client.call_tool("get_rep_insights", {"rep": "finch"}, raise_on_error=False) for _ in range(20))
            )
            errors = sum(result.is_error for result in results)
            say(f"  20 at once: {time.perf_counter() - at:.2f} s, {errors} errors")


def measure_pages(url: str, views: int) -> None:
    port = free_port()
    app = str(ROOT / "streamlit_app" / "app.py")
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        app,
        "--server.port",
        str(port),
        "--server.enableAgentApi=true",
    ]
    site = f"http://127.0.0.1:{port}"
    with process(command, url, port) as (server, _):
        chromium = next((path for path in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(path).exists()), None)
        if chromium is None:
            say("no Chromium: pages are not timed")
        else:
            _time_in_browser(site, chromium)
        _views(site, server, views)


def _time_in_browser(site: str, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    settled = (
        "() => document.querySelector('h1') && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState "
        "=== 'notRunning' && !document.querySelector('[data-testid=stSkeleton]')"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        warm = browser.new_context()
        for label in ("cold", "warm"):
            for name, path in PAGES.items():
                # cold: nothing in the browser's cache and nothing yet asked for on the server
                page = (browser.new_context() if label == "cold" else warm).new_page()
                at = time.perf_counter()
                page.goto(site + path)
                page.wait_for_function(settled, timeout=120_000)
                say(f"  {label} {name:12} {time.perf_counter() - at:5.2f} s")
                page.close()
        browser.close()


def _views(site: str, server: psutil.Process, views: int) -> None:
    """Memory of the dashboard over many page views, asked for as an agent would."""
    names = ["overview", "queue", "leaderboard", "skills", "quality", "health", "reviews", "costs"]
    with httpx.Client(timeout=60) as client:
        for nth in range(views):
            page = names[nth % len(names)]
            client.post(
                f"{site}/_stcore/agent/interact", json={} if page == "overview" else {"page": page}
            ).raise_for_status()
            if nth in (views // 10, views // 2, views - 1):
                say(f"  after {nth + 1:5} views: {server.memory_info().rss / 2**20:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--views", type=int, default=1_000)
    parser.add_argument("--database-url")
    parser.add_argument("--only", choices=["tools", "pages"])
    arguments = parser.parse_args()
    say(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.database_url
        if url is None:
            url = postgres.ensure_database(postgres.start(Path(folder) / "postgres"), "desk")
            build(url, arguments.calls)
        try:
            if arguments.only != "pages":
                asyncio.run(measure_tools(url, arguments.rounds))
            if arguments.only != "tools":
                measure_pages(url, arguments.views)
        finally:
            if arguments.database_url is None:
                postgres.stop(Path(folder) / "postgres")


if __name__ == "__main__":
    main()
