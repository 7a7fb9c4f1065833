"""Turn-aligned windows for calls that do not fit a request; within a 1M window a call is one chunk.

Consecutive chunks share a fifth of their tokens: an objection and its answer are read together in at least one of
them. A turn longer than a chunk is cut at sentence ends, then at words, and never loses a word.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dagster_project.analysis.tokens import count_tokens
from dagster_project.analysis.transcripts import Transcript, Turn, line

OVERLAP_SHARE = 0.2
SENTENCE_END = re.compile(r"(?<=[.?!])\s+")


@dataclass(frozen=True, slots=True)
class Line:
    turn_id: int
    text: str
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Chunk:
    chunk_index: int
    n_chunks: int
    first_turn_id: int
    last_turn_id: int
    text: str


def chunk_transcript(transcript: Transcript, *, whole_limit: int, max_tokens: int) -> tuple[Chunk, ...]:
    if not transcript.turns:
        return ()
    whole = "\n".join(line(turn) for turn in transcript.turns)
    # a token is at least one byte: what is shorter than the limit in bytes needs no counting
    if len(whole.encode()) <= whole_limit or count_tokens(whole) <= whole_limit:
        return (Chunk(0, 1, transcript.turns[0].turn_id, transcript.turns[-1].turn_id, whole),)
    lines = [piece for turn in transcript.turns for piece in lines_of(turn, max_tokens=max_tokens)]
    windows = list(windows_of(lines, max_tokens=max_tokens))
    return tuple(
        Chunk(
            chunk_index=index,
            n_chunks=len(windows),
            first_turn_id=window[0].turn_id,
            last_turn_id=window[-1].turn_id,
            text="\n".join(piece.text for piece in window),
        )
        for index, window in enumerate(windows)
    )


def lines_of(turn: Turn, *, max_tokens: int) -> Iterator[Line]:
    whole = line(turn)
    n_tokens = count_tokens(whole) + 1
    if n_tokens <= max_tokens:
        yield Line(turn_id=turn.turn_id, text=whole, n_tokens=n_tokens)
        return
    prefix_tokens = count_tokens(line(turn, "")) + 2
    room = max(max_tokens - prefix_tokens, 1)
    for part in split_text(turn.text, max_tokens=room):
        text = line(turn, part)
        yield Line(turn_id=turn.turn_id, text=text, n_tokens=count_tokens(text) + 1)


def split_text(text: str, *, max_tokens: int) -> Iterator[str]:
    """Parts that fit, together every word of the text in order."""
    part: list[str] = []
    used = 0
    for piece in pieces_of(text, max_tokens=max_tokens):
        n_tokens = count_tokens(" " + piece)
        if part and used + n_tokens > max_tokens:
            yield " ".join(part)
            part, used = [], 0
        part.append(piece)
        used += n_tokens
    if part:
        yield " ".join(part)


def pieces_of(text: str, *, max_tokens: int) -> Iterator[str]:
    for sentence in SENTENCE_END.split(text):
        if count_tokens(" " + sentence) <= max_tokens:
            yield sentence
        else:
            for word in sentence.split():
                # text without a single space, a pasted key for example, is cut by length
                yield from (word[start : start + max_tokens] for start in range(0, len(word), max_tokens))


def windows_of(lines: Sequence[Line], *, max_tokens: int) -> Iterator[Sequence[Line]]:
    if not lines:
        return
    start = 0
    while True:
        end, used = start, 0
        while end < len(lines) and (end == start or used + lines[end].n_tokens <= max_tokens):
            used += lines[end].n_tokens
            end += 1
        yield lines[start:end]
        if end == len(lines):
            return
        start = overlap_start(lines, start=start, end=end, max_tokens=max_tokens)


def overlap_start(lines: Sequence[Line], *, start: int, end: int, max_tokens: int) -> int:
    shared, first = 0, end
    while first - 1 > start and shared + lines[first - 1].n_tokens <= max_tokens * OVERLAP_SHARE:
        first -= 1
        shared += lines[first].n_tokens
    return first
