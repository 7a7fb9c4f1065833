"""From marker findings to levels to scores, every number worked out by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.dbt.conftest import MONDAY, Warehouse, at, evidence

MET = {"dc1_asks": "yes", "dc1_cost": "yes", "dc1_confirms": "yes", "dc2_reflects": "yes", "dc2_argues": "no"}
NO_PROBLEM = {"dc1_asks": "not_applicable", "dc1_cost": "not_applicable", "dc1_confirms": "not_applicable"}

# call: rep, verdicts that differ from MET, level of dc1, level of dc2, score
CASES: dict[str, tuple[str, dict[str, str], int | None, int | None, float | None]] = {
    # 1 + floor(4 * 3/3 + 0.5) = 5, confirmed; dc2 has no confirming marker, so 4: 70 * 1 + 30 * 0.75
    "all-met": ("ae", {}, 5, 4, 92.5),
    # 1 + floor(4 * 2/3 + 0.5) = 4
    "one-missed": ("ae", {"dc1_cost": "no"}, 4, 4, 75.0),
    # the same two of three, but it is the customer's word that is missing
    "unconfirmed": ("ae", {"dc1_confirms": "no"}, 4, 4, 75.0),
    # two of two, and nothing to confirm: a 5 needs the customer
    "nothing-to-confirm": ("ae", {"dc1_confirms": "not_applicable"}, 4, 4, 75.0),
    # a negative marker caps dc2 at 2: 70 * 1 + 30 * 0.25
    "argued": ("ae", {"dc2_argues": "yes"}, 5, 2, 77.5),
    # 1 + floor(4 * 1/3 + 0.5) = 2: 70 * 0.25 + 30 * 0.75
    "one-of-three": ("ae", {"dc1_cost": "no", "dc1_confirms": "no"}, 2, 4, 40.0),
    "nothing-met": ("ae", dict.fromkeys(MET, "no"), 1, 1, 0.0),
    # only dc2 applied: 30 of 100 for an AE is too little, 60 of 100 for an SE is just enough
    "no-problem-ae": ("ae", NO_PROBLEM, None, 4, None),
    "no-problem-se": ("se", NO_PROBLEM, None, 4, 75.0),
    # half and half for a CSM: 50 is too little
    "no-problem-csm": ("csm", NO_PROBLEM, None, 4, None),
    # a negative marker alone makes a criterion applicable to nobody
    "only-negative": ("ae", NO_PROBLEM | {"dc2_reflects": "not_applicable", "dc2_argues": "yes"}, None, None, None),
    # other roles are weighted as AE
    "other-role": ("boss", {"dc2_argues": "yes"}, 5, 2, 77.5),
}


@pytest.fixture(scope="module")
def built(shared_warehouse: Warehouse) -> Warehouse:
    warehouse = shared_warehouse
    warehouse.user("ae", title="Senior Account Executive")
    warehouse.user("se", title="Sales Engineer")
    warehouse.user("csm", title="Customer Success Manager")
    warehouse.user("boss", title="Founder")
    warehouse.rubric()
    for call_id, (rep_id, verdicts, *_) in CASES.items():
        warehouse.call(call_id, rep_id=rep_id)
        warehouse.answer(call_id, rep_id=rep_id, verdicts=MET | verdicts)
    for status, reason in (("refused", "the model refused"), ("failed", None), ("over_budget", "50 USD a day")):
        warehouse.call(status, rep_id="ae")
        warehouse.answer(status, rep_id="ae", status=status, reason=reason)
    warehouse.call("too-short", rep_id="ae")
    warehouse.answer("too-short", rep_id="ae", status="not_eligible", reason="shorter than 5 minutes")
    quotes(warehouse)
    versions(warehouse)
    warehouse.build()
    return warehouse


def quotes(warehouse: Warehouse) -> None:
    warehouse.call("quoted", rep_id="ae")
    warehouse.answer(
        "quoted",
        rep_id="ae",
        verdicts=MET | {"dc1_cost": "no", "dc2_argues": "yes"},
        quotes={
            "dc1_asks": [
                evidence(1, "What does a failed night cost you?"),
                evidence(1, "What does a failed night cost you?"),
                evidence(2, "never said", is_verified=False),
            ],
            "dc1_cost": [evidence(3, "So two people", side="rep")],
            "dc1_confirms": [evidence(4, "Exactly", side="customer", start_ms=12_100)],
            "dc2_argues": [evidence(3, "lose their mornings")],
        },
        suggestions=[
            {"marker_id": "dc1_cost", "turn_id": 2, "suggestion": "Ask what it costs.", "already_done_turn_id": None},
            {"marker_id": "dc1_asks", "turn_id": 1, "suggestion": "Done later.", "already_done_turn_id": 3},
            {"marker_id": "dc1_asks", "turn_id": 99, "suggestion": "No such turn.", "already_done_turn_id": None},
        ],
        quote_counts=(7, 5, 1, 2),
    )


def versions(warehouse: Warehouse) -> None:
    """Three calls under v1, then v2 is published: one is scored again, one newly, one attempt under v2 fails."""
    for number in range(3):
        warehouse.call(f"version-{number}", rep_id="se", started_at=at(MONDAY + timedelta(days=7 * number)))
        warehouse.answer(f"version-{number}", rep_id="se", verdicts=MET)
    body = {**DISCOVERY_V2, "title": "Discovery"}
    warehouse.rubric(body, version="v2", loaded_at=datetime(2026, 10, 1, tzinfo=UTC))
    later = at(MONDAY + timedelta(days=30))
    warehouse.answer("version-2", rep_id="se", version="v2", verdicts=MET | {"dc1_asks": "no"}, scored_at=later)
    warehouse.answer("version-1", rep_id="se", version="v2", status="failed", scored_at=later)


def criterion(criterion_id: str, weight: int, **kinds: str) -> dict[str, Any]:
    return {
        "criterion_id": criterion_id,
        "title": criterion_id,
        "source": "a test",
        "weights": {"AE": weight, "SE": weight, "CSM": weight},
        "markers": [
            {"marker_id": f"{criterion_id}_{name}", "kind": kind, "question": "?", "evidence_side": "rep"}
            for name, kind in kinds.items()
        ],
    }


DISCOVERY_V2 = {
    "dimension": "discovery",
    "title": "Discovery",
    "question": "?",
    "criteria": [
        criterion("dc1", 50, asks="positive", cost="positive", confirms="confirming"),
        criterion("dc2", 50, reflects="positive", argues="negative"),
    ],
}


@pytest.mark.parametrize("call_id", CASES)
def test_levels_follow_from_the_markers(built: Warehouse, call_id: str) -> None:
    rows = built.rows(
        "select criterion_id, level, na_reason from marts.fct_criterion_scores where call_id = %s", call_id
    )
    levels = {row["criterion_id"]: row["level"] for row in rows}
    assert levels == {"dc1": CASES[call_id][2], "dc2": CASES[call_id][3]}
    assert all((row["level"] is None) == (row["na_reason"] is not None) for row in rows)


@pytest.mark.parametrize("call_id", CASES)
def test_the_score_weighs_levels_by_role_and_is_na_under_sixty_percent(built: Warehouse, call_id: str) -> None:
    row = built.one("select score, na_reason from marts.fct_scores where call_id = %s", call_id)
    expected = CASES[call_id][4]
    assert (None if row["score"] is None else float(row["score"])) == expected
    assert (row["na_reason"] is None) == (expected is not None)


@pytest.mark.parametrize(
    ("call_id", "reason"),
    [
        ("refused", "the model refused"),
        ("failed", "failed"),
        ("over_budget", "50 USD a day"),
        ("too-short", "shorter than 5 minutes"),
        ("no-problem-ae", "criteria with less than 60 % of the weight applied in this call"),
    ],
)
def test_a_call_without_a_score_says_why(built: Warehouse, call_id: str, reason: str) -> None:
    assert built.one("select score, na_reason from marts.fct_scores where call_id = %s", call_id) == {
        "score": None,
        "na_reason": reason,
    }


def test_a_call_that_cannot_be_scored_does_not_count_for_coverage(built: Warehouse) -> None:
    row = built.one("select is_eligible, ineligible_reason, is_scored from marts.fct_calls where call_id = 'too-short'")
    assert row == {"is_eligible": False, "ineligible_reason": "shorter than 5 minutes", "is_scored": False}
    refused = built.one("select is_eligible, is_scored from marts.fct_calls where call_id = 'refused'")
    assert refused == {"is_eligible": True, "is_scored": False}


def test_moments_are_the_verified_quotes_once_each_and_the_suggestions_still_open(built: Warehouse) -> None:
    rows = built.rows(
        """
        select marker_id, turn_id, polarity, suggestion, quote from marts.fct_evidence
        where call_id = 'quoted' order by marker_id, turn_id
        """
    )
    assert [(row["marker_id"], row["turn_id"], row["polarity"], row["suggestion"]) for row in rows] == [
        ("dc1_asks", 1, "strength", None),
        ("dc1_confirms", 4, "strength", None),
        ("dc1_cost", 2, "gap", "Ask what it costs."),
        ("dc1_cost", 3, "gap", None),
        ("dc2_argues", 3, "gap", None),
    ]
    assert rows[2]["quote"] == "Two people, every morning, until ten."


def test_quotes_that_failed_the_check_are_counted_and_not_shown(built: Warehouse) -> None:
    assert built.value("select count(*) from marts.fct_evidence where quote = 'never said'") == 0
    row = built.one(
        """
        select n_quotes, n_quotes_dropped, quote_verified_rate
        from marts.mart_judge_quality where rubric_version = 'v1'
        """
    )
    assert (row["n_quotes"], row["n_quotes_dropped"], float(row["quote_verified_rate"])) == (7, 2, 0.7143)


def test_the_newest_version_that_was_answered_stands_for_a_call(built: Warehouse) -> None:
    rows = built.rows(
        """
        select call_id, rubric_version, status from marts.fct_scores
        where call_id like 'version%%' and is_current order by call_id
        """
    )
    assert [tuple(row.values()) for row in rows] == [
        ("version-0", "v1", "scored"),
        ("version-1", "v1", "scored"),
        ("version-2", "v2", "scored"),
    ]


def test_superseded_scores_stay_readable_and_marked(built: Warehouse) -> None:
    rows = built.rows("select rubric_version, is_current from marts.fct_scores where call_id = 'version-2' order by 1")
    assert [tuple(row.values()) for row in rows] == [("v1", False), ("v2", True)]
    for table in ("fct_criterion_scores", "fct_marker_findings"):
        current = built.rows(
            f"select distinct rubric_version from marts.{table} where call_id = 'version-2' and is_current"
        )
        assert current == [{"rubric_version": "v2"}]


def test_a_line_never_mixes_rubric_versions_and_marks_the_break(built: Warehouse) -> None:
    rows = built.rows(
        """
        select week_start, rubric_version, has_version_break, n_calls, rolling_n from marts.mart_rep_trends
        where rep_id = 'se' and dimension = 'discovery' and week_start <= %s order by week_start
        """,
        MONDAY + timedelta(days=21),
    )
    assert [tuple(row.values())[1:] for row in rows] == [
        # the SE's other call of that week is N/A for nobody: no-problem-se counts too
        ("v1", False, 2, 2),
        ("v1", False, 1, 3),
        ("v2", True, 1, 1),
        ("v2", False, 0, 1),
    ]
