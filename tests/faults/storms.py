"""Gong and Claude misbehave: one at a time in every way we know of, then both at once."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from stage import Stage

from dagster_project.local.processes import Supervisor
from dagster_project.settings import ROOT

# small pages, so that a handful of calls has cursors that can expire
PAGE = ("--page-size", "2")
HOURS = ("429-for-hours:1:2",)
PASSING = ("429:4:2", "500:4:3", "cut-body:2:2", "malformed-json:2:3", "cursor-expired:1:1", "hang:1:2")
CLAUDE_PASSING = [
    {"kind": "overloaded", "share": 0.3},
    {"kind": "rate_limit", "share": 0.2, "retry_after": 0.2},
    {"kind": "rate_limit_without_hint", "share": 0.05},
    {"kind": "server_error", "share": 0.1},
    {"kind": "drop_connection", "share": 0.05},
    {"kind": "stream_error", "share": 0.05},
    {"kind": "cut_stream", "share": 0.1},
    {"kind": "broken_json", "share": 0.05},
]
SPEND_CAP = [{"kind": "spend_limit", "share": 1.0, "passes": False, "after": 10}]
NONSENSE = [
    {"kind": kind, "share": 0.1, "passes": False}
    for kind in ("refusal", "wrong_schema", "deep_json", "wrong_quote", "unknown_marker", "max_tokens", "not_json")
]
TRIES = 6


def gong_storms(stage: Stage, n: int) -> None:
    """A day's quota that is gone, then every fault that passes; runs go on until one is whole."""
    for _ in range(n):
        for kind, faults in (("429 for hours", HOURS), ("passing faults", PASSING)):
            url = stage.new_database()
            with _stormy_gong(stage, faults) as gong:
                codes, said = [], []
                for _ in range(TRIES):
                    code, seconds = stage.complete_run(url, {"GONG_API_BASE_URL": gong, "GONG_TIMEOUT_S": "5"})
                    codes.append(code)
                    said += [line.strip() for line in stage.last_log(url).splitlines() if "partial" in line]
                    if code == 0:
                        break
            stage.observe(
                "Gong storms",
                url,
                kind=kind,
                codes=codes,
                code=codes[-1],
                seconds=seconds,
                said=said[:3],
                gong_requests=_gong_requests(url),
            )
            stage.drop(url)


@contextmanager
def _stormy_gong(stage: Stage, faults: Sequence[str]) -> Iterator[str]:
    with Supervisor(logs=stage.folder / "logs") as supervisor:
        arguments = ["--data", str(stage.folder / "company"), *PAGE]
        for fault in faults:
            arguments += ["--fault", fault]
        yield supervisor.start_server(
            "stormy_gong",
            [sys.executable, "-m", "dlt_pipelines.gong.simulator", *arguments],
            environment={"PYTHONPATH": str(ROOT)},
        )


def _gong_requests(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select sum(requests)::int from raw_gong._requests").fetchone()
    return row[0] if row else 0


def claude_storms(stage: Stage, n: int) -> None:
    """A spend limit, then everything that passes, then peace; and answers that stay nonsense until they stop."""
    for _ in range(n):
        for kind, storms in (("limits and outages", [SPEND_CAP, CLAUDE_PASSING, []]), ("nonsense", [NONSENSE, []])):
            url = stage.new_database()
            stage.claude(clear_statistics=True, clear_cache=True)
            codes, states = [], []
            for storm in storms:
                stage.claude(faults=storm)
                codes.append(stage.complete_run(url)[0])
                states.append(_states(url))
            state = stage.claude(faults=[])
            stage.observe(
                "Claude storms",
                url,
                kind=kind,
                codes=codes,
                code=codes[-1],
                states=states,
                n_questions=_questions(url),
                served=state["requests"],
                billed_usd=state["billed_usd"],
                log=stage.last_log(url)[-600:],
            )
            stage.drop(url)


def _states(database_url: str) -> dict[str, int]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select status, count(*) from analysis.call_results group by status").fetchall()
    return dict(rows)


def _questions(database_url: str) -> int:
    """Calls times dimensions: what has to end in some state."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(distinct call_id) * (select count(*) + 1 from knowledge.rubrics where is_current) "
            "from analysis.transcript_chunks"
        ).fetchone()
    return row[0] if row else 0


def api_storms(stage: Stage, n: int) -> None:
    """Both at once, in every way that passes."""
    for _ in range(n):
        url = stage.new_database()
        with _stormy_gong(stage, PASSING) as gong:
            stage.claude(faults=CLAUDE_PASSING, clear_statistics=True, clear_cache=True)
            codes: list[int] = []
            while len(codes) < TRIES and 0 not in codes:
                codes.append(stage.complete_run(url, {"GONG_API_BASE_URL": gong, "GONG_TIMEOUT_S": "5"})[0])
            served: dict[str, Any] = stage.claude(faults=[])["requests"]
        code, seconds = stage.complete_run(url)
        stage.observe(
            "API storms",
            url,
            codes=codes,
            code=code,
            seconds=seconds,
            served=served,
            billed_usd=stage.claude()["billed_usd"],
        )
        stage.drop(url)
