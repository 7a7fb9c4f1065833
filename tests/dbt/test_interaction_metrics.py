"""One short call, every metric worked out by hand in the comments."""

from typing import Any

import pytest

from tests.dbt.conftest import Warehouse, monologues

# rep turns:      0-10, 24.5-30, 36-40 s        (listening words left out: 20.3-20.6 and 34-36)
# customer turns: 10.5-25, 31-33 s              (one turn, though the rep said "Mm-hmm." in it)
CALL = monologues(
    ("s-rep", 0, 10_000, "Tell me, how are your nights?"),
    ("s-cus", 10_500, 20_500, "We lose them."),
    ("s-rep", 20_300, 20_600, "Mm-hmm."),
    ("s-cus", 20_700, 25_000, "All of them."),
    ("s-rep", 24_500, 30_000, "What would help?"),
    ("s-cus", 31_000, 33_000, "Sleep."),
    ("s-rep", 34_000, 36_000, "Right."),
    ("s-rep", 36_000, 40_000, "Let us fix that."),
    ("s-cus", 40_000, 40_000, "A sentence without length counts nowhere?"),
)
GONG = {
    "speakers": [{"id": "p1", "userId": "ada", "talkTime": 21.5}, {"id": "p2", "userId": None, "talkTime": 16.0}],
    "interactionStats": [
        {"name": "Talk Ratio", "value": 57},
        {"name": "Longest Monologue", "value": 10.0},
        {"name": "Interactivity", "value": 9.23},
        {"name": "Patience", "value": 1.4},
    ],
}


@pytest.fixture(scope="module")
def participants(shared_warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    shared_warehouse.user("ada")
    shared_warehouse.call("metrics", transcript=CALL, interaction=GONG)
    shared_warehouse.dbt("run", "--select", "+fct_call_participants")
    rows = shared_warehouse.rows("select * from marts.fct_call_participants where call_id = 'metrics'")
    return {row["side"]: row for row in rows}


@pytest.mark.parametrize(
    ("side", "column", "expected"),
    [
        # 10 + 0.3 + 5.5 + 2 + 4 of 38.1 s, listening words included
        ("rep", "talk_ms", 21_800),
        ("customer", "talk_ms", 16_300),
        ("rep", "talk_ratio", 0.5722),
        ("rep", "longest_monologue_s", 10.0),
        ("customer", "longest_monologue_s", 14.5),
        # pauses before the rep's answers: -0.5 counts as 0, and 3.0; the median lies between
        ("rep", "patience_s", 1.5),
        # one of two answers began over 200 ms early
        ("rep", "interruption_rate", 0.5),
        ("rep", "n_turns", 3),
        ("customer", "n_turns", 2),
        ("rep", "n_backchannels", 2),
        ("rep", "n_questions", 2),
        ("customer", "n_questions", 0),
        # two questions in 40 s
        ("rep", "questions_per_hour", 180.0),
        # five turns, four changes, 40 s
        ("rep", "switches_per_min", 6.0),
        ("customer", "switches_per_min", 6.0),
        ("rep", "call_minutes", 0.67),
        ("customer", "patience_s", None),
        # Gong's own numbers stand beside ours; 57 means 0.57
        ("rep", "gong_talk_ratio", 0.57),
        ("rep", "gong_talk_s", 21.5),
        ("customer", "gong_talk_s", 16.0),
        ("rep", "gong_interactivity", 9.23),
        ("rep", "gong_patience_s", 1.4),
        ("customer", "gong_talk_ratio", None),
    ],
)
def test_a_metric_is_what_its_definition_says(
    participants: dict[str, dict[str, Any]], side: str, column: str, expected: float | None
) -> None:
    found = participants[side][column]
    assert found is None if expected is None else float(found) == pytest.approx(expected, abs=0.0001)


def test_every_number_names_the_version_of_its_definition(participants: dict[str, dict[str, Any]]) -> None:
    assert {row["metric_version"] for row in participants.values()} == {"interaction-1"}


def test_a_participant_carries_name_and_label(participants: dict[str, dict[str, Any]]) -> None:
    assert participants["rep"]["participant_name"] == "Ada"
    assert participants["rep"]["speaker_label"] == "REP"
    assert participants["customer"]["speaker_label"] == "CUSTOMER_1"
