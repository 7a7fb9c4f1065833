"""What a run would ask and cost, before a cent is spent: the same set difference, cache and prices, nothing sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from dagster_project.analysis.claude import Usage
from dagster_project.analysis.costs import EXPECTED_OUTPUT_TOKENS, Position, cost_usd, joint_usage, usage_of
from dagster_project.analysis.knowledge_base import KnowledgeBase, load_knowledge_base
from dagster_project.analysis.limits import fallback_of, question_of
from dagster_project.analysis.owed import CallWork, find_work
from dagster_project.analysis.prompts import questions_text, system_text
from dagster_project.analysis.settings import AnalysisSettings
from dagster_project.analysis.tokens import claude_tokens

# answers of this dimension in the ledger before its own mean length is believed
ENOUGH_ANSWERS = 20


@dataclass
class DimensionEstimate:
    """One dimension's share of what is coming."""

    calls: int = 0
    unchanged: int = 0
    cache_hits: int = 0
    requests: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    def add(self, usage: Usage, cost: Decimal) -> None:
        self.requests += 1
        self.input_tokens += usage.input
        self.cache_read_tokens += usage.cache_read
        self.cache_write_tokens += usage.cache_write_5m + usage.cache_write_1h
        self.output_tokens += usage.output
        self.cost_usd += cost


@dataclass
class Estimate:
    """`cost_usd` is the expectation, without repairs and retries; `batch_cost_usd` the same work as a batch."""

    model: str
    dimensions: dict[str, DimensionEstimate] = field(default_factory=dict)
    calls_to_score: int = 0
    batch_requests: int = 0
    batch_cost_usd: Decimal = Decimal(0)

    @property
    def requests(self) -> int:
        return sum(estimate.requests for estimate in self.dimensions.values())

    @property
    def cost_usd(self) -> Decimal:
        return sum((estimate.cost_usd for estimate in self.dimensions.values()), Decimal(0))


async def estimate_weeks(
    *,
    database_url: str,
    settings: AnalysisSettings,
    weeks: Sequence[date],
    dimensions: Sequence[str],
    call_ids: Sequence[str] | None = None,
    force: bool = False,
    knowledge: KnowledgeBase | None = None,
) -> Estimate:
    """Count calls, requests, tokens and dollars of `score_weeks` with the same arguments."""
    knowledge = knowledge or load_knowledge_base()
    question = question_of(settings=settings, knowledge=knowledge)
    estimate = Estimate(model=question.model)
    async with await AsyncConnection.connect(database_url, row_factory=dict_row) as connection:
        work, reports = await find_work(
            connection,
            question=question,
            fallback=fallback_of(settings=settings, knowledge=knowledge),
            origin=settings.origin,
            weeks=weeks,
            dimensions=dimensions,
            call_ids=call_ids,
            is_forced=force,
        )
        estimate.dimensions = {
            name: DimensionEstimate(calls=report.calls, unchanged=report.unchanged) for name, report in reports.items()
        }
        cached = set() if force else await cached_keys(connection, work)
        sizes = await chunk_sizes(connection, work)
        outputs = await mean_outputs(connection, dimensions=dimensions, is_sandbox=question.is_sandbox)
    system = claude_tokens(len(system_text(knowledge)))
    questions = {name: claude_tokens(len(questions_text([name], knowledge))) for name in dimensions}
    today = datetime.now(UTC).date()
    is_system_warm = is_batch_warm = False
    for call in work:
        asked = []
        for subject in call.subjects:
            if subject.result_key in cached:
                estimate.dimensions[subject.dimension].cache_hits += 1
            else:
                asked.append(subject)
                # the same transcript later in the run is served from this answer
                cached.add(subject.result_key)
        if not asked:
            continue
        estimate.calls_to_score += 1
        asked.sort(key=lambda subject: -questions[subject.dimension])
        for transcript in sizes.get(call.call_id, []):
            for index, subject in enumerate(asked):
                position: Position = "single" if len(asked) == 1 else "leader" if index == 0 else "follower"
                usage = usage_of(
                    system=system,
                    transcript=transcript,
                    questions=questions[subject.dimension],
                    output=outputs[subject.dimension],
                    position=position,
                    is_system_warm=is_system_warm,
                )
                is_system_warm = True
                price = knowledge.models.price(subject.model, today, usage.prompt)
                estimate.dimensions[subject.dimension].add(usage, cost_usd(usage, price))
            joint = joint_usage(
                system=system,
                transcript=transcript,
                questions=sum(questions[subject.dimension] for subject in asked),
                output=sum(outputs[subject.dimension] for subject in asked),
                is_system_warm=is_batch_warm,
            )
            is_batch_warm = True
            price = knowledge.models.price(question.model, today, joint.prompt)
            estimate.batch_requests += 1
            estimate.batch_cost_usd += cost_usd(joint, price, is_batch=True)
    return estimate


async def cached_keys(connection: AsyncConnection[dict[str, Any]], work: Sequence[CallWork]) -> set[str]:
    cursor = await connection.execute(
        "select distinct result_key from analysis.results where result_key = any(%s) and expires_at > now()",
        ([subject.result_key for call in work for subject in call.subjects],),
    )
    return {row["result_key"] for row in await cursor.fetchall()}


async def chunk_sizes(connection: AsyncConnection[dict[str, Any]], work: Sequence[CallWork]) -> dict[str, list[int]]:
    """Tokens of each chunk, by call."""
    cursor = await connection.execute(
        """
        select call_id, array_agg(estimated_tokens order by chunk_index) as tokens
        from analysis.transcript_chunks
        where call_id = any(%s)
        group by call_id
        """,
        ([call.call_id for call in work],),
    )
    return {row["call_id"]: row["tokens"] for row in await cursor.fetchall()}


async def mean_outputs(
    connection: AsyncConnection[dict[str, Any]], *, dimensions: Sequence[str], is_sandbox: bool
) -> dict[str, int]:
    """How long answers were lately, where enough of them are known."""
    cursor = await connection.execute(
        """
        select dimension, avg(output_tokens)::integer as tokens
        from analysis.requests
        where
            status = 'ok'
            and kind = 'live'
            and is_sandbox = %s
            and started_at > now() - interval '90 days'
        group by dimension
        having count(*) >= %s
        """,
        (is_sandbox, ENOUGH_ANSWERS),
    )
    known = {row["dimension"]: row["tokens"] for row in await cursor.fetchall()}
    return {name: known.get(name, EXPECTED_OUTPUT_TOKENS) for name in dimensions}
