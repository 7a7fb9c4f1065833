import hashlib
import itertools
import lzma
import random

import pytest

from dagster_project.analysis.chunking import chunk_transcript
from dagster_project.analysis.tokens import RANKS_PATH, count_tokens
from dagster_project.analysis.transcripts import build_transcript, parse_parties, turns_of_lines

PARTIES = parse_parties(
    [{"speakerId": "a", "userId": "u1", "affiliation": "Internal"}, {"speakerId": "c", "affiliation": "External"}],
    primary_user_id="u1",
)


def talk(texts):
    monologues = [
        {"speakerId": "ac"[index % 2], "sentences": [{"start": index * 1000, "end": index * 1000 + 900, "text": text}]}
        for index, text in enumerate(texts)
    ]
    return build_transcript(call_id="1", rep_id="u1", monologues=monologues, parties=PARTIES)


def words(rng, n_words):
    return " ".join(rng.choice(["load", "queue", "worker", "price", "Monday", "really"]) for _ in range(n_words)) + "."


def test_the_shipped_ranks_are_the_published_ones():
    published = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
    assert hashlib.sha256(lzma.decompress(RANKS_PATH.read_bytes())).hexdigest() == published
    assert count_tokens("hello world") == 2


def test_a_call_that_fits_is_one_chunk():
    chunks = chunk_transcript(talk(["One.", "Two."]), whole_limit=1000, max_tokens=10)
    assert [(chunk.n_chunks, chunk.first_turn_id, chunk.last_turn_id) for chunk in chunks] == [(1, 1, 2)]


@pytest.mark.parametrize("seed", range(5))
def test_chunks_hold_every_turn_stay_within_their_size_and_share_a_fifth(seed):
    rng = random.Random(seed)
    whole = talk([words(rng, rng.randint(3, 60)) for _ in range(300)])
    chunks = chunk_transcript(whole, whole_limit=500, max_tokens=1000)
    seen = {}
    for chunk in chunks:
        assert count_tokens(chunk.text) <= 1000
        span = whole.turns[chunk.first_turn_id - 1 : chunk.last_turn_id]
        read = turns_of_lines(
            chunk.text, starts_ms=[turn.start_ms for turn in span], ends_ms=[turn.end_ms for turn in span]
        )
        seen.update({turn.turn_id: turn.text for turn in read})
    assert seen == {turn.turn_id: turn.text for turn in whole.turns}
    for before, after in itertools.pairwise(chunks):
        shared = [line for line in after.text.split("\n") if line in before.text.split("\n")]
        assert 0.1 <= count_tokens("\n".join(shared)) / 1000 <= 0.2


def test_a_turn_longer_than_a_chunk_is_cut_without_losing_a_word():
    rng = random.Random(3)
    long_text = " ".join(words(rng, rng.randint(5, 400)) for _ in range(60))
    chunks = chunk_transcript(talk(["Short.", long_text, "Short again."]), whole_limit=100, max_tokens=500)
    assert all(count_tokens(chunk.text) <= 500 for chunk in chunks)
    pieces = []
    for chunk in chunks:
        for line in chunk.text.split("\n"):
            if line.startswith("[2|") and line not in pieces:
                pieces.append(line)
    assert " ".join(piece.split("] ", 1)[1] for piece in pieces).split() == long_text.split()


def test_text_without_spaces_is_cut_too():
    chunks = chunk_transcript(talk(["x9Zq" * 2000]), whole_limit=100, max_tokens=300)
    assert len(chunks) > 5
    assert all(count_tokens(chunk.text) <= 300 for chunk in chunks)
