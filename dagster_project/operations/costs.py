"""What Claude cost and what the cache saved, from the mart that the cost page shows."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.rows import class_row

Grouping = Literal["day", "model", "dimension"]


class MartsNotBuiltError(RuntimeError):
    """There is no cost mart yet."""


@dataclass(frozen=True)
class Cost:
    """One line of the bill; `is_sandbox` lines were answered by a stand-in and billed to nobody."""

    what: str
    is_sandbox: bool
    requests: int
    failed_requests: int
    cache_hits: int
    prompt_tokens: int
    prompt_tokens_from_cache: int
    output_tokens: int
    cost_usd: float
    saved_usd: float


def read_costs(database_url: str, *, since: date, until: date, by: Grouping) -> tuple[Cost, ...]:
    """Costs of the days `since` to `until`, both included, oldest or dearest first.

    Raises MartsNotBuiltError before the first run.
    """
    grouping = sql.SQL("day::text") if by == "day" else sql.Identifier(by)
    order = sql.SQL("what") if by == "day" else sql.SQL("cost_usd desc, what")
    with psycopg.connect(database_url) as connection, connection.cursor(row_factory=class_row(Cost)) as cursor:
        try:
            return tuple(cursor.execute(COSTS.format(grouping=grouping, order=order), [since, until]).fetchall())
        except psycopg.errors.UndefinedTable as error:
            raise MartsNotBuiltError(
                "There is no cost mart yet. `call-coach demo` or `call-coach run` builds it."
            ) from error


COSTS = sql.SQL("""
select
    coalesce({grouping}, '-') as what,
    is_sandbox,
    sum(requests)::int as requests,
    sum(failed_requests)::int as failed_requests,
    sum(cache_hits)::int as cache_hits,
    sum(input_tokens + cache_read_tokens + cache_write_tokens)::bigint as prompt_tokens,
    sum(cache_read_tokens)::bigint as prompt_tokens_from_cache,
    sum(output_tokens)::bigint as output_tokens,
    sum(cost_usd)::float as cost_usd,
    sum(saved_usd)::float as saved_usd
from marts.mart_llm_costs
where day between %s and %s
group by 1, 2
order by {order}
""")
