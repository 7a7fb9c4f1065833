"""How words are looked for: rare ones by the word index, common ones among the newest of what fits first."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer

Row = TypeVar("Row")


@dataclass(frozen=True)
class _Counted:
    n: int


_WORDS = """
words as (
    select numnode(websearch_to_tsquery('english', %(text)s)) as n
)

select words.n
from words
"""

_LOOKED_AT = """
, looked_at as (
    select 1
    from fitting
    limit %(n_newest)s
)

select count(*) as n
from looked_at
"""

# up to so many turns, by the planner's statistics, the word index names them before the newest were read
RARE = 8_000
# and up to so many it names them, and their moments are looked up, within a second
COMMON = 100_000
_SAYING = "select 1 from marts.fct_turns where fct_turns.search @@ websearch_to_tsquery('english', %(text)s)"


class NoWordsError(LookupError):
    """The text holds nothing that the word index keeps."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"There is no word to search for in “{text[:80]}”: signs, and words like “the” or “and”, are in no index. "
            "Name a rarer word, or leave the text out."
        )


def find_words(
    *,
    fitting: str,
    parameters: dict[str, Any],
    database: Database,
    viewer: Viewer,
    steps: tuple[int, ...],
    in_newest: Callable[[], Rows[Row]],
    by_index: Callable[[], Rows[Row]],
    offset: int,
    with_total: bool,
) -> Rows[Row]:
    """Rows with the words of `parameters["text"]`; raises `NoWordsError`, since no word would be looked for everywhere.

    Args:
        fitting: a statement up to its step of that name, whose newest rows are read.
        parameters: of all three statements; gets `n_newest`.
        steps: how many of the newest are read, and how many then, before the index is asked.
        in_newest: asks among the newest `n_newest`.
        by_index: asks the word index, which names every turn that was ever hit.
    """
    words = database.row(viewer, _Counted, _WORDS, parameters)
    if words is None or not words.n:
        raise NoWordsError(parameters["text"])
    n_turns = database.expected_rows(viewer, _SAYING, parameters)
    for n_newest in () if n_turns <= RARE else steps[:1] if n_turns <= COMMON else steps:
        parameters["n_newest"] = n_newest
        newest = in_newest()
        if newest.is_truncated:
            return newest
        looked_at = database.row(viewer, _Counted, fitting + _LOOKED_AT, parameters)
        if looked_at is not None and looked_at.n < n_newest:
            # all that fits has been read: the index would only name others
            return replace(newest, total=offset + len(newest) if with_total and (newest or not offset) else None)
    return by_index()
