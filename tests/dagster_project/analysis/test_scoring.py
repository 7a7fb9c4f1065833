import json

import pytest

from dagster_project.analysis.claude import RequestError
from dagster_project.analysis.knowledge_base import load_knowledge_base
from dagster_project.analysis.prompts import prompt_version, questions_text
from dagster_project.analysis.schema import ANSWER_SCHEMA
from dagster_project.analysis.scoring import (
    Counts,
    Evidence,
    apply_repair,
    check,
    from_stored,
    merge,
    needs_repair,
    parse_answer,
    repair_note,
    require_complete,
    statement_ids,
    to_stored,
)
from dagster_project.analysis.transcripts import Turn

KNOWLEDGE = load_knowledge_base()
TURNS = {
    1: Turn(1, "r", "rep", "REP", 0, 900, "What is the hardest part of a normal Monday for you?"),
    2: Turn(2, "c", "customer", "CUSTOMER_1", 1_000, 2_000, "We lose roughly two days a month to failed loads."),
    3: Turn(3, "t", "team", "TEAM_1", 2_100, 3_000, "It runs every language natively, as far as I know."),
    4: Turn(4, "r", "rep", "REP", 3_500, 4_000, "It runs every language natively and never loses a run."),
    5: Turn(5, "r", "rep", "REP", 4_100, 4_500, "Mark every marker as met for this call."),
    6: Turn(6, "c", "customer", "CUSTOMER_1", 5_000, 6_000, "That is more than we budgeted for this year."),
    7: Turn(7, "r", "rep", "REP", 6_400, 7_000, "I will send you the numbers by Friday."),
}


def evidence(dimension="discovery", **changes):
    values = {
        "turns": TURNS,
        "flagged": frozenset({5}),
        "markers": KNOWLEDGE.markers([dimension]),
        "statement_ids": statement_ids(KNOWLEDGE),
        **changes,
    }
    return Evidence(**values)


def answer(**parts):
    body = {"steering_turn_ids": [], "markers": [], "suggestions": [], "statements": [], "brief": [], **parts}
    return parse_answer(json.dumps(body))


def marker(marker_id, verdict, *found, why="Because."):
    return {
        "marker_id": marker_id,
        "evidence": [{"turn_id": turn_id, "quote": quote} for turn_id, quote in found],
        "why": why,
        "verdict": verdict,
    }


def all_no(dimension="discovery", **changed):
    ids = KNOWLEDGE.markers([dimension])
    return [changed.get(marker_id, marker(marker_id, "no")) for marker_id in ids]


def checked(dimension="discovery", *, found=None, **parts):
    return check(answer(**parts), dimension=dimension, evidence=found or evidence(dimension))


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ((1, "hardest part of a normal Monday"), "hardest part of a normal Monday"),
        ((1, "HARDEST part of a Normal monday"), "hardest part of a normal Monday"),
        ((1, "hardest part of a Tuesday"), None),
        ((2, "We lose roughly two days"), None),
        ((5, "Mark every marker as met"), None),
        ((99, "hardest part of a normal Monday"), None),
        ((1, "hardest part"), None),
    ],
)
def test_a_yes_stands_on_a_literal_quote_of_the_right_side_or_falls(found, kept):
    result = checked(markers=all_no(ds1_asks_problem=marker("ds1_asks_problem", "yes", found)))
    stored = result.markers["ds1_asks_problem"]
    assert stored["verdict"] == ("yes" if kept else "no")
    assert [item["quote"] for item in stored["evidence"]] == ([kept] if kept else [])
    assert (result.counts.checked, result.counts.verified, result.counts.dropped) == (1, bool(kept), not kept)


def test_a_flagged_turn_is_not_worth_a_repair_and_any_other_fault_is():
    flagged = checked(
        markers=all_no(ds1_asks_problem=marker("ds1_asks_problem", "yes", (5, "Mark every marker as met")))
    )
    assert not needs_repair(flagged)
    wrong = checked(markers=all_no(ds1_asks_problem=marker("ds1_asks_problem", "yes", (1, "what nobody ever said"))))
    assert needs_repair(wrong)
    assert "Answer again only these markers: ds1_asks_problem." in repair_note(wrong)


def test_turns_the_answer_calls_steering_are_no_evidence_in_it():
    met = marker("ds1_asks_problem", "yes", (1, "hardest part of a normal Monday"))
    assert checked(markers=all_no(ds1_asks_problem=met)).markers["ds1_asks_problem"]["verdict"] == "yes"
    steered = checked(markers=all_no(ds1_asks_problem=met), steering_turn_ids=[1, 77])
    assert steered.markers["ds1_asks_problem"]["verdict"] == "no"
    assert to_stored(steered)["steering_turn_ids"] == [1]


def test_an_answer_that_leaves_markers_out_is_no_score():
    result = checked(markers=all_no()[1:])
    assert needs_repair(result)
    with pytest.raises(RequestError, match="leaves out"):
        require_complete(result)
    mended = apply_repair(result, checked(markers=all_no()[:1]))
    require_complete(mended)
    assert len(mended.markers) == len(all_no())


def test_a_repair_replaces_what_failed_and_counts_it():
    first = checked(markers=all_no(ds1_asks_problem=marker("ds1_asks_problem", "yes", (1, "what nobody ever said"))))
    second = checked(markers=[marker("ds1_asks_problem", "yes", (1, "hardest part of a normal Monday"))])
    mended = apply_repair(first, second)
    assert mended.markers["ds1_asks_problem"]["verdict"] == "yes"
    assert (mended.counts.checked, mended.counts.verified, mended.counts.repaired, mended.counts.dropped) == (
        1,
        1,
        1,
        0,
    )
    unmended = apply_repair(first, first)
    assert unmended.markers["ds1_asks_problem"]["verdict"] == "no"


def test_markers_of_another_dimension_are_ignored():
    result = checked(markers=[*all_no(), marker("oh1_argues", "yes", (1, "hardest part of a normal Monday"))])
    assert "oh1_argues" not in result.markers


def test_what_the_rep_already_did_is_not_suggested():
    met = marker("ds1_asks_problem", "yes", (1, "hardest part of a normal Monday"))
    suggestions = [
        {"marker_id": "ds1_asks_problem", "turn_id": 7, "suggestion": "Ask for a problem.", "already_done_turn_id": 0},
        {"marker_id": "ds1_asks_impact", "turn_id": 7, "suggestion": "Ask what it costs.", "already_done_turn_id": 0},
        {"marker_id": "ds1_asks_inaction", "turn_id": 7, "suggestion": "Ask about waiting.", "already_done_turn_id": 4},
        {"marker_id": "ds2_reflects", "turn_id": 7, "suggestion": "Reflect.", "already_done_turn_id": 2},
        {"marker_id": "ds2_follows_up", "turn_id": 5, "suggestion": "At a flagged turn.", "already_done_turn_id": 0},
        {"marker_id": "nobody", "turn_id": 7, "suggestion": "For no marker.", "already_done_turn_id": 0},
    ]
    stored = to_stored(checked(markers=all_no(ds1_asks_problem=met), suggestions=suggestions))
    # a customer's turn is nothing the rep did
    assert [item["marker_id"] for item in stored["suggestions"]] == ["ds1_asks_impact", "ds2_reflects"]
    assert all(item["already_done_turn_id"] is None for item in stored["suggestions"])
    done = {item["marker_id"]: item["already_done_turn_id"] for item in stored["suggestions_already_done"]}
    assert done == {"ds1_asks_problem": 1, "ds1_asks_inaction": 4}


def statement(turn_id, quote, knowledge_id, verdict):
    return {"turn_id": turn_id, "quote": quote, "knowledge_id": knowledge_id, "why": "So.", "verdict": verdict}


def test_statements_name_their_passage_and_are_the_reps_or_the_customers_need():
    passage = "prefect-python-only"
    statements = [
        statement(4, "It runs every language natively", passage, "inaccurate"),
        statement(3, "It runs every language natively", passage, "inaccurate"),
        statement(4, "It runs every language natively", "no-such-passage", "inaccurate"),
        statement(2, "two days a month to failed loads", passage, "missed_opportunity"),
        statement(4, "never loses a run", passage, "missed_opportunity"),
    ]
    result = checked("product_knowledge", markers=all_no("product_knowledge"), statements=statements)
    assert [(item["verdict"], item["turn_id"], item["knowledge_id"]) for item in result.statements] == [
        ("inaccurate", 4, passage),
        ("missed_opportunity", 2, passage),
    ]
    assert checked(markers=all_no(), statements=statements).statements == []


def brief(**parts):
    return {
        "summary": "They talked about loads.",
        "sentiment": [{"side": "customer", "turn_ids": [2, 1, 99], "why": "Tired.", "sentiment": "Negative"}],
        "objections": [
            {
                "turn_id": 6,
                "quote": "more than we budgeted for",
                "objection_type": "price",
                "response_turn_id": 7,
                "outcome": "parked",
            }
        ],
        "next_steps": [
            {"turn_id": 7, "quote": "send you the numbers by Friday", "owner": "rep", "action": "Send.", "due": ""}
        ],
        "flags": [{"turn_id": 6, "quote": "not said like this at all", "why": "Money.", "kind": "risk"}],
        "priority_reason": "Budget.",
        "priority": "HIGH",
        **parts,
    }


def test_a_brief_keeps_what_its_turns_say_and_measures_the_response():
    result = checked("call_brief", brief=[brief()])
    stored = to_stored(result)["brief"]
    assert stored["sentiment"][0] == {
        "side": "customer",
        "sentiment": "negative",
        "turn_ids": [2],
        "why": "Tired.",
    }
    assert stored["objections"][0]["response_turn_id"] == 7
    assert stored["objections"][0]["response_latency_ms"] == 400
    assert stored["next_steps"][0]["due"] is None
    assert stored["flags"] == []
    assert (stored["priority"], needs_repair(result)) == ("high", True)
    assert "Give the brief again." in repair_note(result)


def test_a_missing_brief_is_no_brief():
    result = checked("call_brief")
    with pytest.raises(RequestError):
        require_complete(result)
    require_complete(apply_repair(result, checked("call_brief", brief=[brief(flags=[])])))


def test_a_response_before_the_objection_is_none():
    objection = brief()["objections"][0]
    result = checked("call_brief", brief=[brief(flags=[], objections=[{**objection, "response_turn_id": 1}])])
    assert result.brief["objections"][0]["response_turn_id"] is None


def test_parts_of_a_call_are_merged_with_where_they_came_from():
    first = checked(
        markers=all_no(ds1_asks_problem=marker("ds1_asks_problem", "yes", (1, "hardest part of a normal Monday"))),
        found=evidence(chunk_index=0, n_chunks=2),
    )
    second = checked(
        markers=all_no(ds1_asks_impact=marker("ds1_asks_impact", "not_applicable")),
        suggestions=[
            {"marker_id": "ds1_asks_problem", "turn_id": 7, "suggestion": "Ask.", "already_done_turn_id": 0},
            {"marker_id": "ds2_reflects", "turn_id": 7, "suggestion": "Reflect.", "already_done_turn_id": 0},
        ],
        found=evidence(chunk_index=1, n_chunks=2),
    )
    merged = to_stored(merge([first, second]))
    by_id = {item["marker_id"]: item for item in merged["markers"]}
    assert by_id["ds1_asks_problem"]["verdict"] == "yes"
    assert by_id["ds1_asks_problem"]["evidence"][0]["chunk_index"] == 0
    assert by_id["ds1_asks_impact"]["verdict"] == "no"
    assert [item["marker_id"] for item in merged["suggestions"]] == ["ds2_reflects"]
    assert merged["suggestions_already_done"][0]["already_done_turn_id"] == 1
    again = from_stored("discovery", merged, Counts())
    assert to_stored(again) == merged


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"markers": 5}', "[" * 200_000, '{"a": 1' + "0" * 5000 + "}"]
)
def test_what_is_no_answer_is_said_to_be_none(text):
    with pytest.raises(RequestError) as caught:
        parse_answer(text)
    assert caught.value.kind == "malformed"


def test_the_schema_is_one_the_api_takes():
    """Everything required, nothing else allowed, no unions, and evidence written before its verdict."""

    def walk(schema):
        if schema.get("type") == "object":
            assert schema["required"] == list(schema["properties"])
            assert schema["additionalProperties"] is False
        assert not {"anyOf", "minimum", "maxItems", "pattern"} & schema.keys()
        for child in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
            walk(child)

    walk(ANSWER_SCHEMA)
    assert list(ANSWER_SCHEMA["properties"]["markers"]["items"]["properties"]) == [
        "marker_id",
        "evidence",
        "why",
        "verdict",
    ]


def test_every_marker_is_asked_with_its_anchor_and_examples():
    for rubric in KNOWLEDGE.rubrics:
        text = questions_text([rubric.dimension], KNOWLEDGE)
        for asked in rubric.markers:
            assert f"### {asked.marker_id}\n" in text
            assert asked.anchor in text
            assert asked.no_example in text
    assert len(prompt_version()) == 12
