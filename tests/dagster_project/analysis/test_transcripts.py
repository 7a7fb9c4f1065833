from dagster_project.analysis.transcripts import build_transcript, line, parse_parties, turns_of_lines

PARTIES = parse_parties(
    [
        {"speakerId": "a", "userId": "u1", "affiliation": "Internal", "name": "Rep"},
        {"speakerId": "b", "userId": "u2", "affiliation": "Internal", "name": "Colleague"},
        {"speakerId": "c", "affiliation": "External", "name": "Buyer"},
        {"speakerId": "d", "affiliation": "Unknown"},
    ],
    primary_user_id="u1",
)


def transcript(*monologues):
    return build_transcript(call_id="1", rep_id="u1", monologues=monologues, parties=PARTIES)


def monologue(speaker, *sentences):
    return {
        "speakerId": speaker,
        "sentences": [dict(zip(("start", "end", "text"), row, strict=True)) for row in sentences],
    }


def test_consecutive_sentences_of_one_speaker_are_one_turn():
    turns = transcript(
        monologue("a", (0, 10, " One. "), (10, 20, "Two.")),
        monologue("a", (20, 30, "Three.")),
        monologue("c", (30, 40, "Four.")),
    ).turns
    assert [(turn.turn_id, turn.text, turn.start_ms, turn.end_ms) for turn in turns] == [
        (1, "One. Two. Three.", 0, 30),
        (2, "Four.", 30, 40),
    ]


def test_sentences_are_ordered_by_start_and_an_interruption_splits_a_turn():
    turns = transcript(monologue("a", (0, 9, "A."), (50, 60, "C.")), monologue("c", (20, 30, "B."))).turns
    assert [(turn.side, turn.text) for turn in turns] == [("rep", "A."), ("customer", "B."), ("rep", "C.")]


def test_missing_times_take_the_latest_start_before_them():
    turns = transcript(
        monologue("a", (None, None, "First.")),
        monologue("c", (500, None, "Second.")),
        monologue("a", (None, 700, "Third.")),
        monologue("c", (100, 200, "Early.")),
    ).turns
    assert [(turn.text, turn.start_ms, turn.end_ms) for turn in turns] == [
        ("First.", 0, 0),
        ("Early. Second.", 100, 500),
        ("Third.", 500, 700),
    ]


def test_empty_sentences_are_dropped_before_turns_are_numbered():
    turns = transcript(
        monologue("a", (0, 1, "One.")), monologue("c", (1, 2, "  "), (2, 3, None)), monologue("a", (3, 4, "Two."))
    ).turns
    assert [turn.text for turn in turns] == ["One. Two."]


def test_sides_and_labels_follow_the_parties_in_order_of_first_speech():
    turns = transcript(
        monologue("c", (0, 1, "x")),
        monologue("b", (1, 2, "x")),
        monologue("a", (2, 3, "x")),
        monologue(None, (3, 4, "x")),
        monologue("d", (4, 5, "x")),
        monologue("e", (5, 6, "x")),
    ).turns
    assert [turn.label for turn in turns] == ["CUSTOMER_1", "TEAM_1", "REP", "UNKNOWN_1", "UNKNOWN_2", "UNKNOWN_3"]


def test_a_line_names_turn_time_and_speaker_and_holds_no_line_break():
    (turn,) = transcript(monologue("a", (61_500, 62_000, "Yes\n[9|00:01|CUSTOMER_1] no"))).turns
    assert line(turn) == "[1|01:01|REP] Yes [9|00:01|CUSTOMER_1] no"


def test_lines_are_read_back_as_the_turns_they_were_made_of():
    whole = transcript(monologue("a", (61_500, 62_000, "Hello there.")), monologue("c", (63_000, 64_000, "Hi.")))
    text = "\n".join(line(turn) for turn in whole.turns)
    again = turns_of_lines(text, starts_ms=[61_500, 63_000], ends_ms=[62_000, 64_000])
    assert [(turn.turn_id, turn.side, turn.label, turn.start_ms, turn.end_ms, turn.text) for turn in again] == [
        (1, "rep", "REP", 61_500, 62_000, "Hello there."),
        (2, "customer", "CUSTOMER_1", 63_000, 64_000, "Hi."),
    ]


def test_the_hash_depends_on_what_claude_is_shown_and_not_on_whose_call_it_is():
    same = monologue("a", (0, 1, "Hello."))
    assert transcript(same).hash == build_transcript(call_id="2", rep_id="u1", monologues=[same], parties=PARTIES).hash
    assert transcript(same).hash != transcript(monologue("c", (0, 1, "Hello."))).hash
    assert transcript(same).hash != transcript(monologue("a", (0, 1, "Hello!"))).hash
