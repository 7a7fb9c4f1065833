"""Words are looked for among the newest of what fits before the word index is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer

Row = TypeVar("Row")


@dataclass(frozen=True)
class _LookedAt:
    n: int


_LOOKED_AT = """
, looked_at as (
    select 1
    from fitting
    limit %(n_newest)s
)

select count(*) as n
from looked_at
"""


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
    looked_at = database.row(viewer, _LookedAt, fitting + _LOOKED_AT, parameters)
    if looked_at is None or looked_at.n >= parameters["n_newest"]:
        return None
    return replace(newest, total=offset + len(newest) if with_total and (newest or not offset) else None)
