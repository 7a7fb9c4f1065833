"""What must not leave the warehouse is replaced before hashing and sending.

Participants' names become their role labels, so "Thanks, Dana" stays readable as "Thanks, CUSTOMER_1". Patterns with a
checksum (cards, IBANs) are only replaced when the checksum holds; e-mails, phone numbers and SSNs by shape.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dagster_project.analysis.transcripts import Labels, Party, Transcript

# raise it with every change of what is replaced: it is part of the result key
REDACTOR_VERSION = "r1"

EMAIL = re.compile(r"[A-Za-z0-9][\w.+'-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
# speech recognition writes addresses out: "dana dot fox at example dot com"
SPOKEN_EMAIL = re.compile(
    r"\b[a-z0-9]+(?:\s(?:dot|underscore|dash)\s[a-z0-9]+)*\sat\s[a-z0-9-]+(?:\sdot\s[a-z0-9-]+)*"
    r"\sdot\s(?:com|net|org|io|co|dev|ai|edu|gov|uk|de|fr|eu)\b",
    re.IGNORECASE,
)
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?!\d)")
SSN = re.compile(r"(?<![\d-])(?!000|666|9\d\d)\d{3}[- ](?!00)\d{2}[- ](?!0000)\d{4}(?![\d-])")
PHONE = re.compile(
    r"(?<![\w.])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){5,12}"
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}"
    r"|\d{3}[ .-]\d{3}[ .-]\d{4}"
    r"|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,4})(?![\w])"
)
# spoken digit by digit: seven in a row are a number somebody can be reached or charged under
SPOKEN_DIGITS = re.compile(
    r"\b(?:(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)[\s,-]+){6,}"
    r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)\b",
    re.IGNORECASE,
)
# given names that are also words: replaced only where they cannot open an ordinary sentence
ORDINARY_GIVEN_NAMES = """
will mark may grace hope bill art rich frank jack drew rob pat sue june april august summer dawn joy faith
chance chase grant dean earl guy max miles ray rusty sandy scout sterling van victor ward wade young long
short brown green white black gray grey king page price stone wood woods field fields rice day lane hill ford
banks best case cash church cook cross fox good love moon north south east west park parks power powers rose
ruby ivy olive penny major norm gene hunter carter baker mason cooper porter star savage small wise bond booth
bush
"""
ORDINARY_WORDS = frozenset(ORDINARY_GIVEN_NAMES.split())
GREETING = r"(?:hi|hey|hello|thanks|thank you|morning|afternoon|bye|okay|ok|so|and|right|sure|yes|no)"


@dataclass(frozen=True, slots=True)
class Redactor:
    """Bound to one call: which names are whose."""

    names: re.Pattern[str] | None
    labels: Mapping[str, str]

    def redact(self, text: str) -> str:
        text = EMAIL.sub("[EMAIL]", text)
        text = SPOKEN_EMAIL.sub("[EMAIL]", text)
        text = IBAN.sub(lambda found: "[IBAN]" if is_iban(found.group()) else found.group(), text)
        text = CARD.sub(lambda found: "[CARD]" if is_card(found.group()) else found.group(), text)
        text = SSN.sub("[SSN]", text)
        text = PHONE.sub("[PHONE]", text)
        text = SPOKEN_DIGITS.sub("[NUMBER]", text)
        if self.names is None:
            return text
        return self.names.sub(lambda found: self._label(found, text), text)

    def _label(self, found: re.Match[str], text: str) -> str:
        name = found.group()
        label = self.labels[name.casefold()]
        if " " in name or name.casefold() not in ORDINARY_WORDS:
            return label
        before = text[: found.start()].rstrip()
        after = text[found.end() :].lstrip()
        is_addressed = after.startswith((",", ".", "?", "!")) or re.search(rf"\b{GREETING},?$", before, re.IGNORECASE)
        is_inside_sentence = before and before[-1] not in ".?!"
        return label if name[0].isupper() and (is_addressed or is_inside_sentence) else name


def redactor_for(transcript: Transcript, parties: Sequence[Party]) -> Redactor:
    labels = Labels()
    for turn in transcript.turns:
        labels.of(turn.speaker_id, turn.side)
    by_name: dict[str, str] = {}
    for index, party in enumerate(parties):
        # a silent attendee is named as often as the others
        label = labels.of(party.speaker_id or f"silent-{index}", party.side)
        for name in names_of(party):
            by_name.setdefault(name.casefold(), label)
    if not by_name:
        return Redactor(names=None, labels={})
    alternatives = "|".join(re.escape(name) for name in sorted(by_name, key=len, reverse=True))
    return Redactor(names=re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE), labels=by_name)


def names_of(party: Party) -> list[str]:
    """The full name, then its parts of three letters and more."""
    full = " ".join((party.name or "").split())
    if not full or "@" in full:
        return []
    parts = [part for part in re.split(r"[\s,]+", full) if len(part.strip(".")) >= 3]
    return [full, *parts]


def redact(transcript: Transcript, parties: Sequence[Party]) -> Transcript:
    redactor = redactor_for(transcript, parties)
    return transcript.with_texts([redactor.redact(turn.text) for turn in transcript.turns])


def is_card(text: str) -> bool:
    digits = [int(character) for character in text if character.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [digit if index % 2 == 0 else sum(divmod(2 * digit, 10)) for index, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def is_iban(text: str) -> bool:
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    rotated = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in rotated)) % 97 == 1
