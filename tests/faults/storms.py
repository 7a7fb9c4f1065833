"""Gong and Claude misbehave: one at a time in every way we know of, then both at once."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

import psycopg
from stage import Stage

from dagster_project.local.processes import Supervisor
from dagster_project.settings import ROOT

# small pages, so that a handful of calls has cursors that can expire
PAGE = ("--page-size", "2")
# every request, until the storm is called off
ALWAYS = 1_000_000
PASSING = [("429", 4, 2), ("500", 4, 3), ("cut-body", 3, 3), ("malformed-json", 3, 3)]
PASSING += [("cursor-expired", 2, 1), ("repeated-cursor", 1, 3), ("hang", 2, 4)]
# kind -> which faults strike how often at every n-th chance, and how many runs meet them before they are called off;
# with 0 they strike until they are used up
GONG_STORMS: Mapping[str, tuple[Sequence[tuple[str, int, int]], int]] = {
    "429 for hours": ([("429-for-hours", ALWAYS, 1)], 1),
    "nothing but 500": ([("500", ALWAYS, 1)], 1),
    "all that passes": (PASSING, 0),
    "late, older and doubled calls": (
        [("late-call", 2, 1), ("late-transcript", 2, 1), ("mutated-call", 1, 1), ("duplicate-across-pages", 2, 2)],
        # an older version is seen to be one when the call is read again
        1,
    ),
}
GONG_LIMITS = {"GONG_TIMEOUT_S": "5", "GONG_REQUESTS_PER_SECOND": "3"}
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
    """Every kind of weather over a database of its own; runs go on until one is whole. And nobody there at all."""
    for _ in range(n):
        for kind, (faults, stormy_runs) in GONG_STORMS.items():
            url = stage.new_database()
            with _stormy_gong(stage, faults) as gong:
                codes, said = _runs_until_whole(stage, url, gong, stormy_runs)
                seen = _control(gong)
            _observe_gong(stage, url, kind, codes, said, seen)
        url = stage.new_database()
        code, seconds = stage.complete_run(url, {"GONG_API_BASE_URL": "http://127.0.0.1:9"})
        said = _said(stage, url, "http://127.0.0.1:9")
        last, _ = stage.complete_run(url, GONG_LIMITS)
        _observe_gong(stage, url, f"nobody there ({seconds} s)", [code, last], said, {})


def _runs_until_whole(stage: Stage, url: str, gong: str, stormy_runs: int) -> tuple[list[int], list[str]]:
    """Exit codes of the runs, and what they said of being partial."""
    codes: list[int] = []
    said: list[str] = []
    while len(codes) < TRIES and (len(codes) <= stormy_runs or codes[-1] != 0):
        if len(codes) == stormy_runs > 0:
            _control(gong, faults=[])
        codes.append(stage.complete_run(url, {"GONG_API_BASE_URL": gong, **GONG_LIMITS})[0])
        said += _said(stage, url, "partial")
    return codes, said


def _said(stage: Stage, url: str, text: str) -> list[str]:
    return [line.strip() for line in stage.last_log(url).splitlines() if text in line]


def _observe_gong(
    stage: Stage, url: str, kind: str, codes: list[int], said: list[str], seen: Mapping[str, Any]
) -> None:
    stage.observe(
        "Gong storms",
        url,
        kind=kind,
        codes=codes,
        code=codes[-1],
        said=said[:3],
        counted=_gong_requests(url),
        served=seen.get("requests", 0),
        most_in_a_second=seen.get("most_in_a_second", 0),
        struck={name: times for name, times in seen.get("struck", {}).items() if times},
    )
    stage.drop(url)


def _control(gong: str, **wanted: Any) -> dict[str, Any]:
    """Exchange the simulator's faults; returns what it saw so far."""
    with urlopen(Request(f"{gong}/_control", data=json.dumps(wanted).encode(), method="POST"), timeout=60) as answer:
        return dict(json.load(answer))


@contextmanager
def _stormy_gong(stage: Stage, faults: Sequence[tuple[str, int, int]]) -> Iterator[str]:
    arguments = ["--data", str(stage.folder / "company"), *PAGE]
    with Supervisor(logs=stage.folder / "logs") as supervisor:
        gong = supervisor.start_server(
            "stormy_gong",
            [sys.executable, "-m", "dlt_pipelines.gong.simulator", *arguments],
            environment={"PYTHONPATH": str(ROOT)},
        )
        _control(gong, faults=[{"kind": kind, "strikes": times, "every": every} for kind, times, every in faults])
        yield gong


def _gong_requests(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select sum(requests)::int from raw_gong._requests").fetchone()
    return row[0] if row else 0


def claude_storms(stage: Stage, n: int) -> None:
    """A spend limit, then everything that passes; and answers that stay nonsense until they stop."""
    for _ in range(n):
        for kind, storms in (("limits and outages", [SPEND_CAP, CLAUDE_PASSING]), ("nonsense", [NONSENSE, []])):
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
                codes.append(stage.complete_run(url, {"GONG_API_BASE_URL": gong, **GONG_LIMITS})[0])
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
