import pytest

from dagster_project.analysis.redaction import redact, redactor_for
from dagster_project.analysis.transcripts import build_transcript, parse_parties

PARTIES = parse_parties(
    [
        {"speakerId": "a", "userId": "u1", "affiliation": "Internal", "name": "Quillon Reppington"},
        {"speakerId": "c", "affiliation": "External", "name": "Will Buyerly"},
        {"affiliation": "External", "name": "Zephyrine Silent-Attendee"},
        {"affiliation": "External", "name": "guest@example.com"},
    ],
    primary_user_id="u1",
)


def redacted(text):
    transcript = build_transcript(
        call_id="1",
        rep_id="u1",
        monologues=[
            {"speakerId": "a", "sentences": [{"start": 0, "end": 1, "text": text}]},
            {"speakerId": "c", "sentences": [{"start": 2, "end": 3, "text": "Fine."}]},
        ],
        parties=PARTIES,
    )
    return redact(transcript, PARTIES).turns[0].text


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("I am Quillon Reppington.", "I am REP."),
        ("Reppington, quillon's team", "REP, REP's team"),
        ("Thanks, Will.", "Thanks, CUSTOMER_1."),
        ("So Will said it.", "So CUSTOMER_1 said it."),
        ("Will you come? I will.", "Will you come? I will."),
        ("Zephyrine could not join.", "CUSTOMER_2 could not join."),
        ("Write to dana.fox+x@mail.example.com today.", "Write to [EMAIL] today."),
        ("It is dana dot fox at example dot com.", "It is [EMAIL]."),
        ("Call +49 170 555 0199 or (415) 555-0142.", "Call [PHONE] or [PHONE]."),
        ("My card is 4111 1111 1111 1111.", "My card is [CARD]."),
        ("Order 4111 1111 1111 1112 is late.", "Order 4111 1111 1111 1112 is late."),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [IBAN] please"),
        ("The social is 219-09-9999.", "The social is [SSN]."),
        ("Dial five five five oh one four two now", "Dial [NUMBER] now"),
        (
            "We run 12,000 jobs and 3.14 of them at 10:30 in 2026.",
            "We run 12,000 jobs and 3.14 of them at 10:30 in 2026.",
        ),
        ("One two three, testing.", "One two three, testing."),
        ("Prefect 3.1.4 on Airflow 2.10", "Prefect 3.1.4 on Airflow 2.10"),
    ],
)
def test_what_names_a_person_is_replaced_and_nothing_else(said, sent):
    assert redacted(said) == sent


def test_a_call_without_names_is_left_alone():
    parties = parse_parties([{"speakerId": "a", "userId": "u1", "affiliation": "Internal"}], primary_user_id="u1")
    transcript = build_transcript(
        call_id="1",
        rep_id="u1",
        monologues=[{"speakerId": "a", "sentences": [{"text": "Nobody here."}]}],
        parties=parties,
    )
    assert redactor_for(transcript, parties).redact("Nobody here.") == "Nobody here."


def test_seeded_personal_data_is_found():
    """Recall on numbers and addresses planted in many wordings; what is missed is printed."""
    planted = [
        f"{before} {value}{after}"
        for before in ("reach me at", "it's", "you can use", "the one on file is", "so that would be")
        for value in (
            "sam@example.org",
            "sam.lee@mail.example.co.uk",
            "+1 415 555 0142",
            "415-555-0142",
            "(415) 555-0142",
            "+44 20 7946 0958",
            "5500 0000 0000 0004",
            "4111111111111111",
            "340000000000009",
            "GB29 NWBK 6016 1331 9268 19",
            "FR1420041010050500013M02606",
            "219-09-9999",
        )
        for after in (".", ", thanks", "")
    ]
    missed = [text for text in planted if "[" not in redacted(text)]
    assert missed == []
