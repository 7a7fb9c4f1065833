import pytest

from dlt_pipelines.transcript_files import UnreadableTranscriptError, Utterance, monologues, read_cues, read_lines

VTT = """\ufeffWEBVTT - a call

NOTE recorded somewhere

STYLE
::cue { color: red }

1
00:00:01.000 --> 00:00:03.500 align:start
<v Dana Reed>Hello &amp; welcome.</v>

00:04.000 --> 00:05.000
<v.loud Lee Park>Thanks!
<v Dana Reed>Sure.

00:00:06.000 --> 00:00:07.000
no tag, still Dana

1:00:00.000 --> 1:00:01.250
Lee Park: Bye.
"""

SRT = """1
00:00:01,000 --> 00:00:02,000
Dana Reed: <i>Hi</i>

2
00:00:02,500 --> 00:00:04,000
and more
""".replace("\n", "\r\n")


def test_webvtt_gives_speakers_times_and_plain_text() -> None:
    assert read_cues(VTT) == [
        Utterance("Dana Reed", 1000, 3500, "Hello & welcome."),
        Utterance("Lee Park", 4000, 5000, "Thanks!"),
        Utterance("Dana Reed", 4000, 5000, "Sure."),
        Utterance("Dana Reed", 6000, 7000, "no tag, still Dana"),
        Utterance("Lee Park", 3_600_000, 3_601_250, "Bye."),
    ]


def test_srt_with_windows_line_ends() -> None:
    assert read_cues(SRT) == [
        Utterance("Dana Reed", 1000, 2000, "Hi"),
        Utterance("Dana Reed", 2500, 4000, "and more"),
    ]


def test_a_speaker_who_is_not_named_is_unknown() -> None:
    assert read_cues("00:01.000 --> 00:02.000\nhello")[0].speaker == "Unknown"


@pytest.mark.parametrize("text", ["", "WEBVTT\n", "just words", "00:00:05.000 --> 00:00:01.000\nbackwards"])
def test_a_file_without_usable_cues_is_refused(text: str) -> None:
    with pytest.raises(UnreadableTranscriptError):
        read_cues(text)


def test_lines_are_clocked_by_their_length_and_keep_the_times_they_have() -> None:
    said = read_lines(
        "Dana Reed: one two three four five\n"
        "six seven eight nine ten\n"
        "\n"
        "[00:01:00] Lee Park: hi there\n"
        "Dana Reed (1:02): see https://example.com: it helps\n"
    )
    assert said == [
        Utterance("Dana Reed", 0, 4000, "one two three four five six seven eight nine ten"),
        Utterance("Lee Park", 60_000, 60_800, "hi there"),
        Utterance("Dana Reed", 62_000, 63_600, "see https://example.com: it helps"),
    ]


def test_a_time_or_a_link_is_no_speaker() -> None:
    said = read_lines("Dana Reed: we meet\n10:30: maybe\nhttps://example.com is it\n")
    assert [utterance.speaker for utterance in said] == ["Dana Reed"]


def test_lines_without_any_speaker_are_refused() -> None:
    with pytest.raises(UnreadableTranscriptError, match="Speaker: text"):
        read_lines("hello\nworld")


def test_consecutive_utterances_of_a_speaker_are_one_monologue() -> None:
    said = [Utterance("A", 0, 1, "x"), Utterance("A", 1, 2, "y"), Utterance("B", 2, 3, "z")]
    blocks = monologues(said, {"A": "1", "B": "2"})
    assert [(block["speakerId"], len(block["sentences"])) for block in blocks] == [("1", 2), ("2", 1)]
