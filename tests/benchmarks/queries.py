"""How long each query behind the dashboard and the MCP tools takes in a large warehouse, for each kind of viewer.

    python tests/benchmarks/warehouse.py --keep FOLDER       makes the warehouse and prints its URL
    python tests/benchmarks/queries.py --database-url URL    prints p50, p95 and max of every function beside the limit

Asks through the pages' own functions, as the reader role under its policies, after one unmeasured round. The p95 of a
question is that of its slowest viewer. `--plans FILE` keeps the plans of what was slowest (queries_plans.txt).
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import math
import pkgutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar

import psycopg

from streamlit_app import queries
from streamlit_app.queries import (
    calls,
    coaching_queue,
    costs,
    follow_ups,
    freshness,
    knowledge_proposals,
    leaderboard,
    marks,
    moments,
    people,
    reviews,
    scores,
    search,
    skills,
    statements,
    talking,
    trust,
)
from streamlit_app.queries.database import Database, TooSlowError
from streamlit_app.queries.viewer import Role, Viewer

LIMIT_MS = 100
VIEWERS = (
    Viewer(viewer_id="rep-1", name="Rep", role="rep", can_write=True),
    Viewer(viewer_id="manager-1", name="Manager", role="manager", can_write=True),
    Viewer(viewer_id="leader", name="Leader", role="leader", can_write=True),
    Viewer(viewer_id="admin", name="Admin", role="admin", can_write=True),
)


class RecordingCursor(psycopg.Cursor[Any]):
    """Remembers what was executed, so that the slow ones can be explained as they were asked."""

    executed: ClassVar[list[tuple[Any, Any]]] = []

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        self.executed.append((query, params))
        return super().execute(query, params, **options)


class RecordingDatabase(Database):
    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        with super()._connection() as connection:
            connection.cursor_factory = RecordingCursor
            yield connection

    def explain(self, ask: Callable[[], object]) -> str:
        """The plans of the statements behind one question, run once more."""
        RecordingCursor.executed.clear()
        ask()
        statements = [
            (query, params) for query, params in RecordingCursor.executed if str(query).lstrip()[:4] == "with"
        ]
        names = [params for query, params in RecordingCursor.executed if "set_config" in str(query)]
        plans = []
        with self._connection() as connection, connection.transaction():
            connection.execute("select set_config('call_coach.viewer', %s, true)", names[-1])
            for query, params in statements:
                lines = connection.execute(f"explain (analyze, buffers, costs off) {query}", params).fetchall()
                plans.append("\n".join(line for (line,) in lines))
        return "\n\n".join(plans)


@dataclass(frozen=True)
class Known:
    """What one viewer asks about: people and calls they may see."""

    rep_id: str
    team_id: str
    call_id: str
    moment_id: str
    today: date


def known_to(database: Database, viewer: Viewer, url: str) -> Known:
    with psycopg.connect(url) as connection:
        [today] = connection.execute("select max(started_at)::date from marts.fct_calls").fetchone() or (None,)
    rep = people.list_reps(database, viewer).rows[0]
    call = calls.latest_calls(database, viewer, rep_id=rep.rep_id, limit=20).rows[-1]
    moment = moments.list_moments(database, viewer, call_id=call.call_id, limit=1).rows[0]
    return Known(
        rep_id=rep.rep_id,
        team_id=rep.team_id,
        call_id=call.call_id,
        moment_id=moment.evidence_id,
        today=today,
    )


def questions(database: Database, viewer: Viewer, known: Known) -> dict[str, Callable[[], object]]:
    """Everything pages and tools ask, with the filters they use."""
    month = {"since": known.today - timedelta(days=27), "until": known.today}
    quarter = {"since": known.today - timedelta(days=89), "until": known.today}
    ever = {"since": date(2000, 1, 1), "until": known.today}
    rep, team, call = known.rep_id, known.team_id, known.call_id

    def ask(function: Callable[..., object], *arguments: Any, **options: Any) -> Callable[[], object]:
        return lambda: function(database, viewer, *arguments, **options)

    page = {
        "list_reps": ask(people.list_reps),
        "list_reps, team, all": ask(people.list_reps, team_id=team, with_callless=True),
        "list_teams": ask(people.list_teams),
        "find_rep": ask(people.find_rep, rep),
        "freshness": ask(freshness.freshness),
        "freshness, team": ask(freshness.freshness, team_id=team),
        "call_head": ask(calls.call_head, call),
        "latest_calls": ask(calls.latest_calls),
        "latest_calls, rep": ask(calls.latest_calls, rep_id=rep, limit=50),
        "call_turns": ask(calls.call_turns, call),
        "call_scores": ask(calls.call_scores, call),
        "call_criteria": ask(calls.call_criteria, call),
        "call_findings": ask(calls.call_findings, call),
        "call_brief": ask(follow_ups.call_brief, call),
        "call_flags": ask(follow_ups.call_flags, call),
        "call_participants": ask(follow_ups.call_participants, call),
        "list_objections, call": ask(follow_ups.list_objections, call_id=call),
        "list_objections, rep": ask(follow_ups.list_objections, rep_id=rep),
        "list_objections, type": ask(follow_ups.list_objections, objection_type="price", since=month["since"]),
        "list_next_steps, call": ask(follow_ups.list_next_steps, call_id=call),
        "list_next_steps, rep": ask(follow_ups.list_next_steps, rep_id=rep),
        "list_next_steps": ask(follow_ups.list_next_steps),
        "talk_shares": ask(follow_ups.talk_shares, rep),
        "rhythms, 28 days": ask(follow_ups.rhythms, **month),
        "usual_rhythm": ask(talking.usual_rhythm),
        "rhythms, rep, 90 days": ask(follow_ups.rhythms, rep_id=rep, **quarter),
        "coaching_queue": ask(coaching_queue.coaching_queue, with_total=True),
        "coaching_queue, rep": ask(coaching_queue.coaching_queue, rep_id=rep, with_total=True),
        "coaching_queue, team": ask(
            coaching_queue.coaching_queue, team_id=team, dimension="discovery", limit=50, with_total=True
        ),
        "leaderboard": ask(leaderboard.leaderboard, with_total=True),
        "leaderboard, dimension": ask(leaderboard.leaderboard, dimension="discovery", window_days=28, team_id=team),
        "leaderboard, rep": ask(leaderboard.leaderboard, rep_id=rep),
        "skills": ask(skills.skills),
        "skills, team": ask(skills.skills, window_days=28, team_id=team, dimension="discovery"),
        "skills, rep": ask(skills.skills, rep_id=rep),
        "dimension_means, 28 days": ask(scores.dimension_means, **month),
        "dimension_means, 90 days": ask(scores.dimension_means, **quarter),
        "dimension_means, team": ask(scores.dimension_means, team_id=team, **month),
        "dimension_means, rep": ask(scores.dimension_means, rep_id=rep, **quarter),
        "dimension_weeks": ask(scores.dimension_weeks),
        "dimension_weeks, team": ask(scores.dimension_weeks, n_weeks=26, team_id=team),
        "standings": ask(scores.standings),
        "standings, team": ask(scores.standings, team_id=team),
        "standings, rep": ask(scores.standings, rep_id=rep),
        "rep_trend": ask(scores.rep_trend, rep),
        "rep_scored_calls": ask(scores.rep_scored_calls, rep),
        "rep_scored_calls, 90 days": ask(scores.rep_scored_calls, rep, since=quarter["since"]),
        "list_moments": ask(moments.list_moments, with_total=True),
        "list_moments, call": ask(moments.list_moments, call_id=call, limit=200),
        "list_moments, rep": ask(
            moments.list_moments, rep_id=rep, dimension="discovery", polarity="gap", with_total=True
        ),
        "list_moments, gaps": ask(moments.list_moments, dimension="discovery", polarity="gap", with_total=True),
        "list_moments, text": ask(moments.list_moments, text="price", with_total=True),
        "list_moments, 28 days": ask(moments.list_moments, side="rep", limit=50, with_total=True, **month),
        "list_statements": ask(statements.list_statements, **quarter),
        "list_statements, call": ask(statements.list_statements, call_id=call),
        "list_statements, wrong": ask(statements.list_statements, team_id=team, verdict="inaccurate", **month),
        "list_statements, ever": ask(statements.list_statements, limit=50),
        "sample_statements": ask(statements.sample_statements, per_verdict=5, **quarter),
        "sample_statements, rep": ask(statements.sample_statements, per_verdict=5, rep_id=rep),
        "search_calls": ask(search.search_calls, with_total=True),
        "search_calls, text": ask(search.search_calls, text="price", with_total=True),
        "search_calls, phrase": ask(search.search_calls, text='"free plan"', with_total=True),
        "search_calls, text and score": ask(
            search.search_calls, text="security price", dimension="discovery", max_score=40, with_total=True
        ),
        "search_calls, score": ask(search.search_calls, dimension="discovery", max_score=30, with_total=True),
        "search_calls, objection": ask(search.search_calls, objection_type="price", with_total=True),
        "search_calls, account": ask(search.search_calls, account="Account 17", with_total=True),
        "search_calls, rep": ask(search.search_calls, rep_id=rep, with_total=True, **quarter),
        "search_calls, team and type": ask(search.search_calls, team_id=team, call_type="demo", with_total=True),
        "review_weeks": ask(reviews.review_weeks),
        "weekly_reviews, week": ask(
            reviews.weekly_reviews, week_start=known.today - timedelta(days=known.today.weekday() + 7)
        ),
        "judge_quality": ask(trust.judge_quality),
        "agreement": ask(trust.agreement),
        "pipeline_health": ask(trust.pipeline_health),
        "moment_reviews": ask(marks.moment_reviews, call),
        "list_requests": ask(marks.list_requests),
        "list_requests, call": ask(marks.list_requests, call_id=call, only_open=True),
        "request_call_analysis": ask(marks.request_call_analysis, call, via="mcp"),
        "audit": lambda: marks.audit(
            database, viewer.viewer_id, surface="mcp", action="benchmark", arguments={}, row_count=0, latency_ms=1
        ),
        "people": lambda: people.people(database),
    }
    if viewer.sees_a_team:
        page |= {
            f"costs, {grouping}, {name}": ask(costs.costs, group_by=grouping, with_total=True, **window)
            for grouping in ("day", "week", "model", "dimension", "total")
            for name, window in (("28 days", month), ("all", ever))
        }
        page["review_moment"] = ask(marks.review_moment, known.moment_id, verdict="agree")
        page["mark_moment"] = ask(marks.mark_moment, known.moment_id, mark="open")
        page["propose_knowledge"] = ask(
            knowledge_proposals.propose_knowledge,
            document_id="benchmark", kind="product", title="Benchmark", body="Text", reason="To measure it",
        )  # fmt: skip
    if viewer.sees_everyone:
        page["request_week_analysis"] = ask(marks.request_week_analysis, month["since"], via="mcp")
    return page


def never_asked(asked: set[str]) -> set[str]:
    """Functions of the query layer that no question above calls."""
    functions = {
        name
        for module in pkgutil.iter_modules(queries.__path__)
        for name, function in inspect.getmembers(
            importlib.import_module(f"streamlit_app.queries.{module.name}"), inspect.isfunction
        )
        if not name.startswith("_") and next(iter(inspect.signature(function).parameters), None) == "database"
    }
    return functions - {name.split(",")[0] for name in asked}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--plans", type=Path, help="file for the plans of the slowest questions")
    options = parser.parse_args()
    database = RecordingDatabase(options.database_url)
    asked = {
        viewer.role: questions(database, viewer, known_to(database, viewer, options.database_url)) for viewer in VIEWERS
    }
    if missing := never_asked({name for found in asked.values() for name in found}):
        sys.exit(f"not measured: {', '.join(sorted(missing))}; add a question for each")
    times: dict[str, dict[Role, list[float]]] = {}
    for number in range(options.rounds + 1):
        for role, found in asked.items():
            for name, ask in found.items():
                started = time.perf_counter()
                # one that ran into the desk's own limit of ten seconds counts with what it took
                with suppress(TooSlowError):
                    ask()
                if number:
                    times.setdefault(name, {}).setdefault(role, []).append((time.perf_counter() - started) * 1000)
    p95 = {name: {role: percentile(taken) for role, taken in found.items()} for name, found in times.items()}
    slowest_first = sorted(times, key=lambda name: -max(p95[name].values()))
    print(f"{'ms':32} {'p50':>7} {'p95':>7} {'max':>7}  slowest viewer of {options.rounds} rounds")
    for name in slowest_first:
        role = max(p95[name], key=p95[name].__getitem__)
        taken = times[name][role]
        over = "  OVER" if p95[name][role] >= LIMIT_MS else ""
        print(f"{name:32} {statistics.median(taken):7.1f} {p95[name][role]:7.1f} {max(taken):7.1f}  {role}{over}")
    n_over = sum(max(found.values()) >= LIMIT_MS for found in p95.values())
    print(f"{len(times)} questions, {n_over} with a p95 of {LIMIT_MS} ms or more")
    if options.plans:
        with options.plans.open("w", encoding="utf-8") as file:
            for name in slowest_first[:5]:
                role = max(p95[name], key=p95[name].__getitem__)
                file.write(f"-- {name}, asked by a {role}, p95 {p95[name][role]:.1f} ms\n")
                with suppress(TooSlowError):
                    file.write(f"{database.explain(asked[role][name])}\n\n")
    database.close()


def percentile(values: list[float], share: float = 0.95) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]


if __name__ == "__main__":
    main()
