"""A small company in tables shaped as dbt's contracts say, so that the desk is tested without a dbt build."""

import hashlib
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from psycopg import sql
from psycopg.types.json import Jsonb

from knowledge.rubrics import load_rubrics
from streamlit_app.queries.database import Database
from streamlit_app.queries.viewer import ADMIN, Viewer, viewer_for

ROOT = Path(__file__).parents[2]
MARTS = ROOT / "dbt" / "models" / "marts"
CHROMIUMS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
READY_MS = 60_000
TODAY = datetime.now(UTC).date()
RUNNING_WEEK = TODAY - timedelta(days=TODAY.weekday())

# id, name, title, role, manager, upwards
PEOPLE = (
    ("eagle", "Eagle Sample", "VP Sales", "other", None, []),
    ("robin", "Robin Sample", "Sales Manager", "other", "eagle", ["eagle"]),
    ("martin", "Martin Sample", "Sales Manager", "other", "eagle", ["eagle"]),
    ("jay", "Jay Sample", "Team Lead Account Executives", "AE", "robin", ["robin", "eagle"]),
    ("wren", "Wren Sample", "Account Executive", "AE", "robin", ["robin", "eagle"]),
    ("finch", "Finch Sample", "Account Executive", "AE", "robin", ["robin", "eagle"]),
    ("heron", "Heron Sample", "Solutions Engineer", "SE", "robin", ["robin", "eagle"]),
    ("dove", "Dove Sample", "Account Executive", "AE", "jay", ["jay", "robin", "eagle"]),
    ("crane", "Crane Sample", "Account Executive", "AE", "martin", ["martin", "eagle"]),
    ("swift", "Swift Sample", "Customer Success Manager", "CSM", "martin", ["martin", "eagle"]),
    ("gull", "Gull Former", "Account Executive", "AE", "martin", ["martin", "eagle"]),
)
NAMES = {rep_id: name for rep_id, name, *_ in PEOPLE}
SELLERS = ("wren", "finch", "heron", "dove", "crane", "swift")
SKILL = {"wren": 82, "finch": 48, "heron": 66, "dove": 60, "crane": 74, "swift": 55}
# what finch learns week by week in discovery: the planted trend
CLIMB = {("finch", "discovery"): 3.2, ("crane", "objections"): -3.4}
WEEKS = 12
CALL_TYPES = ("discovery", "demo", "negotiation", "check_in")
OBJECTIONS = ("price", "timing", "competitor", "technical")
LINES = {
    "rep": (
        "What is the hardest part of a normal Monday for your data team?",
        "So what I am hearing is that the nightly load blocks everyone until nine.",
        "Let me show you the dashboard, the settings and every menu we have.",
        "Shall we agree that you send the schema by Thursday and we meet again on Friday?",
    ),
    "customer": (
        "We lose roughly two days a month to failed loads.",
        "Honestly the price is more than we planned for this year.",
        "Exactly, and it is worse at the end of the quarter.",
        "I will bring our security lead to the next meeting.",
    ),
}


def scored_role(title: str, role: str) -> str:
    return role if role in ("AE", "SE", "CSM") else "AE"


def company_rows(*, calls_per_week: int = 2, seed: int = 7) -> dict[str, list[dict[str, Any]]]:
    """Rows per mart; the same seed gives the same rows for the same day."""
    draw = random.Random(seed)
    rubrics = load_rubrics()
    rows: dict[str, list[dict[str, Any]]] = {}

    def add(table: str, **row: Any) -> None:
        rows.setdefault(table, []).append(row)

    scores: dict[tuple[str, str], list[tuple[datetime, float]]] = {}
    n_calls = dict.fromkeys(NAMES, 0)
    for week in range(WEEKS):
        week_start = RUNNING_WEEK - timedelta(weeks=WEEKS - 1 - week)
        for rep_id in SELLERS:
            for nth in range(calls_per_week):
                started_at = datetime(
                    week_start.year, week_start.month, week_start.day, 9 + nth, tzinfo=UTC
                ) + timedelta(days=nth % 5)
                if started_at.date() > TODAY:
                    started_at = datetime(TODAY.year, TODAY.month, TODAY.day, 0, nth % 60, tzinfo=UTC)
                call_id = f"call-{rep_id}-{week:02d}-{nth}"
                n_calls[rep_id] += 1
                _add_call(
                    add,
                    draw,
                    rubrics,
                    scores,
                    rep_id=rep_id,
                    call_id=call_id,
                    week=week,
                    week_start=week_start,
                    started_at=started_at,
                    nth=nth,
                )
    _add_people(add, n_calls)
    _add_trends(add, scores, rubrics)
    _add_boards(add, scores, rubrics)
    _add_money(add, rubrics)
    _add_trust(add, rubrics)
    _add_skill_gaps(add, rows, rubrics)
    _add_queue(add, rows)
    _add_reviews(add)
    return rows


def _add_people(add: Any, n_calls: dict[str, int]) -> None:
    for rep_id, name, title, role, manager, path in PEOPLE:
        add(
            "dim_reps",
            rep_id=rep_id,
            rep_name=name,
            email=f"{rep_id}@example.test",
            title=title,
            role=role,
            manager_id=manager,
            manager_name=NAMES.get(manager or ""),
            team_id=manager or "none",
            team_name=f"Team {NAMES[manager].split()[0]}" if manager else "No team",
            manager_path=path,
            is_active=rep_id != "gull",
            is_manager=rep_id in ("eagle", "robin", "martin", "jay"),
            first_call_at=datetime(2026, 1, 5, tzinfo=UTC) if n_calls[rep_id] else None,
            n_calls=n_calls[rep_id],
        )


def _add_statements(add: Any, rubrics: Any, common: dict[str, Any], *, number: int, started_at: datetime) -> None:
    """Two statements a call: one right; every third call a wrong one, the others a chance missed."""
    wrong = number % 3 == 0
    for statement_number, (verdict, turn_id, side) in enumerate(
        (("correct", 1, "rep"), ("inaccurate", 5, "rep") if wrong else ("missed_opportunity", 4, "customer")), start=1
    ):
        add(
            "fct_statements",
            **common,
            dimension="product_knowledge",
            rubric_version=next(rubric.rubric_version for rubric in rubrics if rubric.dimension == "product_knowledge"),
            statement_number=statement_number,
            verdict=verdict,
            turn_id=turn_id,
            start_ms=(turn_id - 1) * 20_000,
            quote=LINES[side][(turn_id + number) // 2 % 4],
            knowledge_id="example-loads",
            passage="Loads can be repeated without harm.",
            passage_source="Example docs, https://docs.example.test",
            document_title="Example",
            why="The passage says the same." if verdict == "correct" else "The passage says otherwise.",
            started_at=started_at,
            call_url="https://gong.example.test",
            is_sandbox=True,
        )


def _add_call(
    add: Any,
    draw: random.Random,
    rubrics: Any,
    scores: Any,
    *,
    rep_id: str,
    call_id: str,
    week: int,
    week_start: date,
    started_at: datetime,
    nth: int,
) -> None:
    number = week * 10 + nth
    call_type = CALL_TYPES[number % len(CALL_TYPES)]
    account = f"account-{number % 7}"
    is_running_week = week_start == RUNNING_WEEK
    is_unscored = rep_id == "swift" and week == 3
    common = {"call_id": call_id, "rep_id": rep_id, "is_current": True, "week_start": week_start}
    add(
        "fct_calls",
        call_id=call_id,
        title=f"{call_type.replace('_', ' ').capitalize()} with Account {number % 7}",
        url=f"https://gong.example.test/call?id={call_id}",
        started_at=started_at,
        week_start=week_start,
        is_running_week=is_running_week,
        duration_s=1800 + 60 * (number % 20),
        direction="Conference",
        scope="External",
        language="eng",
        call_type=call_type,
        rep_id=rep_id,
        rep_name=NAMES[rep_id],
        account_id=account,
        account_name=f"Account {number % 7}",
        deal_id=f"deal-{number % 7}",
        n_participants=2,
        n_turns=8,
        n_words=110,
        has_transcript=True,
        is_eligible=True,
        ineligible_reason=None,
        n_dimensions_scored=0 if is_unscored else 4,
        is_scored=not is_unscored,
        is_sandbox=True,
        is_private=False,
        is_deleted=False,
        loaded_at=datetime.now(UTC) - timedelta(hours=1),
    )
    for turn_id in range(1, 9):
        side = "rep" if turn_id % 2 else "customer"
        text = LINES[side][(turn_id + number) // 2 % 4]
        add(
            "fct_turns",
            call_id=call_id,
            rep_id=rep_id,
            turn_id=turn_id,
            speaker_id=f"{call_id}-{side}",
            side=side,
            speaker_label="REP" if side == "rep" else "CUSTOMER_1",
            start_ms=(turn_id - 1) * 20_000,
            end_ms=turn_id * 20_000 - 1_000,
            text=text,
            n_words=len(text.split()),
            is_question=text.endswith("?"),
            is_backchannel=False,
            search=text,
        )
    for side in ("rep", "customer"):
        add(
            "fct_call_participants",
            call_id=call_id,
            speaker_id=f"{call_id}-{side}",
            rep_id=rep_id if side == "rep" else None,
            side=side,
            speaker_label="REP" if side == "rep" else "CUSTOMER_1",
            talk_ratio=0.45 + (SKILL[rep_id] % 10) / 100 if side == "rep" else 0.5,
            longest_monologue_s=70 + number % 30,
            patience_s=0.6,
            interruption_rate=0.1,
            n_questions=6 + number % 5,
            questions_per_hour=14,
            switches_per_min=5.2,
            talk_s=600,
            n_words=60,
            n_turns=4,
            longest_customer_story_s=65,
            metric_version="1",
            name=NAMES[rep_id] if side == "rep" else "Customer One",
            is_scored_rep=side == "rep",
        )
    add(
        "fct_call_briefs",
        call_id=call_id,
        rep_id=rep_id,
        summary=f"Account {number % 7} loses time to failed loads and compares prices.",
        priority=("high", "medium", "low", "critical")[number % 4],
        priority_reason="The customer named a budget problem.",
        customer_sentiment="mixed",
        rep_sentiment="positive",
        model="sandbox",
        is_sandbox=True,
        status="scored",
        week_start=week_start,
        started_at=started_at,
        scored_at=datetime.now(UTC),
        rubric_version="brief000000a",
    )
    add(
        "fct_objections",
        objection_number=1,
        call_id=call_id,
        rep_id=rep_id,
        is_current=True,
        week_start=week_start,
        objection_type=OBJECTIONS[number % 4],
        turn_id=4,
        start_ms=60_000,
        quote="Honestly the price is more than we planned for this year.",
        response_turn_id=5,
        outcome=("resolved", "parked", "unresolved")[number % 3],
        is_sandbox=True,
        rubric_version="brief000000a",
    )
    add(
        "fct_call_flags",
        call_id=call_id,
        flag_number=1,
        rep_id=rep_id,
        kind="risk" if number % 2 else "opportunity",
        turn_id=4,
        start_ms=60_000,
        quote="Honestly the price is more than we planned for this year.",
        why="The customer named a budget problem.",
        week_start=week_start,
        started_at=started_at,
        is_sandbox=True,
    )
    add(
        "fct_next_steps",
        next_step_number=1,
        call_id=call_id,
        rep_id=rep_id,
        is_current=True,
        week_start=week_start,
        turn_id=7,
        start_ms=120_000,
        quote="Shall we agree that you send the schema by Thursday",
        owner="customer",
        action="Send the schema",
        due="Thursday",
        is_sandbox=True,
        rubric_version="brief000000a",
    )
    if is_unscored:
        return
    _add_statements(add, rubrics, common, number=number, started_at=started_at)
    for rubric in rubrics:
        skill = SKILL[rep_id] + CLIMB.get((rep_id, rubric.dimension), 0) * (week - WEEKS / 2)
        score = round(min(100.0, max(0.0, draw.gauss(skill, 7))), 2)
        applicable = not (rubric.dimension == "objections" and number % 5 == 0)
        dimension = rubric.dimension
        add(
            "fct_scores",
            **common,
            dimension=dimension,
            rubric_version=rubric.rubric_version,
            started_at=started_at,
            role="AE",
            score=score if applicable else None,
            na_reason=None if applicable else "under 60 % of the weight was applicable",
            applicable_weight_share=1.0 if applicable else 0.4,
            n_markers_met=6,
            n_markers_applicable=10,
            result_key=f"key-{call_id}-{dimension}",
            model="sandbox",
            is_sandbox=True,
            scored_at=datetime.now(UTC),
            status="scored",
        )
        if applicable:
            scores.setdefault((rep_id, dimension), []).append((started_at, score))
        for nth_criterion, criterion in enumerate(rubric.criteria):
            level = None if not applicable else max(1, min(5, round(score / 22) - (nth_criterion == 0)))
            add(
                "fct_criterion_scores",
                **common,
                dimension=dimension,
                criterion_id=criterion.criterion_id,
                rubric_version=rubric.rubric_version,
                level=level,
                weight=criterion.weights["AE"],
                na_reason=None if applicable else "no opportunity",
                n_markers_met=2,
                n_markers_applicable=3,
            )
            for nth_marker, marker in enumerate(criterion.markers[:2]):
                verdict = "yes" if nth_marker == 0 else "no"
                add(
                    "fct_marker_findings",
                    call_id=call_id,
                    rep_id=rep_id,
                    is_current=True,
                    dimension=dimension,
                    criterion_id=criterion.criterion_id,
                    marker_id=marker.marker_id,
                    rubric_version=rubric.rubric_version,
                    verdict=verdict,
                    why="Seen in the quoted turn.",
                    n_evidence=1,
                    week_start=week_start,
                )
                turn_id = 1 + 2 * ((nth_criterion + nth_marker) % 4)
                polarity = "gap" if nth_marker else "strength"
                add(
                    "fct_evidence",
                    **common,
                    started_at=started_at,
                    evidence_id=hashlib.md5(f"{call_id}{marker.marker_id}{turn_id}".encode()).hexdigest(),
                    dimension=dimension,
                    criterion_id=criterion.criterion_id,
                    marker_id=marker.marker_id,
                    rubric_version=rubric.rubric_version,
                    turn_id=turn_id,
                    start_ms=(turn_id - 1) * 20_000,
                    side="rep",
                    quote=LINES["rep"][(turn_id + number) // 2 % 4],
                    quote_verified=True,
                    polarity=polarity,
                    suggestion="Ask what follows if nothing changes." if nth_marker else None,
                    call_url=f"https://gong.example.test/call?id={call_id}",
                )


def _add_trends(add: Any, scores: Any, rubrics: Any) -> None:
    versions = {rubric.dimension: rubric.rubric_version for rubric in rubrics}
    for (rep_id, dimension), listed in scores.items():
        for week in range(WEEKS):
            week_start = RUNNING_WEEK - timedelta(weeks=WEEKS - 1 - week)
            end = datetime(week_start.year, week_start.month, week_start.day, tzinfo=UTC) + timedelta(days=7)
            here = [score for at, score in listed if end - timedelta(days=7) <= at < end]
            rolling = [score for at, score in listed if at < end][-10:]
            climb = CLIMB.get((rep_id, dimension))
            signal = (
                "too few calls"
                if len(rolling) < 8
                else {True: "up", False: "down", None: "no clear change"}[None if climb is None else climb > 0]
            )
            mean = sum(rolling) / len(rolling) if rolling else None
            add(
                "mart_rep_trends",
                rep_id=rep_id,
                dimension=dimension,
                week_start=week_start,
                is_running_week=week_start == RUNNING_WEEK,
                n_calls=len(here),
                mean_score=sum(here) / len(here) if here else None,
                rolling_score=mean,
                rolling_n=len(rolling),
                rolling_low=None if mean is None else max(0, mean - 6),
                rolling_high=None if mean is None else min(100, mean + 6),
                slope_per_week=climb or 0.1,
                slope_se=0.5,
                p_value=0.01 if climb else 0.6,
                q_value=0.04 if climb else 0.8,
                signal=signal,
                rubric_version=versions[dimension],
                has_version_break=False,
            )


def _add_boards(add: Any, scores: Any, rubrics: Any) -> None:
    versions = {rubric.dimension: rubric.rubric_version for rubric in rubrics}
    teams = {"wren": "robin", "finch": "robin", "heron": "robin", "dove": "jay", "crane": "martin", "swift": "martin"}
    for window_days in (28, 90):
        since = TODAY - timedelta(days=window_days - 1)
        for (rep_id, dimension), listed in scores.items():
            within = [score for at, score in listed if at.date() >= since]
            mean = sum(within) / len(within) if within else None
            is_ranked = len(within) >= 8
            add(
                "mart_leaderboard",
                team_id=teams[rep_id],
                team_name=f"Team {NAMES[teams[rep_id]].split()[0]}",
                dimension=dimension,
                window_days=window_days,
                as_of=TODAY,
                rep_id=rep_id,
                rep_name=NAMES[rep_id],
                role="AE",
                n_calls=len(within),
                mean_score=mean,
                score=mean,
                low=None if mean is None else mean - 5,
                high=None if mean is None else mean + 5,
                is_ranked=is_ranked,
                unranked_reason=None if is_ranked else "fewer than 8 scored calls in the window",
                n_reps_compared=6,
                group_mean=63,
                rubric_version=versions[dimension],
                tier="not ranked yet"
                if not is_ranked
                else "clearly above"
                if (mean or 0) > 75
                else "clearly below"
                if (mean or 0) < 50
                else "about average",
            )


SUMMED = (
    *("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"),
    *("cost_usd", "saved_usd", "uncached_usd"),
)


def _add_money(add: Any, rubrics: Any) -> None:
    days: dict[tuple[Any, str], list[dict[str, Any]]] = {}
    for nth in range(240):
        started_at = datetime.now(UTC) - timedelta(hours=3 * nth)
        is_cache_hit = nth % 6 == 5
        request = {
            "request_id": f"request-{nth}",
            "call_id": f"call-{SELLERS[nth % 6]}-{nth % WEEKS:02d}-0",
            "rep_id": SELLERS[nth % 6],
            "dimension": (*(rubric.dimension for rubric in rubrics), "call_brief")[nth % 5],
            "requested_model": "sandbox",
            "model": "sandbox",
            "is_sandbox": True,
            "kind": "cache" if is_cache_hit else "live",
            "started_at": started_at,
            "day": started_at.date(),
            "status": "ok" if nth % 13 else "error",
            "is_failed": nth % 13 == 0,
            "error_kind": None if nth % 13 else "overloaded",
            "is_cache_hit": is_cache_hit,
            "input_tokens": 0 if is_cache_hit else 2_500,
            "cache_read_tokens": 0 if is_cache_hit else 7_500,
            "cache_write_tokens": 0 if is_cache_hit else 1_000,
            "output_tokens": 0 if is_cache_hit else 700,
            "cost_usd": 0 if is_cache_hit else 0.02,
            "saved_usd": 0.02 if is_cache_hit else 0,
            "uncached_usd": 0 if is_cache_hit else 0.05,
            "rubric_only_usd": 0 if is_cache_hit else 0.04,
            "latency_ms": 1_200,
        }
        add("fct_llm_requests", **request)
        days.setdefault((request["day"], request["dimension"]), []).append(request)
    for (day, dimension), requests in days.items():
        add(
            "mart_llm_costs",
            day=day,
            model="sandbox",
            dimension=dimension,
            is_sandbox=True,
            requests=sum(not request["is_cache_hit"] for request in requests),
            failed_requests=sum(request["is_failed"] for request in requests),
            cache_hits=sum(request["is_cache_hit"] for request in requests),
            calls_scored=len({request["call_id"] for request in requests if not request["is_failed"]}),
            **{name: sum(request[name] for request in requests) for name in SUMMED},
        )


def _add_trust(add: Any, rubrics: Any) -> None:
    for rubric in rubrics:
        add(
            "mart_judge_quality",
            dimension=rubric.dimension,
            rubric_version=rubric.rubric_version,
            is_sandbox=True,
            n_answers=142,
            n_quotes=400,
            n_quotes_verified=396,
            n_quotes_repaired=2,
            n_quotes_dropped=4,
            quote_verified_rate=0.99,
            na_share=0.1,
            n_human_levels=0,
            n_moments_reviewed=0,
            n_moments_agreed=0,
            n_repeated=0,
            length_correlation=0.11,
        )
        for number, criterion in enumerate(rubric.criteria, start=1):
            add(
                "dim_rubric_criteria",
                dimension=rubric.dimension,
                criterion_id=criterion.criterion_id,
                rubric_version=rubric.rubric_version,
                dimension_title=rubric.title,
                criterion_title=criterion.title,
                criterion_number=number,
                is_current=True,
            )
    for days_ago in range(40):
        add(
            "mart_pipeline_health",
            day=TODAY - timedelta(days=days_ago),
            n_calls=3,
            n_without_transcript=0,
            n_eligible_calls=3,
            n_scored_calls=2 if days_ago == 4 else 3,
            coverage=0.667 if days_ago == 4 else 1.0,
            n_calls_loaded=3,
            last_loaded_at=datetime.now(UTC) - timedelta(days=days_ago),
            n_failed_scores=1 if days_ago == 4 else 0,
            median_hours_to_score=1.5,
            n_requests=60,
            n_failed_requests=0,
            p95_request_ms=1_900.0,
            n_dead_letters=0,
            n_dead_letters_open=0,
            n_events=3,
            n_events_missed=0,
            n_events_failed=0,
            n_events_waiting=0,
            median_event_s=2.0,
            p95_event_s=8.0,
            n_analyses_asked=0,
            n_analyses_failed=0,
        )


def _add_skill_gaps(add: Any, rows: dict[str, list[dict[str, Any]]], rubrics: Any) -> None:
    titles = {criterion.criterion_id: criterion.title for rubric in rubrics for criterion in rubric.criteria}
    for window_days in (28, 90):
        since = TODAY - timedelta(days=window_days - 1)
        grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in rows["fct_criterion_scores"]:
            if row["week_start"] >= since - timedelta(days=since.weekday()):
                grouped.setdefault((row["rep_id"], row["criterion_id"]), []).append(row)
        for (rep_id, criterion_id), listed in grouped.items():
            levels = [row["level"] for row in listed if row["level"] is not None]
            mean = sum(levels) / len(levels) if len(levels) >= 5 else None
            weight = listed[0]["weight"]
            add(
                "mart_skill_gaps",
                rep_id=rep_id,
                team_id=next(manager for person, _, _, _, manager, _ in PEOPLE if person == rep_id),
                dimension=listed[0]["dimension"],
                criterion_id=criterion_id,
                criterion_title=titles[criterion_id],
                window_days=window_days,
                as_of=TODAY,
                role="AE",
                weight=weight,
                n_calls=len(listed),
                n_applicable=len(levels),
                mean_level=None if mean is None else round(mean, 2),
                low=None if mean is None else round(max(1, mean - 0.4), 2),
                high=None if mean is None else round(min(5, mean + 0.4), 2),
                role_mean_level=3.0,
                gap_to_role=None if mean is None else round(mean - 3, 2),
                share_low=0.2,
                points_to_gain=None if mean is None else round(weight * (5 - mean) / 4, 2),
                focus_rank=None,
                rubric_version=listed[0]["rubric_version"],
            )


def _add_queue(add: Any, rows: dict[str, list[dict[str, Any]]]) -> None:
    calls = {row["call_id"]: row for row in rows["fct_calls"]}
    since = TODAY - timedelta(days=27)
    chosen: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows["fct_evidence"]:
        if row["polarity"] == "gap" and calls[row["call_id"]]["started_at"].date() >= since:
            chosen.setdefault((row["call_id"], row["criterion_id"]), row)
    ordered = sorted(chosen.values(), key=lambda row: row["evidence_id"])
    for rank, row in enumerate(ordered, start=1):
        call = calls[row["call_id"]]
        add(
            "mart_coaching_queue",
            moment_id=row["evidence_id"],
            **{
                name: row[name]
                for name in (
                    *("call_id", "rep_id", "dimension", "criterion_id", "marker_id", "rubric_version", "turn_id"),
                    *("start_ms", "quote", "suggestion", "call_url", "week_start"),
                )
            },
            rep_name=NAMES[row["rep_id"]],
            team_id=next(manager for person, _, _, _, manager, _ in PEOPLE if person == row["rep_id"]),
            criterion_title=row["criterion_id"].replace("_", " "),
            call_title=call["title"],
            started_at=call["started_at"],
            account_name=call["account_name"],
            deal_id=call["deal_id"],
            deal_stage="negotiation",
            amount_at_stake=10_000.0 * (1 + rank % 9),
            customer_sentiment="mixed",
            priority="high",
            reason="Level 2.1 on average over 12 calls (role: 3.0). Deal of 40,000 in negotiation at stake.",
            skill_points=20.0,
            recency_points=10.0,
            deal_points=12.0,
            sentiment_points=5,
            risk_points=10,
            suggestion_points=5,
            priority_points=90.0 - rank / 10,
            queue_rank=rank,
            rep_queue_rank=rank,
            state="open",
            snoozed_until=None,
            marked_by=None,
            marked_at=None,
            is_sandbox=True,
        )


def _add_reviews(add: Any) -> None:
    for weeks_ago in (1, 2):
        week_start = RUNNING_WEEK - timedelta(weeks=weeks_ago)
        for kind, recipient in (
            *(("rep", rep_id) for rep_id in SELLERS),
            ("team", "robin"),
            ("team", "martin"),
            ("leadership", "eagle"),
        ):
            add(
                "fct_weekly_reviews",
                review_id=f"{kind}-{recipient}-{week_start}",
                week_start=week_start,
                kind=kind,
                recipient_id=recipient,
                version="1",
                is_newest=True,
                subject=f"Week of {week_start}: {NAMES[recipient]}",
                markdown=f"# Week of {week_start}\n\nThree things that work for {NAMES[recipient]}.\n\n"
                "## What to try\n\n> “We lose two days a month.”\n>\n> [At 3:10](http://127.0.0.1:8501/call?call=call-finch-05-0)",
                rendered_at=datetime.now(UTC),
                n_delivered=1,
                n_failed=0,
                last_delivered_at=datetime.now(UTC),
            )


# until a mart's contract is written down in dbt, its columns are those of the rows above
def contracts() -> dict[str, dict[str, Any]]:
    """Models by name as dbt's contracts describe them."""
    return {
        model["name"]: model
        for path in sorted(MARTS.rglob("*.yml"))
        for model in (yaml.safe_load(path.read_text()) or {}).get("models", [])
    }


def contract_columns() -> dict[str, dict[str, str]]:
    """Column types per mart, from dbt's contracts."""
    return {
        name: {column["name"]: column.get("data_type", "text") for column in model.get("columns", [])}
        for name, model in contracts().items()
    }


def contract_keys() -> dict[str, list[str]]:
    """Primary keys per mart, from dbt's contracts."""
    return {
        name: constraint["columns"]
        for name, model in contracts().items()
        for constraint in model.get("constraints", [])
        if constraint["type"] == "primary_key"
    }


def _guessed_type(column: str, value: Any) -> str:
    if column == "search":
        return "tsvector"
    for kind, name in (
        (bool, "boolean"),
        (int, "bigint"),
        (float, "numeric"),
        (datetime, "timestamptz"),
        (date, "date"),
        (list, "text[]"),
        (dict, "jsonb"),
    ):
        if isinstance(value, kind):
            return name
    return "text"


def load_company(database_url: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Create every mart, fill it, and put the reader's policies on it."""
    known, keys = contract_columns(), contract_keys()
    with psycopg.connect(database_url) as connection:
        for table in sorted({*known, *rows}):
            listed = rows.get(table, [])
            guessed = {
                name: next((_guessed_type(name, row[name]) for row in listed if row.get(name) is not None), "text")
                for name in (listed[0] if listed else {})
            }
            columns = known.get(table) or guessed
            parts = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns.items()]
            if keys.get(table):
                parts.append(sql.SQL("primary key ({})").format(sql.SQL(", ").join(map(sql.Identifier, keys[table]))))
            connection.execute(
                sql.SQL("create table marts.{} ({})").format(sql.Identifier(table), sql.SQL(", ").join(parts))
            )
            names = [name for name in guessed if name in columns]
            if not names:
                continue
            values = [
                sql.SQL("to_tsvector('english', {})").format(sql.Placeholder())
                if name == "search"
                else sql.Placeholder()
                for name in names
            ]
            with connection.cursor() as cursor:
                cursor.executemany(
                    sql.SQL("insert into marts.{} ({}) values ({})").format(
                        sql.Identifier(table),
                        sql.SQL(", ").join(map(sql.Identifier, names)),
                        sql.SQL(", ").join(values),
                    ),
                    [
                        [Jsonb(row[name]) if isinstance(row[name], dict) else row[name] for name in names]
                        for row in listed
                    ],
                )
        connection.execute(
            "select ops.protect_mart(oid::regclass) from pg_class "
            "where relnamespace = 'marts'::regnamespace and relkind = 'r'"
        )
        connection.execute("analyze")


@pytest.fixture(scope="session")
def fill_company() -> Callable[[str], None]:
    """Loads the company into a migrated database."""
    return lambda url: load_company(url, company_rows())


@pytest.fixture(scope="session")
def desk_template(postgres_server: Any) -> Iterator[str]:
    """The company's warehouse, loaded once; tests that write clone it."""
    name = f"desk_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template call_coach_template").format(sql.Identifier(name)))
    load_company(postgres_server.url(name), company_rows())
    yield postgres_server.url(name)
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def desk_url(desk_template: str) -> str:
    """For tests that only read."""
    return desk_template


@pytest.fixture
def own_desk_url(postgres_server: Any, desk_template: str) -> Iterator[str]:
    """A warehouse of this test's own, for tests that write or break things."""
    with _cloned(postgres_server, desk_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_desk_url(postgres_server: Any, desk_template: str) -> Iterator[str]:
    """A warehouse that the tests of one file share, after one of them has written what all of them look at."""
    with _cloned(postgres_server, desk_template) as url:
        yield url


@contextmanager
def _cloned(postgres_server: Any, desk_template: str) -> Iterator[str]:
    name = f"desk_{uuid.uuid4().hex[:8]}"
    template = desk_template.rsplit("/", 1)[1].split("?")[0]
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (template,))
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    yield postgres_server.url(name)
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def desk(desk_url: str) -> Iterator[Database]:
    database = Database(desk_url)
    yield database
    database.close()


@pytest.fixture
def own_desk(own_desk_url: str) -> Iterator[Database]:
    database = Database(own_desk_url)
    yield database
    database.close()


@pytest.fixture
def viewers(desk: Database) -> dict[str, Viewer]:
    """One viewer of each kind."""
    from streamlit_app.queries.people import people

    known = people(desk)
    return {
        "rep": viewer_for("finch", people=known),
        "manager": viewer_for("robin@example.test", people=known),
        "other_manager": viewer_for("martin", people=known),
        "leader": viewer_for("eagle", people=known, leaders=["eagle@example.test"]),
        "admin": ADMIN,
    }


VISIBLE = {
    "rep": {"finch"},
    "manager": {"wren", "finch", "heron", "dove"},
    "other_manager": {"crane", "swift"},
    "leader": set(SELLERS),
    "admin": set(SELLERS),
}


@pytest.fixture
def visible() -> dict[str, set[str]]:
    """Who, among the people with calls, each viewer may see."""
    return VISIBLE


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _dashboard(url: str, viewer: str | None = "admin", port: int | None = None, *options: str) -> Iterator[str]:
    port = port or _free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CALL_COACH_")}
    app = str(ROOT / "streamlit_app" / "app.py")
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", app, "--server.port", str(port), *options],
        env={**kept, "DATABASE_URL": url, **({"CALL_COACH_LOCAL_VIEWER": viewer} if viewer else {})},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def free_port() -> int:
    """For a service whose address has to be known before it starts."""
    return _free_port()


@pytest.fixture(scope="session")
def dashboard() -> Callable[..., AbstractContextManager[str]]:
    """Serves the dashboard over a warehouse: `with dashboard(url, viewer) as address`."""
    return _dashboard


# closed with its module: while it is open an event loop runs in this thread, and no async test can
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = next((path for path in CHROMIUMS if Path(path).exists()), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine (apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def settled() -> Callable[[Any], Any]:
    """The page once Streamlit has nothing left to draw."""

    def wait(page: Any) -> Any:
        page.wait_for_selector("h1", timeout=READY_MS)
        page.wait_for_function(
            "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
            " && !document.querySelector('[data-testid=stSkeleton]')",
            timeout=READY_MS,
        )
        page.wait_for_timeout(250)
        return page

    return wait


@pytest.fixture(scope="session")
def opened(settled: Callable[[Any], Any]) -> Callable[[Any, str], Any]:
    """Goes to an address and waits until it is drawn."""

    def go(page: Any, address: str) -> Any:
        page.goto(address)
        return settled(page)

    return go
