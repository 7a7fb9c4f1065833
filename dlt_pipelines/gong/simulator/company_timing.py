"""When each sentence of a call is said: pace, pauses, overlaps, backchannels, in Gong's monologues."""

from __future__ import annotations

import random
from typing import Any

from dlt_pipelines.gong.simulator.company_dialogue import WORDS_PER_SECOND, Dialogue, Side, Turn
from dlt_pipelines.gong.simulator.company_plot import Plot

SPEAKER_DIGITS = {"rep": 1, "team": 2, "customer": 3, "quiet": 4, "third": 5, "silent": 8, "unknown": 9}


def speaker_id(call_id: str, side: str) -> str:
    """Gong's speaker of a transcript: a number of its own, neither the user's nor the party's."""
    return f"{int(call_id[-12:]):012d}{SPEAKER_DIGITS[side]}"


class Timing:
    """Sets the clock on one dialogue."""

    def __init__(self, plot: Plot, dialogue: Dialogue, *, rng: random.Random) -> None:
        self.plot = plot
        self.dialogue = dialogue
        self.rng = rng

    def monologues(self) -> tuple[list[dict[str, Any]], int]:
        """The transcript and its end in milliseconds; starts are out of order where people overlap."""
        rng = self.rng
        monologues: list[dict[str, Any]] = []
        cursor = rng.randint(800, 4000)
        previous: Side | None = None
        for turn in self.dialogue.turns:
            if previous is not None:
                eager = turn.side == "rep" and rng.random() > self.plot.engagement
                overlap = rng.random() < (0.6 if eager else 0.34)
                cursor += -rng.randint(80, 700) if overlap else rng.randint(90, 1400)
            monologue, cursor, interjections = self._monologue(turn, max(0, cursor))
            monologues += [*monologue, *interjections]
            previous = turn.side
        if self.plot.slot.remark == "times missing":
            for monologue_item in monologues:
                for sentence in monologue_item["sentences"]:
                    if rng.random() < 0.1:
                        sentence.pop(rng.choice(("start", "end")))
        return monologues, cursor

    def _monologue(self, turn: Turn, cursor: int) -> tuple[list[dict[str, Any]], int, list[dict[str, Any]]]:
        rng = self.rng
        pieces: list[dict[str, Any]] = [self._piece(turn.side)]
        late: list[dict[str, Any]] = []
        speech = self.dialogue.speech
        for number, text in enumerate(turn.sentences):
            spoken = text if text in self.dialogue.fixed else speech.cut(speech.hesitate(text))
            duration = max(350, round(len(spoken.split()) / WORDS_PER_SECOND * 1000 * rng.uniform(0.85, 1.2)))
            pieces[-1]["sentences"].append({"start": cursor, "end": cursor + duration, "text": spoken})
            is_last = number == len(turn.sentences) - 1
            if not is_last and rng.random() < 0.16:
                noise = self._piece(self._listener(turn.side))
                start = cursor + round(duration * rng.uniform(0.5, 0.95))
                noise["sentences"].append(
                    {
                        "start": start,
                        "end": start + rng.randint(220, 520),
                        "text": rng.choice(self.dialogue.phrases.talk["backchannels"]),
                    }
                )
                if rng.random() < 0.5:
                    pieces += [noise, self._piece(turn.side)]
                else:
                    late.append(noise)
            cursor += duration + (0 if is_last else rng.randint(60, 380))
        return pieces, cursor, late

    def _listener(self, speaking: Side) -> Side:
        if self.plot.is_internal:
            return "team" if speaking == "rep" else "rep"
        return "customer" if speaking in ("rep", "team") else "rep"

    def _piece(self, side: Side) -> dict[str, Any]:
        return {"speakerId": speaker_id(self.plot.call_id, side), "topic": None, "sentences": []}
