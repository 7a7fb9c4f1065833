"""How fast the desk answers in a large warehouse: start, tools over HTTP, hostile texts, pages in a browser, memory.

    python tests/benchmarks/warehouse.py --keep FOLDER    makes the warehouse and prints its URL
    python tests/benchmarks/desk.py --database-url URL    prints every figure beside its limit
    python tests/benchmarks/desk.py --database-url URL --only tools

Clients and servers share the machine. The first call of each tool and the first view of each page are cold. A warm page
is a new tab, beside it the same page reached by a click, and above all a page of Streamlit's with only a title.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil
import psycopg
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

ROOT = Path(__file__).parents[2]
CHROMIUMS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
START_LIMIT_S, TOOL_LIMIT_MS, WARM_LIMIT_S, COLD_LIMIT_S = 2.0, 100.0, 1.0, 3.0
# memory that a long-lived server may still gain after its first hundred views
GROWTH_LIMIT_MB = 30
SESSIONS = 8
# what a question may cost whoever else waits, however it is put; the database gives up at 10 s
HOSTILE_LIMIT_S = 2.0
HOSTILE = (
    "x" * 1_000_000,
    "price " * 30_000,
    "%_" * 60,
    "(a+)+$" * 20,
    "!(a & b | c) <-> d:* " * 9,
    " or ".join(["price", "budget", "time"] * 8),
    "price budget time cost plan team next week call data",
    "-price -budget -time -the",
    "the of and to",
    '"' * 199,
    "'; drop schema marts cascade; --",
    "e" + "\u0301" * 199,
    "a\x00b",
)
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "benchmark", "version": "1"},
    },
}
SETTLED = """before => {
    const title = document.querySelector('h1')?.innerText
    return title && title !== before
        && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
        && !document.querySelector('[data-testid=stSkeleton]')
        && [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(box => box.querySelector('canvas,svg'))
}"""
# a walk through the dashboard: the page that each click opens
CLICKS = {
    "queue": "Coaching queue",
    "search": "Search",
    "compare": "Compare calls",
    "skills": "Skills",
    "reviews": "Weekly reviews",
    "costs": "Cost and cache",
    "quality": "Judge quality",
    "health": "Pipeline health",
    "leaderboard": "Leaderboard",
    "overview": "Overview",
}


@dataclass(frozen=True)
class Subjects:
    """What the questions are about: someone with many calls, two scored calls of theirs, one of their moments."""

    rep: str
    call: str
    other_call: str
    moment: str


def say(text: str) -> None:
    print(text, flush=True)


def verdict(value: float, limit: float) -> str:
    return "ok" if value <= limit else "OVER"


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def subjects(url: str) -> Subjects:
    """The rep with most scored calls, so that nothing is measured on a small case."""
    with psycopg.connect(url) as connection:
        counts = connection.execute(
            "select (select count(*) from marts.fct_calls), (select count(*) from marts.fct_turns), "
            "(select count(*) from marts.fct_evidence), pg_size_pretty(pg_database_size(current_database()))"
        ).fetchone()
        rep = connection.execute(
            "select rep_id from marts.fct_calls where is_scored group by rep_id order by count(*) desc, rep_id limit 1"
        ).fetchone()
        if counts is None or rep is None:
            raise SystemExit("This warehouse holds no scored call.")
        calls = connection.execute(
            "select call_id from marts.fct_calls where rep_id = %s and is_scored order by started_at desc limit 2", rep
        ).fetchall()
        moment = connection.execute(
            "select evidence_id from marts.fct_evidence where call_id = %s and is_current limit 1", calls[0]
        ).fetchone()
    say("warehouse: {:,} calls, {:,} turns, {:,} moments, {}".format(*counts))
    return Subjects(rep[0], calls[0][0], calls[1][0], moment[0] if moment else "")


def tool_calls(about: Subjects) -> dict[str, dict[str, Any]]:
    return {
        "analyze_call": {"call_id": about.call},
        "get_rep_insights": {"rep": about.rep},
        "search_calls": {"text": "price", "dimension": "discovery", "max_score": 70},
        "find_moments": {"text": "price", "dimension": "discovery", "polarity": "gap"},
        "compare_calls": {"call_ids": [about.call, about.other_call]},
        "get_coaching_plan": {"rep": about.rep},
        "get_coaching_queue": {},
        "get_team_overview": {},
        "get_leaderboard": {"dimension": "discovery"},
        "analyze_product_knowledge": {},
        "export_coaching_report": {"rep": about.rep},
        "get_cost_report": {"group_by": "dimension"},
        "describe_metric": {"metric": "mean_score"},
    }


def pages(about: Subjects) -> dict[str, str]:
    return {
        "overview": "/",
        "queue": "/queue",
        "rep": f"/rep?rep={about.rep}",
        "talking": f"/rep?rep={about.rep}&view=How+they+talk",
        "call": f"/call?call={about.call}&moment={about.moment}",
        "transcript": f"/call?call={about.call}&view=Transcript",
        "search": "/search?q=price",
        "compare": f"/compare?a={about.call}&b={about.other_call}",
        "leaderboard": "/leaderboard",
        "skills": "/skills",
        "reviews": "/reviews",
        "costs": "/costs",
        "quality": "/quality",
        "health": "/health",
    }


def environment(url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CALL_COACH_")}
    return {**kept, "DATABASE_URL": url, "CALL_COACH_LOCAL_VIEWER": "admin", "LOG_LEVEL": "WARNING"}


@contextmanager
def process(command: list[str], url: str, **pipes: Any) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(
        [sys.executable, *command],
        env=environment(url),
        cwd=ROOT,
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **pipes},
    )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(timeout=20)


def listening(port: int, deadline_s: float = 60) -> None:
    until = time.perf_counter() + deadline_s
    while time.perf_counter() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise SystemExit("the server did not start")


def stdio_start(url: str) -> float:
    """Seconds from starting the process to its answer to `initialize`."""
    began = time.perf_counter()
    with process(
        ["-m", "streamlit_app.mcp_server", "--stdio"], url, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        if running.stdin is None or running.stdout is None:
            raise SystemExit("the server has no pipes")
        running.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        running.stdin.flush()
        answer = json.loads(running.stdout.readline())
        took = time.perf_counter() - began
        running.stdin.close()
    if answer["result"]["serverInfo"]["name"] != "call-coach":
        raise SystemExit(f"unexpected answer: {answer}")
    return took


def http_start(url: str) -> float:
    """Seconds from starting the process to its answer to `initialize` over HTTP."""
    port = free_port()
    began = time.perf_counter()
    with process(["-m", "streamlit_app.mcp_server", "--http", "--port", str(port)], url):
        listening(port)
        headers = {"Accept": "application/json, text/event-stream"}
        httpx.post(f"http://127.0.0.1:{port}/mcp", json=INITIALIZE, headers=headers, timeout=30).raise_for_status()
        return time.perf_counter() - began


def measure_start(url: str) -> None:
    for name, start in (("stdio", stdio_start), ("HTTP", http_start)):
        took = [start(url) for _ in range(5)]
        worst = max(took)
        say(
            f"MCP server over {name}: first answer after {statistics.median(took):.2f} s, at worst {worst:.2f} s of 5 "
            f"(limit {START_LIMIT_S:g} s: {verdict(worst, START_LIMIT_S)})"
        )


async def measure_tools(url: str, about: Subjects, rounds: int) -> None:
    port = free_port()
    asked = tool_calls(about)
    with process(["-m", "streamlit_app.mcp_server", "--http", "--port", str(port)], url):
        listening(port)
        async with Client(StreamableHttpTransport(f"http://127.0.0.1:{port}/mcp")) as client:
            say(f"tools over HTTP, one at a time, {rounds} calls each after one cold; limit p95 {TOOL_LIMIT_MS:g} ms")
            warm: list[float] = []
            for tool, arguments in asked.items():
                took: list[float] = []
                failed = ""
                for _ in range(rounds + 1):
                    at = time.perf_counter()
                    result = await client.call_tool(tool, arguments, raise_on_error=False)
                    took.append((time.perf_counter() - at) * 1000)
                    failed = result.content[0].text if result.is_error else failed  # type: ignore[union-attr]
                p95 = quantile(took[1:], 0.95)
                warm += took[1:]
                say(
                    f"  {tool:28} p50 {statistics.median(took[1:]):6.0f}   p95 {p95:6.0f}   cold {took[0]:6.0f} ms   "
                    f"{verdict(p95, TOOL_LIMIT_MS)}{f'   FAILED: {failed}' if failed else ''}"
                )
            everything = quantile(warm, 0.95)
            say(f"  {'all tools':28} p95 {everything:6.0f} ms   {verdict(everything, TOOL_LIMIT_MS)}")
            at = time.perf_counter()
            mixed = list(asked.items()) * 2
            results = await asyncio.gather(
                *(client.call_tool(tool, arguments, raise_on_error=False) for tool, arguments in mixed[:20])
            )
            errors = [result.content[0].text for result in results if result.is_error]  # type: ignore[union-attr]
            say(f"  20 at once: {time.perf_counter() - at:.2f} s, {len(errors)} errors {errors or ''}")


async def measure_hostile(url: str, about: Subjects) -> None:
    """The slowest answer or refusal of each tool when one of its texts is what nobody should send."""
    port = free_port()
    with process(["-m", "streamlit_app.mcp_server", "--http", "--port", str(port)], url):
        listening(port)
        async with Client(StreamableHttpTransport(f"http://127.0.0.1:{port}/mcp")) as client:
            schemas = {tool.name: tool.input_schema["properties"] for tool in await client.list_tools()}
            say(f"hostile texts in every text argument, the slowest of each tool; limit {HOSTILE_LIMIT_S:g} s")
            for tool, usual in tool_calls(about).items():
                took: list[tuple[float, str]] = []
                for name, schema in schemas[tool].items():
                    kinds = [schema, *schema.get("anyOf", ())]
                    if not any(kind.get("type") == "string" and "enum" not in kind for kind in kinds):
                        continue
                    for text in HOSTILE:
                        at = time.perf_counter()
                        await client.call_tool(tool, {**usual, name: text}, raise_on_error=False)
                        took.append((time.perf_counter() - at, f"{name}={text[:24]!r}"))
                if took:
                    slowest, what = max(took)
                    found = f"{len(took):4} asked   {slowest:5.2f} s   {verdict(slowest, HOSTILE_LIMIT_S):4}"
                    say(f"  {tool:28} {found}   {what}")


def measure_pages(url: str, about: Subjects, views: int, *, is_timed: bool) -> None:
    port = free_port()
    app = str(ROOT / "streamlit_app" / "app.py")
    options = ["--server.port", str(port), "--server.enableAgentApi=true"]
    site = f"http://127.0.0.1:{port}"
    chromium = next((path for path in CHROMIUMS if Path(path).exists()), None)
    with process(["-m", "streamlit", "run", app, *options], url) as running:
        listening(port)
        if is_timed and chromium is None:
            say("no Chromium: pages are not timed")
        elif is_timed and chromium is not None:
            with bare_page(url) as bare:
                _time_in_browser(site, bare, chromium, pages(about))
        if views:
            _views(site, psutil.Process(running.pid), views)


@contextmanager
def bare_page(url: str) -> Iterator[str]:
    """What any page of Streamlit's takes in this browser: one title, no query, no chart."""
    port = free_port()
    with TemporaryDirectory() as folder:
        app = Path(folder) / "app.py"
        app.write_text("import streamlit\n\nstreamlit.title('Bare')\n", encoding="utf-8")
        options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
        with process(["-m", "streamlit", "run", str(app), *options], url):
            listening(port)
            yield f"http://127.0.0.1:{port}"


def _time_in_browser(site: str, bare: str, chromium: str, paths: dict[str, str]) -> None:
    from playwright.sync_api import sync_playwright

    say(f"pages in Chromium until nothing moves; limits {COLD_LIMIT_S:g} s cold, {WARM_LIMIT_S:g} s warm")
    with sync_playwright() as playwright:
        # a headless page counts as hidden, and hidden pages are run at the lowest priority
        shown = ["--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows"]
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *shown])
        cold: dict[str, float] = {}
        for name, path in paths.items():
            # nothing in the browser's cache, nothing yet asked for on the server
            context = browser.new_context()
            cold[name] = _opening(context.new_page(), site + path)
            context.close()
        context = browser.new_context()
        _opening(context.new_page(), bare)
        say(f"  a bare page of Streamlit's: warm {statistics.median(_tabs(context, bare)):5.2f} s")
        walk = context.new_page()
        _opening(walk, site)
        clicked: dict[str, list[float]] = {name: [] for name in CLICKS}
        for _ in range(4):
            for name, title in CLICKS.items():
                clicked[name].append(_clicking(walk, title))
        for name, path in paths.items():
            warm = _tabs(context, site + path)
            typical = statistics.median(warm)
            inside = f"   by a click {statistics.median(clicked[name][1:]):5.2f} s" if name in clicked else ""
            say(
                f"  {name:12} cold {cold[name]:5.2f} s {verdict(cold[name], COLD_LIMIT_S):4}   warm {typical:5.2f} s, "
                f"at worst {max(warm):5.2f} s   {verdict(typical, WARM_LIMIT_S):4}{inside}"
            )
        browser.close()


def _tabs(context: Any, address: str) -> list[float]:
    took = []
    for _ in range(5):
        page = context.new_page()
        took.append(_opening(page, address))
        page.close()
    return took


def _opening(page: Any, address: str) -> float:
    at = time.perf_counter()
    page.goto(address)
    page.wait_for_function(SETTLED, timeout=120_000)
    return time.perf_counter() - at


def _clicking(page: Any, title: str) -> float:
    before = page.locator("h1").inner_text()
    link = page.get_by_test_id("stSidebarNav").get_by_role("link", name=title)
    at = time.perf_counter()
    link.click()
    page.wait_for_function(SETTLED, arg=before, timeout=120_000)
    return time.perf_counter() - at


def _views(site: str, server: psutil.Process, views: int) -> None:
    """Memory of the dashboard over many page views, asked for as an agent would, by a few people at once."""
    names = ["overview", "queue", "leaderboard", "skills", "quality", "health", "reviews", "costs", "search"]
    held: dict[int, float] = {}
    sessions: list[str] = []
    with httpx.Client(timeout=60) as client:
        for nth in range(1, views + 1):
            page = names[nth % len(names)]
            body = {} if page == "overview" else {"page": page}
            if len(sessions) == SESSIONS:
                body["session_id"] = sessions[nth % SESSIONS]
            answer = client.post(f"{site}/_stcore/agent/interact", json=body).raise_for_status().json()
            if len(sessions) < SESSIONS:
                sessions.append(answer["session_id"])
            if nth in (views // 10, views // 4, views // 2, 3 * views // 4, views):
                held[nth] = server.memory_info().rss / 2**20
                say(f"  after {nth:5} views: {held[nth]:.0f} MB")
    growth = held[views] - held[views // 10]
    say(f"  growth {growth:+.0f} MB (limit {GROWTH_LIMIT_MB} MB: {verdict(growth, GROWTH_LIMIT_MB)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--views", type=int, default=1_000)
    parser.add_argument("--only", choices=["start", "tools", "hostile", "pages", "memory"])
    arguments = parser.parse_args()
    url = arguments.database_url
    say(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    about = subjects(url)
    if arguments.only in (None, "start"):
        measure_start(url)
    if arguments.only in (None, "tools"):
        asyncio.run(measure_tools(url, about, arguments.rounds))
    if arguments.only in (None, "hostile"):
        asyncio.run(measure_hostile(url, about))
    if arguments.only in (None, "pages", "memory"):
        measure_pages(url, about, arguments.views, is_timed=arguments.only != "memory")


if __name__ == "__main__":
    main()
