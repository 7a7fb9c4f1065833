"""The sentences of the seeded company: phrase banks in company_words/*.yaml and the grammar that combines them."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "company_words"
SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Phrases:
    """Everything that can be said or named."""

    # dimension -> marker id -> sentences
    markers: Mapping[str, Mapping[str, list[str]]]
    # first letters of marker ids -> question of the managers' scorecard
    scorecard: Mapping[str, str]
    opportunities: Mapping[str, list[str]]
    objections_raised: Mapping[str, list[str]]
    topics: Mapping[str, Mapping[str, Any]]
    talk: Mapping[str, list[str]]
    people: Mapping[str, Any]

    @property
    def by_marker(self) -> dict[str, list[str]]:
        return {marker: lines for markers in self.markers.values() for marker, lines in markers.items()}


@cache
def load_phrases() -> Phrases:
    """Read the banks once per process."""
    markers = _read("markers")
    others = ("scorecard", "opportunities", "objections_raised")
    dimensions = {name: bank for name, bank in markers.items() if name not in others}
    return Phrases(
        markers=dimensions,
        scorecard=markers["scorecard"],
        opportunities=markers["opportunities"],
        objections_raised=markers["objections_raised"],
        topics=_read("topics"),
        talk=_read("talk"),
        people=_read("people"),
    )


def _read(name: str) -> dict[str, Any]:
    # the C parser is six times faster and not in every build of PyYAML
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    body: dict[str, Any] = yaml.load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), Loader=loader)  # noqa: S506
    return body


class Speech:
    """Fills templates and says no template of a closed bank twice before all were said."""

    TRIES = 8

    def __init__(self, rng: random.Random, talk: Mapping[str, list[str]], slots: dict[str, str]) -> None:
        self._rng = rng
        self._talk = talk
        self.slots = slots
        self._said: set[str] = set()

    def say(self, bank: list[str]) -> str:
        """A line of the bank, new to this call where the bank allows it."""
        fresh = [template for template in bank if template not in self._said] or bank
        template = self._rng.choice(fresh)
        self._said.add(template)
        return self.fill(template)

    def has_fresh(self, bank: list[str]) -> bool:
        """Whether a line of the bank was not said in this call."""
        return any(template not in self._said for template in bank)

    def say_or_combine(self, bank: list[str], combinations: str) -> str:
        """A fresh line of the bank or, more often the fewer are left, a free combination."""
        fresh = [template for template in bank if template not in self._said]
        if fresh and self._rng.random() < 0.6:
            return self.say(fresh)
        return self.combine(combinations)

    def combine(self, name: str) -> str:
        """A sentence of the grammar that was not said in this call."""
        sentence = ""
        for _ in range(self.TRIES):
            sentence = self.fill(self._rng.choice(self._talk[name]))
            if sentence not in self._said:
                break
        self._said.add(sentence)
        return sentence

    def fill(self, template: str) -> str:
        """Replace every {symbol}: a slot of this call, else a line of the talk bank."""
        while "{" in template:
            template = SLOT.sub(lambda match: self._value(match[1]), template)
        return template[0].upper() + template[1:]

    def hesitate(self, sentence: str) -> str:
        """Now and then a filler word in front, as people do."""
        first, _, rest = sentence.partition(" ")
        if first.lower() not in self._talk["lowerable"] or self._rng.random() > 0.16:
            return sentence
        return f"{self._rng.choice(self._talk['fillers'])}{first.lower()} {rest}"

    def cut(self, sentence: str) -> str:
        """Break off after a few words."""
        words = sentence.split()
        if len(words) < 7 or self._rng.random() > 0.03:
            return sentence
        return " ".join(words[: self._rng.randint(3, 5)]).rstrip(",.") + "..."

    def _value(self, name: str) -> str:
        value = self.slots.get(name)
        if value is not None:
            return value
        if name in NUMBERS:
            low, high = NUMBERS[name]
            return str(self._rng.randint(low, high))
        return self._rng.choice(self._talk[name])


NUMBERS = {"number": (40, 380), "days": (2, 6), "hours": (6, 60), "amount": (12, 90), "minutes": (12, 70)}
