"""What the sandbox reads out of a prompt: turns, questions and knowledge passages, by their shape alone."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

TRANSCRIPT = re.compile(r"<transcript[^>]*>\n(.*?)\n</transcript>", re.DOTALL)
TURN_LINE = re.compile(r"^\[(\d+)\|(\d+):(\d\d)\|([A-Z]+)(?:_\d+)?\] (.*)$", re.MULTILINE)
PASSAGE = re.compile(r"^\[([a-z][a-z0-9-]*)\] (.*)$", re.MULTILINE)
WRONG_WORDING = re.compile(r'\(often said wrongly: "([^"]*)"\)')
SECTION = re.compile(r"^# Questions: (\w+)$", re.MULTILINE)
FIELD = re.compile(r"^([A-Z][A-Za-z ,]*?): (.*)$")
REPAIR = re.compile(r"^Answer again only these markers: ([^.]*)\.", re.MULTILINE)
SIDES = {"REP": "rep", "TEAM": "team", "CUSTOMER": "customer", "UNKNOWN": "unknown"}
SENTENCE = re.compile(r"[^.?!]+[.?!]*\s*")
WORD = re.compile(r"[a-z][a-z']+")
FILLER = frozenset(
    """
    about after again all also and any are because been before but can could did does doing down each for from get
    going had has have having her here him his how into its just like more most not now off one only other our out over
    own say said same she should some such than that the their them then there these they this those through too under
    until very was way well were what when where which while who why will with would you your yeah okay thing things
    really know think want need make take look let lot bit kind sort
    """.split()  # noqa: SIM905 - a list of words reads better than a column of strings
)


@dataclass(frozen=True, slots=True)
class Turn:
    turn_id: int
    second: int
    side: str
    text: str


class Speech:
    """The turns of one side (or of all), searchable as one text."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self.turns = tuple(turns)
        self._starts: list[int] = []
        parts = []
        position = 0
        for turn in self.turns:
            lowered = turn.text.lower().replace("\u2019", "'")
            # a few capitals change their length in lower case; the position must stay usable
            if len(lowered) != len(turn.text):
                lowered = turn.text
            self._starts.append(position)
            parts.append(lowered)
            position += len(lowered) + 1
        self.text = "\n".join(parts)

    def find(self, phrase: str, *, start: int = 0) -> tuple[Turn, int, int] | None:
        """(turn, position in it, position in all) of the next place where the phrase is said."""
        at = self.text.find(phrase, start)
        if at < 0:
            return None
        index = bisect_right(self._starts, at) - 1
        return self.turns[index], at - self._starts[index], at


@dataclass(frozen=True)
class Transcript:
    turns: tuple[Turn, ...]
    by_side: dict[str, Speech]


@dataclass(frozen=True)
class Marker:
    marker_id: str
    question: str
    side: str
    kind: str
    yes_example: str
    cues: tuple[str, ...]
    occasion: tuple[str, ...]


@dataclass(frozen=True)
class Questions:
    dimension: str
    markers: tuple[Marker, ...]
    wants_statements: bool


@dataclass(frozen=True)
class Passage:
    passage_id: str
    words: frozenset[str]
    wrong_wordings: tuple[str, ...]


@lru_cache(maxsize=256)
def read_transcript(text: str) -> Transcript:
    found = TRANSCRIPT.search(text)
    turns = tuple(
        Turn(int(turn_id), int(minutes) * 60 + int(seconds), SIDES.get(label, "unknown"), said)
        for turn_id, minutes, seconds, label, said in TURN_LINE.findall(found[1] if found else text)
    )
    sides = {side: Speech(turn for turn in turns if turn.side == side) for side in SIDES.values()}
    return Transcript(turns=turns, by_side={**sides, "any": Speech(turns)})


@lru_cache(maxsize=64)
def read_questions(text: str) -> tuple[Questions, ...]:
    starts = list(SECTION.finditer(text))
    return tuple(
        read_section(start[1], text[start.end() : following.start() if following else len(text)])
        for start, following in zip(starts, [*starts[1:], None], strict=True)
    )


def read_section(dimension: str, body: str) -> Questions:
    occasions: dict[str, tuple[str, ...]] = {}
    markers: list[Marker] = []
    blocks = re.split(r"^### ", body, flags=re.MULTILINE)
    for line in blocks[0].splitlines():
        if line.startswith("Occasion ") and ", typical wordings: " in line:
            letter, wordings = line.removeprefix("Occasion ").split(", typical wordings: ", 1)
            occasions[letter] = phrases(wordings)
    for block in blocks[1:]:
        lines = block.splitlines()
        fields = {found[1]: found[2] for line in lines[1:] if (found := FIELD.match(line))}
        side = fields.get("Evidence from", "any turn").split()[0].lower()
        markers.append(
            Marker(
                marker_id=lines[0].strip(),
                question=fields.get("Question", ""),
                side=side if side in ("rep", "customer") else "any",
                kind=fields.get("Kind", "positive"),
                yes_example=fields.get("Example of a yes", ""),
                cues=phrases(fields.get("Typical wordings", "")),
                occasion=occasions.get(fields.get("Occasion", ""), ()),
            )
        )
    return Questions(
        dimension=dimension, markers=tuple(markers), wants_statements="Statements are asked for." in blocks[0]
    )


def phrases(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower().replace("\u2019", "'") for part in text.split(" | ") if part.strip())


@lru_cache(maxsize=8)
def read_passages(text: str) -> tuple[Passage, ...]:
    return tuple(
        Passage(
            passage_id=passage_id,
            words=content_words(WRONG_WORDING.sub("", said)),
            wrong_wordings=tuple(wording.lower() for wording in WRONG_WORDING.findall(said)),
        )
        for passage_id, said in PASSAGE.findall(text)
    )


def content_words(text: str) -> frozenset[str]:
    return frozenset(word.rstrip("s") for word in WORD.findall(text.lower()) if len(word) > 3 and word not in FILLER)


@lru_cache(maxsize=256)
def sentences_of(text: str) -> tuple[tuple[Turn, str, frozenset[str]], ...]:
    """Every sentence of a transcript with its content words."""
    return tuple(
        (turn, said, content_words(said))
        for turn in read_transcript(text).turns
        for said in (part.strip() for part in SENTENCE.findall(turn.text))
        if said
    )


def quote_around(turn: Turn, position: int) -> str:
    """The sentence that holds the position, with its neighbours as long as it is too short to be a quote."""
    spans = [found.span() for found in SENTENCE.finditer(turn.text)] or [(0, len(turn.text))]
    index = next((i for i, (start, end) in enumerate(spans) if start <= position < end), len(spans) - 1)
    first = last = index
    while len(turn.text[spans[first][0] : spans[last][1]].split()) < 4 and (first > 0 or last < len(spans) - 1):
        if last < len(spans) - 1:
            last += 1
        else:
            first -= 1
    words = turn.text[spans[first][0] : spans[last][1]].strip()
    if len(words.split()) <= 30:
        return words
    end = spans[last][1]
    start = max(turn.text.rfind(" ", 0, position) + 1, spans[first][0])
    # a passage that begins near the end of a long sentence begins earlier
    while len(turn.text[start:end].split()) < 4 and start > spans[first][0]:
        start = max(turn.text.rfind(" ", 0, start - 1) + 1, spans[first][0])
    return " ".join(turn.text[start:end].split(" ")[:24]).strip()
