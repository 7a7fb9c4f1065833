"""What the analysis cost and what caching saved, over the calls a viewer may see."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer

CostGrouping = Literal["day", "week", "model", "dimension", "total"]

_GROUPS: dict[CostGrouping, str] = {
    "day": "{rows}.day",
    "week": "date_trunc('week', {rows}.day)::date",
    "model": "{rows}.model",
    "dimension": "{rows}.dimension",
    "total": "'all requests'::text",
}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Requests summed over one group."""

    grouped_by: str
    group: str
    is_sandbox: bool
    n_requests: int
    n_failed: int
    n_cached_answers: int
    n_calls_scored: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_usd: float
    saved_usd: float
    no_caching_usd: float
    saved_by_prompt_cache_usd: float
    cost_per_scored_call_usd: float | None
    cache_hit_rate: float | None


# Who sees everyone reads days that are summed already; distinct calls cannot be summed and come from an index alone.
_COSTS = """
requests as materialized (
    select fct_llm_requests.*
    from marts.fct_llm_requests
    where
        not %(sees_everyone)s
        and fct_llm_requests.rep_id in (select visible_reps.rep_id from visible_reps)
        and fct_llm_requests.day between %(since)s and %(until)s
),

days as (
    select
        mart_llm_costs.day,
        mart_llm_costs.model,
        mart_llm_costs.dimension,
        mart_llm_costs.is_sandbox,
        mart_llm_costs.requests,
        mart_llm_costs.failed_requests,
        mart_llm_costs.cache_hits,
        mart_llm_costs.input_tokens,
        mart_llm_costs.cache_read_tokens,
        mart_llm_costs.cache_write_tokens,
        mart_llm_costs.output_tokens,
        mart_llm_costs.cost_usd,
        mart_llm_costs.saved_usd,
        mart_llm_costs.uncached_usd
    from marts.mart_llm_costs
    where %(sees_everyone)s and mart_llm_costs.day between %(since)s and %(until)s
    union all
    select
        requests.day,
        requests.model,
        requests.dimension,
        requests.is_sandbox,
        (not requests.is_cache_hit)::integer as requests,
        requests.is_failed::integer as failed_requests,
        requests.is_cache_hit::integer as cache_hits,
        requests.input_tokens,
        requests.cache_read_tokens,
        requests.cache_write_tokens,
        requests.output_tokens,
        requests.cost_usd,
        requests.saved_usd,
        requests.uncached_usd
    from requests
),

summed as (
    select
        {days_group} as group_name,
        days.is_sandbox,
        sum(days.requests)::bigint as n_requests,
        sum(days.failed_requests)::bigint as n_failed,
        sum(days.cache_hits)::bigint as n_cached_answers,
        sum(days.input_tokens)::bigint as input_tokens,
        sum(days.cache_read_tokens)::bigint as cache_read_tokens,
        sum(days.cache_write_tokens)::bigint as cache_write_tokens,
        sum(days.output_tokens)::bigint as output_tokens,
        sum(days.cost_usd)::numeric as cost_usd,
        sum(days.saved_usd)::numeric as saved_usd,
        sum(days.uncached_usd)::numeric as uncached_usd
    from days
    group by 1, 2
),

scored_calls as (
    select
        {requests_group} as group_name,
        fct_llm_requests.is_sandbox,
        fct_llm_requests.call_id
    from marts.fct_llm_requests
    where
        %(sees_everyone)s
        and not fct_llm_requests.is_failed
        and fct_llm_requests.day between %(since)s and %(until)s
    union
    select
        {own_group} as group_name,
        requests.is_sandbox,
        requests.call_id
    from requests
    where not requests.is_failed
),

scored as (
    select
        scored_calls.group_name,
        scored_calls.is_sandbox,
        count(scored_calls.call_id) as n_calls
    from scored_calls
    group by scored_calls.group_name, scored_calls.is_sandbox
)

select
    %(group_by)s::text as grouped_by,
    summed.group_name::text as "group",
    summed.is_sandbox,
    summed.n_requests,
    summed.n_failed,
    summed.n_cached_answers,
    coalesce(scored.n_calls, 0) as n_calls_scored,
    summed.input_tokens,
    summed.cache_read_tokens,
    summed.cache_write_tokens,
    summed.output_tokens,
    round(summed.cost_usd, 4) as cost_usd,
    round(summed.saved_usd, 4) as saved_usd,
    round(summed.uncached_usd + summed.saved_usd, 4) as no_caching_usd,
    round(summed.uncached_usd - summed.cost_usd, 4) as saved_by_prompt_cache_usd,
    round(summed.cost_usd / nullif(scored.n_calls, 0), 4) as cost_per_scored_call_usd,
    round(
        summed.cache_read_tokens::numeric
        / nullif(summed.input_tokens + summed.cache_read_tokens + summed.cache_write_tokens, 0),
        4
    ) as cache_hit_rate
from summed
left join scored
    on
        summed.group_name = scored.group_name
        and summed.is_sandbox = scored.is_sandbox
order by summed.group_name, summed.is_sandbox
"""


def costs(
    database: Database,
    viewer: Viewer,
    *,
    since: date,
    until: date,
    group_by: CostGrouping = "total",
    limit: int = 1_000,
    offset: int = 0,
    with_total: bool = False,
) -> Rows[Cost]:
    """Sandbox requests and paid ones are never summed together."""
    group = _GROUPS[group_by]
    return database.rows(
        viewer,
        Cost,
        _COSTS.format(
            days_group=group.format(rows="days"),
            requests_group=group.format(rows="fct_llm_requests"),
            own_group=group.format(rows="requests"),
        ),
        {"group_by": group_by, "since": since, "until": until},
        limit=limit,
        offset=offset,
        with_total=with_total,
    )
