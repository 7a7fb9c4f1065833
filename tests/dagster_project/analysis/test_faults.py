"""Whatever the API does: the other calls are scored, nothing broken is stored, every attempt is in the ledger."""

import time
from decimal import Decimal

import pytest

ALL = ("product_knowledge", "discovery", "objections", "engagement", "call_brief")
N_CALLS = 4
# faults of the answer: paid for, tried again
PASSING = (
    "rate_limit",
    "rate_limit_without_hint",
    "ramp_limit",
    "overloaded",
    "server_error",
    "timeout_error",
    "drop_connection",
    "not_json",
    "stream_error",
    "cut_stream",
    "max_tokens",
    "empty",
    "broken_json",
    "wrong_schema",
    "deep_json",
)
LASTING = {
    "refusal": "refused",
    "invalid": "failed",
    "too_large": "failed",
    "too_long": "failed",
    "context_exceeded": "failed",
    "empty": "failed",
    "broken_json": "failed",
    "wrong_schema": "failed",
    "missing_marker": "failed",
    "deep_json": "failed",
}


@pytest.fixture
def calls(analysis):
    for index in range(N_CALLS):
        analysis.warehouse.add_call(
            (
                ("R", f"What is the hardest part of a normal Monday for team {index}?"),
                ("C", "We lose roughly two days a month to failed loads."),
                ("R", "So what I am hearing is that the load blocks everyone."),
                ("C", "Exactly, and finance only finds out at month end."),
            )
        )
    analysis.chunk()
    return analysis


def ledger(analysis):
    return analysis.warehouse.rows("select * from analysis.requests order by started_at")


def states(analysis, dimension="discovery"):
    rows = analysis.warehouse.rows("select status from analysis.call_results where dimension = %s", dimension)
    return sorted(row["status"] for row in rows)


@pytest.mark.parametrize("kind", PASSING)
async def test_a_fault_that_passes_costs_another_attempt_and_no_answer(calls, kind):
    calls.sandbox.control(faults=[{"kind": kind, "times": 2, "retry_after": 0.05}])
    report = await calls.score()
    assert report.is_complete, report.messages
    rows = ledger(calls)
    assert len(rows) == calls.sandbox.requests == report.requests
    assert sum(row["status"] == "ok" for row in rows) == N_CALLS * len(ALL)
    failed = [row for row in rows if row["status"] == "failed"]
    # outside a stream there is nothing to cut
    assert len(failed) == 2 or kind in ("stream_error", "cut_stream")
    assert all(row["error_kind"] and row["error"] for row in failed)
    assert calls.warehouse.one("select count(*) from analysis.results") == N_CALLS * len(ALL)


@pytest.mark.parametrize(("kind", "status"), LASTING.items())
async def test_a_fault_that_stays_ends_one_question_and_no_other(calls, kind, status):
    calls.sandbox.control(faults=[{"kind": kind, "share": 1.0, "passes": False, "dimension": "discovery"}])
    report = await calls.score()
    assert states(calls) == [status] * N_CALLS
    for dimension in set(ALL) - {"discovery"}:
        assert states(calls, dimension) == ["scored"] * N_CALLS
    assert calls.warehouse.one("select count(*) from analysis.results where dimension = 'discovery'") == 0
    rows = ledger(calls)
    assert len(rows) == calls.sandbox.requests
    assert report.dimensions["discovery"].scored == 0
    assert len(report.messages) == N_CALLS
    paid = [row for row in rows if row["output_tokens"] > 0]
    assert all(row["cost_usd"] > 0 for row in paid)


async def test_a_refusal_is_not_paid_for_again_until_it_is_forced(calls):
    calls.sandbox.control(faults=[{"kind": "refusal", "share": 1.0, "passes": False, "dimension": "discovery"}])
    await calls.score()
    assert (await calls.score()).requests == 0
    calls.sandbox.control(faults=[])
    assert (await calls.score(force=True, dimensions=("discovery",))).requests == N_CALLS
    assert states(calls) == ["scored"] * N_CALLS


async def test_a_refusal_is_not_paid_for_again_while_an_older_score_stands(calls):
    await calls.score(dimensions=("discovery",))
    calls.sandbox.control(faults=[{"kind": "refusal", "share": 1.0, "passes": False}])
    refused = await calls.score(dimensions=("discovery",), force=True)
    assert refused.dimensions["discovery"].refused == N_CALLS
    assert states(calls) == ["scored"] * N_CALLS
    assert (await calls.score(dimensions=("discovery",))).requests == 0


async def test_what_one_model_declines_is_asked_once_of_another_under_that_ones_key(calls):
    with_claude = calls.with_settings(model="claude-sonnet-5-5")
    declines = {"kind": "refusal", "share": 1.0, "passes": False, "dimension": "discovery"}
    calls.sandbox.control(faults=[{**declines, "model": "claude-sonnet-5-5"}])

    report = await with_claude.score()

    assert report.is_complete
    discovery = report.dimensions["discovery"]
    assert (discovery.scored, discovery.fallbacks, discovery.refused) == (N_CALLS, N_CALLS, 0)
    rows = calls.warehouse.rows("select * from analysis.requests where dimension = 'discovery' order by started_at")
    asked = [(row["requested_model"], row["status"]) for row in rows]
    assert sorted(asked) == [("claude-opus-5-5", "ok")] * N_CALLS + [("claude-sonnet-5-5", "refused")] * N_CALLS
    keys = {model: {row["result_key"] for row in rows if row["requested_model"] == model} for model, _ in asked}
    assert not keys["claude-opus-5-5"] & keys["claude-sonnet-5-5"]
    stored = calls.warehouse.rows("select result_key from analysis.results where dimension = 'discovery'")
    assert {row["result_key"] for row in stored} == keys["claude-opus-5-5"]
    # Opus costs twice as much, and is billed as Opus
    billed = {visit["request_id"]: Decimal(visit["usd"]) for visit in calls.sandbox.visits()}
    assert {row["api_request_id"]: row["cost_usd"] for row in ledger(calls)} == billed
    assert (await with_claude.score()).requests == 0


async def test_a_second_model_that_may_not_be_asked_ends_one_question_and_not_the_run(calls):
    with_claude = calls.with_settings(model="claude-sonnet-5-5")
    declines = {"kind": "refusal", "share": 1.0, "passes": False, "dimension": "discovery"}
    unknown = {"kind": "no_such_model", "share": 1.0, "passes": False, "model": "claude-opus-5-5"}
    calls.sandbox.control(faults=[{**declines, "model": "claude-sonnet-5-5"}, unknown])
    report = await with_claude.score()
    assert report.stop_reason is None
    assert states(calls) == ["failed"] * N_CALLS
    assert states(calls, "engagement") == ["scored"] * N_CALLS
    # what the first model declined is not paid for again: only the second is asked
    calls.sandbox.control(faults=[])
    again = await with_claude.score()
    assert again.requests == N_CALLS
    assert {row["requested_model"] for row in ledger(calls)[-N_CALLS:]} == {"claude-opus-5-5"}
    assert states(calls) == ["scored"] * N_CALLS


async def test_what_both_models_decline_stays_refused_and_is_not_asked_again(calls):
    with_claude = calls.with_settings(model="claude-sonnet-5-5")
    calls.sandbox.control(faults=[{"kind": "refusal", "share": 1.0, "passes": False, "dimension": "discovery"}])
    report = await with_claude.score()
    assert report.dimensions["discovery"].refused == N_CALLS
    assert states(calls) == ["refused"] * N_CALLS
    assert [row["requested_model"] for row in ledger(calls)].count("claude-opus-5-5") == N_CALLS
    assert (await with_claude.score()).requests == 0


async def test_a_failure_is_tried_again_on_the_next_run(calls):
    calls.sandbox.control(faults=[{"kind": "invalid", "share": 1.0, "passes": False, "dimension": "discovery"}])
    await calls.score()
    calls.sandbox.control(faults=[])
    report = await calls.score()
    assert report.requests == N_CALLS
    assert states(calls) == ["scored"] * N_CALLS


async def test_a_failure_leaves_the_score_that_stands(calls):
    await calls.score(dimensions=("discovery",))
    calls.sandbox.control(faults=[{"kind": "invalid", "share": 1.0, "passes": False}])
    report = await calls.score(dimensions=("discovery",), force=True)
    assert report.dimensions["discovery"].failed == N_CALLS
    assert states(calls) == ["scored"] * N_CALLS
    assert len(calls.warehouse.answers()) == N_CALLS


@pytest.mark.parametrize("kind", ["wrong_quote", "wrong_side", "yes_without_evidence"])
async def test_evidence_that_does_not_hold_is_repaired_once_then_dropped(calls, kind):
    calls.sandbox.control(faults=[{"kind": kind, "share": 1.0, "dimension": "discovery"}])
    report = await calls.score(dimensions=("discovery",))
    assert report.is_complete
    assert [row["kind"] for row in ledger(calls)].count("repair") == N_CALLS
    repaired = report.dimensions["discovery"]
    assert repaired.quotes_dropped == 0 or kind == "yes_without_evidence"
    assert all(
        item["quote_verified"]
        for answer in calls.warehouse.answers().values()
        for m in answer["markers"]
        for item in m["evidence"]
    )
    met = {m["marker_id"] for m in next(iter(calls.warehouse.answers().values()))["markers"] if m["verdict"] == "yes"}
    assert "ds1_asks_problem" in met

    calls.sandbox.control(faults=[{"kind": kind, "share": 1.0, "passes": False, "dimension": "discovery"}])
    again = await calls.score(dimensions=("discovery",), force=True)
    assert again.is_complete
    for answer in calls.warehouse.answers().values():
        assert all(m["evidence"] or m["verdict"] != "yes" for m in answer["markers"])
        assert not any(m["evidence"] for m in answer["markers"]) or kind == "wrong_side"


@pytest.mark.parametrize("kind", ["nul_bytes", "odd_usage", "wrong_case", "unknown_marker"])
async def test_odd_answers_are_read_as_what_they_are(calls, kind):
    calls.sandbox.control(faults=[{"kind": kind, "share": 1.0, "passes": False}])
    report = await calls.score()
    assert report.is_complete, report.messages
    assert len(calls.warehouse.answers()) == N_CALLS * len(ALL)
    verdicts = {m["verdict"] for answer in calls.warehouse.answers().values() for m in answer["markers"]}
    assert verdicts <= {"yes", "no", "not_applicable"}


async def test_a_spend_limit_stops_new_requests_within_a_second(analysis):
    """By the server's clock, from its first refusal to the last request that reaches it, with hundreds queued."""
    n_calls, n_passed = 100, 60
    for index in range(n_calls):
        analysis.warehouse.add_call((("R", f"What breaks most often in load {index}?"), ("C", "Mostly Sundays.")))
    analysis.chunk()
    delays_s = []
    # a busy machine only ever adds to the delay: the least of three tries is the engine's own
    while not delays_s or (min(delays_s) > 1.0 and len(delays_s) < 3):
        analysis.sandbox.control(
            clear_statistics=True,
            behaviour={"answer_s": 0.1},
            faults=[{"kind": "spend_limit", "after": n_passed, "share": 1.0, "passes": False}],
        )
        report = await analysis.score(force=True)
        visits = analysis.sandbox.visits()
        refused_at = min(visit["answered_at"] for visit in visits if visit["fault"] == "spend_limit")
        delays_s.append(max(visit["arrived_at"] for visit in visits) - refused_at)
        assert len(visits) <= n_passed + analysis.settings.concurrency
        assert any(f"{n_calls * len(ALL) - len(visits)} questions were not asked" in text for text in report.messages)
    assert min(delays_s) <= 1.0


@pytest.mark.parametrize("kind", ["spend_limit", "contract_spend_limit", "own_spend_limit", "billing", "unauthorised"])
async def test_what_would_fail_for_all_stops_the_run_and_the_next_one_takes_up_the_rest(analysis, kind):
    n_calls, n_passed = 12, 20
    for index in range(n_calls):
        analysis.warehouse.add_call((("R", f"What breaks most often in load {index}?"), ("C", "Mostly Sundays.")))
    analysis.chunk()
    analysis.sandbox.control(faults=[{"kind": kind, "after": n_passed, "share": 1.0, "passes": False}])
    report = await analysis.with_settings(concurrency=8).score()
    assert report.stop_reason is not None
    assert any("questions were not asked" in message for message in report.messages)
    # the twenty that passed, then at most what was in flight
    assert analysis.sandbox.requests == len(ledger(analysis)) <= n_passed + 8
    n_questions = n_calls * len(ALL)
    stored = analysis.warehouse.one("select count(*) from analysis.results")
    assert 0 < stored <= n_passed
    kept = analysis.warehouse.rows("select status, count(*) as n from analysis.call_results group by status")
    assert {row["status"]: row["n"] for row in kept} == {
        "scored": stored,
        "over_budget" if kind != "unauthorised" else "failed": n_questions - stored,
    }
    analysis.sandbox.control(faults=[])
    rest = await analysis.score()
    assert rest.is_complete
    assert rest.requests == n_questions - stored


async def test_a_hanging_request_is_cut_off_and_tried_once_more(analysis):
    analysis.warehouse.add_call()
    analysis.chunk()
    analysis.sandbox.control(faults=[{"kind": "hang", "times": 1}])
    report = await analysis.with_settings(request_timeout_s=3).score()
    assert report.is_complete
    assert [row["error_kind"] for row in ledger(analysis)].count("timeout") == 1


async def test_a_call_has_a_deadline_and_keeps_what_was_answered(analysis):
    analysis.warehouse.add_call()
    analysis.chunk()
    analysis.sandbox.control(faults=[{"kind": "hang", "share": 1.0, "passes": False, "dimension": "call_brief"}])
    started = time.monotonic()
    report = await analysis.with_settings(request_timeout_s=60, call_deadline_s=5).score()
    assert time.monotonic() - started < 30
    assert report.dimensions["call_brief"].failed == 1
    assert len(analysis.warehouse.answers()) == 4


async def test_a_long_retry_after_ends_the_question_instead_of_holding_the_run(analysis):
    analysis.warehouse.add_call()
    analysis.chunk()
    analysis.sandbox.control(faults=[{"kind": "rate_limit", "share": 1.0, "passes": False, "retry_after": 3600}])
    started = time.monotonic()
    report = await analysis.score()
    assert time.monotonic() - started < 30
    assert {part.failed for part in report.dimensions.values()} == {1}


async def test_a_failed_leader_is_replaced_by_the_next_question(analysis):
    lines = tuple(("RC"[index % 2], f"This is sentence number {index} of a talk. " * 4) for index in range(60))
    analysis.warehouse.add_call(lines)
    analysis.chunk()
    analysis.sandbox.control(faults=[{"kind": "invalid", "times": 1}])
    report = await analysis.score()
    assert sum(part.failed for part in report.dimensions.values()) == 1
    rows = [row for row in ledger(analysis) if row["status"] == "ok"]
    assert [row["position"] for row in rows].count("leader") == 1
    assert [row["position"] for row in rows].count("follower") == 3
    assert all(row["cache_read_tokens"] > 1000 for row in rows if row["position"] == "follower")


async def test_a_transcript_the_model_finds_too_long_is_asked_about_in_halves(analysis):
    lines = tuple(("RC"[index % 2], f"This is sentence number {index} of a talk.") for index in range(60))
    analysis.warehouse.add_call(lines)
    analysis.chunk()
    analysis.sandbox.control(faults=[{"kind": "too_long", "times": 1}])
    report = await analysis.score(dimensions=("discovery",))
    assert report.is_complete, report.messages
    assert report.requests == 3
    answer = next(iter(analysis.warehouse.answers().values()))
    assert len(answer["markers"]) > 10


async def test_budgets_stop_requests_before_they_are_sent(analysis):
    for index in range(20):
        analysis.warehouse.add_call((("R", f"What breaks most often in load {index}?"), ("C", "Mostly Sundays.")))
    analysis.chunk()
    report = await analysis.with_settings(budget_run_usd=0.5).score()
    assert Decimal("0.2") < report.cost_usd <= Decimal("0.5")
    assert sum(part.over_budget for part in report.dimensions.values()) > 10
    assert any("the run's budget of $0.50" in message for message in report.messages)

    today = await analysis.with_settings(budget_day_usd=float(report.cost_usd)).score()
    assert today.requests == 0
    assert any("the day's budget" in message for message in today.messages)

    rest = await analysis.score()
    assert rest.is_complete


async def test_a_call_budget_ends_the_call_and_not_the_run(analysis):
    analysis.warehouse.add_call()
    analysis.chunk()
    report = await analysis.with_settings(budget_call_usd=0.06).score()
    assert 0 < sum(part.over_budget for part in report.dimensions.values()) < 5
    assert report.cost_usd <= Decimal("0.06")


async def test_a_server_without_a_system_role_gets_the_questions_from_the_user(calls):
    calls.sandbox.control(faults=[{"kind": "no_system_role", "share": 1.0, "passes": False}])
    report = await calls.score()
    assert report.is_complete
    refused = [row for row in ledger(calls) if row["status"] == "failed"]
    # those that were on their way before the first answer came, none of them twice
    assert 1 <= len(refused) <= N_CALLS * len(ALL)
    assert {row["error_kind"] for row in refused} == {"invalid_request"}
