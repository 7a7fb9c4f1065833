"""What people say in WebVTT, SRT and `Speaker: text` files. Pure functions: text in, utterances out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

UNKNOWN = "Unknown"
# conversational English; only files without any time are clocked with it
WORDS_PER_MINUTE = 150

CLOCK = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})(?:[.,](\d{1,3}))?"
CUE = re.compile(rf"^\s*{CLOCK}\s*-->\s*{CLOCK}(?:\s.*)?$")
VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>(.*?)(?=<v[.\s]|$)", re.DOTALL)
TAG = re.compile(r"</?[^>]+>")
# a name is short and starts with a letter; the space after the colon keeps times and links out
SPEAKER = re.compile(r"^\s*([^\W\d_][^:\n]{0,59}?)\s*:\s+(\S.*)$", re.DOTALL)
STAMP = re.compile(rf"^\s*[\[(]?{CLOCK}[\])]?\s*[-–]?\s*")
STAMP_AFTER_NAME = re.compile(rf"^\s*([^\W\d_][^:\n\[(]{{0,59}}?)\s*[\[(]{CLOCK}[\])]\s*:?\s+(\S.*)$", re.DOTALL)


class UnreadableTranscriptError(ValueError):
    """The file holds no transcript of its format; the text says what is wrong."""


@dataclass(frozen=True)
class Utterance:
    """Something that one speaker says in one go; times in milliseconds from the call's start."""

    speaker: str
    start: int | None
    end: int | None
    text: str


def read_cues(text: str) -> list[Utterance]:
    """WebVTT and SRT: blocks with a `from --> to` line; speakers from voice tags or a `Name:` prefix.

    Raises:
        UnreadableTranscriptError: there is no cue, or a cue ends before it starts.
    """
    utterances: list[Utterance] = []
    speaker = UNKNOWN
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")):
        lines = block.strip("\n").split("\n")
        at = next((n for n, line in enumerate(lines) if CUE.match(line)), None)
        if at is None:
            continue
        timing = CUE.match(lines[at])
        assert timing is not None  # noqa: S101 (found by the same pattern one line above)
        start, end = _ms(*timing.groups()[:4]), _ms(*timing.groups()[4:])
        if end < start:
            raise UnreadableTranscriptError(f"the cue {lines[at].strip()!r} ends before it starts")
        payload = "\n".join(lines[at + 1 :])
        for name, said in _voices(payload):
            speaker = name or speaker
            if said:
                utterances.append(Utterance(speaker, start, end, said))
    if not utterances:
        raise UnreadableTranscriptError("it has no cue like `00:00:01.000 --> 00:00:04.000` with text below it")
    return utterances


def _voices(payload: str) -> Iterator[tuple[str | None, str]]:
    """(speaker or None, text) of one cue."""
    voices = VOICE.findall(payload)
    if voices:
        for name, said in voices:
            yield name.strip(), _plain(said)
        return
    for line in payload.split("\n"):
        said = _plain(line)
        named = SPEAKER.match(said)
        yield (named[1].strip(), named[2].strip()) if named else (None, said)


def _plain(text: str) -> str:
    without_tags = TAG.sub("", text)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&amp;", "&")):
        without_tags = without_tags.replace(entity, character)
    return " ".join(without_tags.split())


def read_lines(text: str) -> list[Utterance]:
    """`Speaker: text` lines, with or without a time before or after the name; other lines continue the one before.

    Raises:
        UnreadableTranscriptError: no line names a speaker.
    """
    utterances: list[Utterance] = []
    for raw in text.lstrip("\ufeff").splitlines():
        line = raw.strip()
        if not line:
            continue
        start: int | None = None
        if named_first := STAMP_AFTER_NAME.match(line):
            start = _ms(*named_first.groups()[1:5])
            line = f"{named_first[1]}: {named_first[6]}"
        elif (stamp := STAMP.match(line)) and SPEAKER.match(line[stamp.end() :]):
            start, line = _ms(*stamp.groups()), line[stamp.end() :]
        if named := SPEAKER.match(line):
            utterances.append(Utterance(named[1].strip(), start, None, " ".join(named[2].split())))
        elif utterances:
            last = utterances[-1]
            utterances[-1] = replace(last, text=f"{last.text} {' '.join(line.split())}")
    if not utterances:
        raise UnreadableTranscriptError("no line looks like `Speaker: text`")
    return _clocked(utterances)


def _clocked(utterances: list[Utterance]) -> list[Utterance]:
    """Give every utterance a start and an end: known starts stay, the rest is estimated from the number of words."""
    clocked: list[Utterance] = []
    clock = 0
    for position, utterance in enumerate(utterances):
        start = max(clock, utterance.start) if utterance.start is not None else clock
        estimate = round(len(utterance.text.split()) * 60_000 / WORDS_PER_MINUTE)
        following = next((later.start for later in utterances[position + 1 :] if later.start is not None), None)
        end = start + estimate
        if following is not None and following > start:
            end = min(end, following)
        clocked.append(replace(utterance, start=start, end=end))
        clock = end
    return clocked


def monologues(utterances: list[Utterance], speaker_ids: dict[str, str]) -> list[dict[str, object]]:
    """Gong's transcript block: consecutive utterances of one speaker are one monologue."""
    return [
        {
            "speakerId": speaker_ids[speaker],
            "topic": None,
            "sentences": [{"start": said.start, "end": said.end, "text": said.text} for said in group],
        }
        for speaker, group in groupby(utterances, key=lambda utterance: utterance.speaker)
    ]


def _ms(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> int:
    whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return whole * 1000 + int((fraction or "0").ljust(3, "0"))
