"""Sentences become turns by one rule, in SQL for the warehouse and in Python for the prompt."""

import json
from pathlib import Path
from typing import Any

import pytest

from dagster_project.analysis.transcripts import build_transcript, parse_parties
from tests.dbt.conftest import Warehouse, monologues

PARTIES = [
    {"id": "1", "name": "Ada", "userId": "ada", "speakerId": "s-rep", "affiliation": "Internal"},
    {"id": "2", "name": "Tom", "userId": "tom", "speakerId": "s-team", "affiliation": "Internal"},
    {"id": "3", "name": "Cas", "speakerId": "s-cus", "affiliation": "External"},
    {"id": "4", "name": "Kim", "speakerId": "s-two", "affiliation": "External"},
    {"id": "5", "name": "Listed twice", "speakerId": "s-dup", "affiliation": "External"},
    {"id": "6", "name": "Listed twice", "speakerId": "s-dup", "affiliation": "Internal"},
    {"id": "7", "name": "Silent", "affiliation": "External"},
    {"id": "8", "name": "Whose side?", "speakerId": "s-who", "affiliation": "Unknown"},
]
TRANSCRIPTS: dict[str, list[dict[str, Any]]] = {
    "in-order": monologues(("s-rep", 0, 900, "One."), ("s-cus", 1000, 1900, "Two."), ("s-cus", 2000, 2900, "Three.")),
    "out-of-order": monologues(
        ("s-rep", 5000, 9000, "Begins third."),
        ("s-cus", 1000, 2000, "Begins first."),
        ("s-team", 3000, 4000, "Begins second."),
        ("s-cus", 3000, 3500, "At the same time, listed later."),
    ),
    "times-missing": monologues(
        ("s-rep", None, None, "No start before any start."),
        ("s-cus", 4000, None, "No end."),
        ("s-rep", None, 7000, "No start: the latest start before it."),
        ("s-cus", 2000, 2500, "Earlier than the latest."),
        ("s-rep", None, None, "Still the latest, not the last."),
    ),
    "nobody-named": monologues((None, 0, 100, "Who?"), ("", 200, 300, "Nobody."), ("s-gone", 400, 500, "Not listed.")),
    "white-space": monologues(
        ("s-rep", 0, 100, "  padded\t"),
        ("s-cus", 200, 300, " \u00a0\u2003\n"),
        ("s-rep", 400, 500, "\u3000wide\u3000"),
        ("s-cus", 600, 700, "a  b"),
        ("s-rep", 800, 900, ""),
    ),
    "everyone": monologues(
        ("s-two", 0, 10, "First customer to speak."),
        ("s-cus", 20, 30, "Second."),
        ("s-team", 40, 50, "Colleague."),
        ("s-dup", 60, 70, "Listed twice."),
        ("s-who", 80, 90, "Unknown."),
        ("s-rep", 95, 99, "Rep."),
    ),
    "fractions": [{"speakerId": "s-rep", "sentences": [{"start": 1.9, "end": 10.99, "text": "Cut, not rounded."}]}],
    "endless": monologues(
        ("s-rep", 0, 100, " ".join(f"word{n}" for n in range(140_000))), ("s-cus", 200, 300, "Well.")
    ),
    "empty": [],
    "no-sentences": [{"speakerId": "s-rep"}, {"speakerId": "s-cus", "sentences": None}],
    "no-text": [{"speakerId": "s-rep", "sentences": [{"start": 1, "end": 2}, {"start": 3, "end": 4, "text": "Yes."}]}],
}


def turns_in_python(call_id: str, transcript: list[dict[str, Any]], parties: list[dict[str, Any]], rep: str) -> Any:
    built = build_transcript(
        call_id=call_id,
        rep_id=rep,
        monologues=transcript,
        parties=parse_parties(parties, primary_user_id=rep),
    )
    return [
        (turn.turn_id, turn.speaker_id, turn.side, turn.label, turn.start_ms, turn.end_ms, turn.text)
        for turn in built.turns
    ]


def turns_in_sql(warehouse: Warehouse, call_id: str) -> Any:
    rows = warehouse.rows(
        """
        select turn_id, speaker_id, side, speaker_label, start_ms, end_ms, text
        from marts.fct_turns where call_id = %s order by turn_id
        """,
        call_id,
    )
    return [tuple(row.values()) for row in rows]


@pytest.fixture(scope="module")
def built(shared_warehouse: Warehouse) -> Warehouse:
    shared_warehouse.user("ada")
    for call_id, transcript in TRANSCRIPTS.items():
        shared_warehouse.call(call_id, transcript=transcript, parties=PARTIES)
    meetings = Path(__file__).parents[3] / "shared" / "data" / "ami_meetings"
    if meetings.is_dir():
        transcripts = {
            item["callId"]: item["transcript"] for item in json.loads((meetings / "transcripts.json").read_text())
        }
        for item in json.loads((meetings / "calls.json").read_text()):
            meta = item["metaData"]
            shared_warehouse.call(
                meta["id"],
                rep_id=meta["primaryUserId"],
                transcript=transcripts[meta["id"]],
                parties=item["parties"],
                interaction=item["interaction"],
            )
    shared_warehouse.dbt("run", "--select", "+fct_turns", "+fct_call_participants", "+fct_calls")
    return shared_warehouse


@pytest.mark.parametrize("call_id", TRANSCRIPTS)
def test_sql_and_python_build_the_same_turns(built: Warehouse, call_id: str) -> None:
    assert turns_in_sql(built, call_id) == turns_in_python(call_id, TRANSCRIPTS[call_id], PARTIES, "ada")


def test_sql_and_python_build_the_same_turns_of_real_meetings(built: Warehouse, real_meetings: Path) -> None:
    calls = json.loads((real_meetings / "calls.json").read_text())
    transcripts = {
        item["callId"]: item["transcript"] for item in json.loads((real_meetings / "transcripts.json").read_text())
    }
    for item in calls:
        call_id, rep_id = item["metaData"]["id"], item["metaData"]["primaryUserId"]
        expected = turns_in_python(call_id, transcripts[call_id], item["parties"], rep_id)
        assert len(expected) > 200
        assert turns_in_sql(built, call_id) == expected


def test_a_missing_start_is_the_latest_start_before_it(built: Warehouse) -> None:
    assert [(row[4], row[5], row[6]) for row in turns_in_sql(built, "times-missing")] == [
        (0, 0, "No start before any start."),
        (2000, 4000, "Earlier than the latest. No end."),
        (4000, 7000, "No start: the latest start before it. Still the latest, not the last."),
    ]


def test_a_transcript_without_words_gives_no_turns_and_the_call_says_so(built: Warehouse) -> None:
    for call_id in ("empty", "no-sentences"):
        assert turns_in_sql(built, call_id) == []
        call = built.one("select has_transcript, ineligible_reason from marts.fct_calls where call_id = %s", call_id)
        assert call == {"has_transcript": False, "ineligible_reason": "no transcript yet"}


def test_words_are_found_by_their_stem(built: Warehouse) -> None:
    found = built.rows(
        "select call_id, text from marts.fct_turns where search @@ websearch_to_tsquery('english', 'begin')"
    )
    assert {row["text"] for row in found if row["call_id"] in TRANSCRIPTS} == {
        *("Begins first.", "Begins second.", "Begins third."),
    }


def test_the_speaking_time_of_real_meetings_is_what_gong_would_say(built: Warehouse, real_meetings: Path) -> None:
    rows = built.rows(
        "select talk_ms, gong_talk_s from marts.fct_call_participants where gong_talk_s is not null and talk_ms > 60000"
    )
    assert len(rows) >= 24
    for row in rows:
        assert row["talk_ms"] / 1000 == pytest.approx(float(row["gong_talk_s"]), rel=0.02)


def test_the_airtime_shares_of_a_call_add_up_to_one(built: Warehouse) -> None:
    sums = built.rows("select call_id, sum(talk_ratio) as total from marts.fct_call_participants group by call_id")
    assert sums
    for row in sums:
        assert row["total"] is None or float(row["total"]) == pytest.approx(1, abs=0.001), row["call_id"]
