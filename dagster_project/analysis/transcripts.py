"""From Gong's monologues to turns with sides and labels.

raw_gong.transcripts -> sentences in order -> turns -> compact lines `[17|03:10|REP] text`.
The turn rule is the warehouse's too (dbt computes the same turns in SQL): change both or neither.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Side = Literal["rep", "team", "customer", "unknown"]
SIDES: tuple[Side, ...] = ("rep", "team", "customer", "unknown")
SIDE_OF_LABEL: dict[str, Side] = {side.upper(): side for side in SIDES}
UNKNOWN_SPEAKER = "unknown"


@dataclass(frozen=True, slots=True)
class Party:
    speaker_id: str | None
    user_id: str | None
    name: str | None
    email: str | None
    side: Side


@dataclass(frozen=True, slots=True)
class Turn:
    turn_id: int
    speaker_id: str
    side: Side
    label: str
    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Transcript:
    call_id: str
    rep_id: str
    turns: tuple[Turn, ...]

    def turn(self, turn_id: int) -> Turn | None:
        return self.turns[turn_id - 1] if 1 <= turn_id <= len(self.turns) else None

    def with_texts(self, texts: Sequence[str]) -> "Transcript":
        return replace(
            self,
            turns=tuple(replace(turn, text=text) for turn, text in zip(self.turns, texts, strict=True)),
        )

    @property
    def hash(self) -> str:
        """Names what Claude is shown, and nothing else: equal transcripts of two calls share their answers."""
        canonical = [[turn.turn_id, turn.start_ms, turn.label, turn.text] for turn in self.turns]
        return hashlib.sha256(json.dumps(canonical, ensure_ascii=False).encode()).hexdigest()


def parse_parties(parties: Sequence[Mapping[str, Any]] | None, *, primary_user_id: str | None) -> tuple[Party, ...]:
    return tuple(
        Party(
            speaker_id=party.get("speakerId"),
            user_id=party.get("userId"),
            name=party.get("name"),
            email=party.get("emailAddress"),
            side=side_of(party, primary_user_id=primary_user_id),
        )
        for party in parties or ()
    )


def side_of(party: Mapping[str, Any], *, primary_user_id: str | None) -> Side:
    if primary_user_id is not None and party.get("userId") == primary_user_id:
        return "rep"
    match party.get("affiliation"):
        case "Internal":
            return "team"
        case "External":
            return "customer"
        case _:
            return "unknown"


def build_transcript(
    *,
    call_id: str,
    rep_id: str,
    monologues: Sequence[Mapping[str, Any]],
    parties: Sequence[Party],
) -> Transcript:
    sides: dict[str, Side] = {party.speaker_id: party.side for party in parties if party.speaker_id}
    labels = Labels()
    turns: list[Turn] = []
    runs: list[tuple[str, int, int, list[str]]] = []
    for speaker_id, start_ms, end_ms, text in ordered_sentences(monologues):
        if runs and runs[-1][0] == speaker_id:
            speaker, first_start, last_end, texts = runs[-1]
            runs[-1] = (speaker, first_start, max(last_end, end_ms), [*texts, text])
        else:
            runs.append((speaker_id, start_ms, end_ms, [text]))
    for turn_id, (speaker_id, start_ms, end_ms, texts) in enumerate(runs, start=1):
        side = sides.get(speaker_id, "unknown")
        turns.append(
            Turn(
                turn_id=turn_id,
                speaker_id=speaker_id,
                side=side,
                label=labels.of(speaker_id, side),
                start_ms=start_ms,
                end_ms=end_ms,
                text=" ".join(texts),
            )
        )
    return Transcript(call_id=call_id, rep_id=rep_id, turns=tuple(turns))


def ordered_sentences(monologues: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, int, str]]:
    """(speaker, start, end, text) by start time; a missing start is the latest start seen before it."""
    rows: list[tuple[int, int, str, int, str]] = []
    latest_start = 0
    position = 0
    for monologue in monologues:
        speaker_id = monologue.get("speakerId") or UNKNOWN_SPEAKER
        for sentence in monologue.get("sentences") or ():
            text = (sentence.get("text") or "").strip()
            if not text:
                continue
            position += 1
            start = sentence.get("start")
            start_ms = latest_start if start is None else int(start)
            end = sentence.get("end")
            end_ms = start_ms if end is None else int(end)
            latest_start = max(latest_start, start_ms)
            rows.append((start_ms, position, str(speaker_id), end_ms, text))
    rows.sort(key=lambda row: row[:2])
    return [(speaker_id, start_ms, end_ms, text) for start_ms, _, speaker_id, end_ms, text in rows]


TAG = re.compile(r"<(?=\s*/?\s*transcript)", re.IGNORECASE)
LINE = re.compile(r"^\[(\d+)\|\d+:\d\d\|((?:REP|TEAM|CUSTOMER|UNKNOWN)(?:_\d+)?)\] (.*)$")


def turns_of_lines(text: str, *, starts_ms: Sequence[int], ends_ms: Sequence[int]) -> tuple[Turn, ...]:
    """The turns of a chunk, read back from what Claude is sent; the lists cover the chunk's first to last turn."""
    turns: dict[int, Turn] = {}
    first_turn_id: int | None = None
    for row in text.split("\n"):
        found = LINE.match(row)
        if found is None:
            raise ValueError(f"not a turn line: {row[:80]!r}")
        turn_id, label, said = int(found[1]), found[2], found[3]
        first_turn_id = turn_id if first_turn_id is None else first_turn_id
        if turn_id in turns:
            turns[turn_id] = replace(turns[turn_id], text=f"{turns[turn_id].text} {said}")
            continue
        side = SIDE_OF_LABEL[label.split("_")[0]]
        offset = turn_id - first_turn_id
        turns[turn_id] = Turn(turn_id, label, side, label, starts_ms[offset], ends_ms[offset], said)
    return tuple(turns.values())


class Labels:
    """REP, TEAM_1, CUSTOMER_2: numbered per side in order of first speech."""

    def __init__(self) -> None:
        self._by_speaker: dict[str, str] = {}
        self._counts: dict[Side, int] = dict.fromkeys(SIDES, 0)

    def of(self, speaker_id: str, side: Side) -> str:
        if speaker_id not in self._by_speaker:
            self._counts[side] += 1
            self._by_speaker[speaker_id] = "REP" if side == "rep" else f"{side.upper()}_{self._counts[side]}"
        return self._by_speaker[speaker_id]


def line(turn: Turn, text: str | None = None) -> str:
    minutes, seconds = divmod(turn.start_ms // 1000, 60)
    # a line break inside a turn could pass for the start of another turn, a tag for the end of the transcript
    flat = TAG.sub("‹", " ".join((turn.text if text is None else text).split()))
    return f"[{turn.turn_id}|{minutes:02d}:{seconds:02d}|{turn.label}] {flat}"
