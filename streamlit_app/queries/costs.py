"""What the analysis cost and what caching saved, over the calls a viewer may see."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer

CostGrouping = Literal["day", "week", "model", "dimension", "total"]


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


_COSTS = """
requests as not materialized (
    select
        fct_llm_requests.*,
        case %(group_by)s::text
            when 'day' then fct_llm_requests.day::text
            when 'week' then date_trunc('week', fct_llm_requests.day)::date::text
            when 'model' then fct_llm_requests.model
            when 'dimension' then fct_llm_requests.dimension
            else 'all requests'
        end as group_name
    from marts.fct_llm_requests
    where
        (%(sees_everyone)s or fct_llm_requests.rep_id in (select visible_reps.rep_id from visible_reps))
        and fct_llm_requests.day between %(since)s and %(until)s
),

-- counting distinct calls beside the sums would sort all requests
scored_calls as (
    select
        requests.group_name,
        requests.is_sandbox,
        requests.call_id
    from requests
    where not requests.is_failed
    group by requests.group_name, requests.is_sandbox, requests.call_id
),

scored as (
    select
        scored_calls.group_name,
        scored_calls.is_sandbox,
        count(scored_calls.call_id) as n_calls
    from scored_calls
    group by scored_calls.group_name, scored_calls.is_sandbox
),

summed as (
    select
        requests.group_name,
        requests.is_sandbox,
        count(*) filter (where not requests.is_cache_hit) as n_requests,
        count(*) filter (where requests.is_failed) as n_failed,
        count(*) filter (where requests.is_cache_hit) as n_cached_answers,
        sum(requests.input_tokens)::bigint as input_tokens,
        sum(requests.cache_read_tokens)::bigint as cache_read_tokens,
        sum(requests.cache_write_tokens)::bigint as cache_write_tokens,
        sum(requests.output_tokens)::bigint as output_tokens,
        sum(requests.cost_usd)::numeric as cost_usd,
        sum(requests.saved_usd)::numeric as saved_usd,
        sum(requests.uncached_usd)::numeric as uncached_usd
    from requests
    group by requests.group_name, requests.is_sandbox
)

select
    %(group_by)s::text as grouped_by,
    summed.group_name as "group",
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
    return database.rows(
        viewer,
        Cost,
        _COSTS,
        {"group_by": group_by, "since": since, "until": until},
        limit=limit,
        offset=offset,
        with_total=with_total,
    )
