"""How words are looked for: rare ones by the word index, common ones among the newest of what fits first."""

from collections.abc import Mapping
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


# up to so many turns the word index names them, and their calls and moments are looked up, before the newest were read
RARE = 8_000
# and up to so many within a second
COMMON = 100_000
_SAYING = "select 1 from marts.fct_turns where fct_turns.search @@ websearch_to_tsquery('english', %(text)s)"


class NoWordsError(LookupError):
    """The text holds nothing that the word index keeps."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"There is no word to search for in “{text[:80]}”: signs, and words like “the” or “and”, are in no index. "
            "Name a rarer word, or leave the text out."
        )


def require_words(text: str, *, database: Database, viewer: Viewer) -> None:
    """Raises `NoWordsError`: what can match nothing would otherwise be looked for everywhere."""
    words = database.row(viewer, _Counted, _WORDS, {"text": text})
    if words is None or not words.n:
        raise NoWordsError(text)


def expected_turns(text: str, *, database: Database, viewer: Viewer) -> int:
    """In how many turns of everyone these words are expected to stand, by the planner's statistics."""
    return database.expected_rows(viewer, _SAYING, {"text": text})


def complete(
    newest: Rows[Row],
    *,
    database: Database,
    viewer: Viewer,
    fitting: str,
    parameters: Mapping[str, Any],
    offset: int,
    with_total: bool,
) -> Rows[Row] | None:
    """What was found, with its total, if the newest `n_newest` are all that fits; else none: the index may name others.

    `fitting` is a statement up to its step of that name.
    """
    looked_at = database.row(viewer, _Counted, fitting + _LOOKED_AT, parameters)
    if looked_at is None or looked_at.n >= parameters["n_newest"]:
        return None
    return replace(newest, total=offset + len(newest) if with_total and (newest or not offset) else None)
