"""Is a quote literally in the turn it names? Case, spacing and typography are forgiven, words are not."""

import unicodedata
from dataclasses import dataclass

MIN_WORDS = 4
SAME_CHARACTER = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201a": "'",
        "\u201b": "'",
        "\u2032": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u201e": '"',
        "\u2033": '"',
        "\u00ab": '"',
        "\u00bb": '"',
        "\u2010": "-",
        "\u2011": "-",
        "\u2012": "-",
        "\u2013": "-",
        "\u2014": "-",
        "\u2212": "-",
    }
)
AROUND = " \t\r\n\"'`.,;:!?-\u2026"


@dataclass(frozen=True, slots=True)
class Folded:
    """A text in its forgiving form, and where each of its characters came from."""

    text: str
    positions: tuple[int, ...]


def find_quote(quote: str, text: str) -> str | None:
    """The passage of `text` that the quote stands for, as it is written there; None if it is not in it."""
    wanted = quote.strip(AROUND)
    if not wanted or not is_long_enough(wanted, text):
        return None
    for literal in (quote.strip(), wanted):
        start = text.find(literal)
        if start >= 0 and is_whole_words(text, start, start + len(literal)):
            return literal
    needle = fold(wanted).text.strip(AROUND)
    hay = fold(text)
    start = hay.text.find(needle) if needle else -1
    while start >= 0:
        end = start + len(needle)
        if is_whole_words(hay.text, start, end):
            return text[hay.positions[start] : hay.positions[end - 1] + 1]
        start = hay.text.find(needle, start + 1)
    return None


def is_long_enough(quote: str, text: str) -> bool:
    n_words = len(quote.split())
    return n_words >= MIN_WORDS or n_words >= len(text.split())


def is_whole_words(text: str, start: int, end: int) -> bool:
    cuts_before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    cuts_after = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
    return not cuts_before and not cuts_after


def fold(text: str) -> Folded:
    characters: list[str] = []
    positions: list[int] = []
    for position, character in enumerate(text):
        for folded in unicodedata.normalize("NFKC", character).translate(SAME_CHARACTER).casefold():
            if folded.isspace():
                if not characters or characters[-1] == " ":
                    continue
                characters.append(" ")
            else:
                characters.append(folded)
            positions.append(position)
    return Folded(text="".join(characters), positions=tuple(positions))
