"""What is owed: the questions about the calls of some weeks that have no standing answer.

transcript_chunks x dimensions - standing results - what waits in a batch
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg import AsyncConnection

from dagster_project.analysis.limits import Question
from dagster_project.analysis.report import DimensionReport
from dagster_project.analysis.results import Subject, result_key


@dataclass(frozen=True, slots=True)
class CallWork:
    """A call and the questions about it that have no standing answer."""

    call_id: str
    rep_id: str
    week_start: date
    transcript_hash: str
    n_chunks: int
    subjects: tuple[Subject, ...]


WORK = """
    select
        chunks.call_id,
        chunks.rep_id,
        chunks.week_start,
        chunks.transcript_hash,
        chunks.n_chunks
    from analysis.transcript_chunks as chunks
    where
        chunks.chunk_index = 0
        and chunks.rep_id is not null
        and chunks.week_start = any(%(weeks)s)
        and (%(call_ids)s::text[] is null or chunks.call_id = any(%(call_ids)s))
    order by chunks.week_start, chunks.call_id
"""

# what stands, or was refused, for these calls; a stand-in's answer stands only where it may be served
STANDING = """
    select
        call_results.call_id,
        call_results.dimension,
        call_results.attempted_key
    from analysis.call_results as call_results
    left join analysis.results as results
        on
            call_results.result_key = results.result_key
            and call_results.result_created_at = results.created_at
    where
        call_results.week_start = any(%(weeks)s)
        and (%(call_ids)s::text[] is null or call_results.call_id = any(%(call_ids)s))
        and call_results.rubric_version = any(%(versions)s)
        and (
            call_results.status = 'refused'
            or (
                call_results.status = 'scored'
                and call_results.result_key = call_results.attempted_key
                and results.result_key is not null
                and (not results.is_sandbox or %(is_sandbox)s or results.stand_in_origin = %(origin)s)
            )
        )
"""


# a batch ends within a day; what waits longer is lost, and asked for again
WAITING = """
    select unnest(result_keys) as result_key
    from analysis.batch_items
    where status = 'waiting' and updated_at > now() - interval '25 hours'
"""


async def find_work(
    connection: AsyncConnection[dict[str, Any]],
    *,
    question: Question,
    origin: str,
    weeks: Sequence[date],
    dimensions: Sequence[str],
    call_ids: Sequence[str] | None,
    is_forced: bool,
) -> tuple[list[CallWork], dict[str, DimensionReport]]:
    """The set difference: chunked calls x dimensions, minus what stands under the current key."""
    scope = {
        "weeks": list(weeks),
        "call_ids": None if call_ids is None else list(call_ids),
        "versions": [question.rubric_versions[dimension] for dimension in dimensions],
        "is_sandbox": question.is_sandbox,
        "origin": origin,
    }
    calls = await (await connection.execute(WORK, scope)).fetchall()
    standing: dict[tuple[str, str], str] = {}
    if not is_forced:
        rows = await (await connection.execute(STANDING, scope)).fetchall()
        standing = {(row["call_id"], row["dimension"]): row["attempted_key"] for row in rows}
    waiting = {row["result_key"] for row in await (await connection.execute(WAITING)).fetchall()}
    reports = {dimension: DimensionReport() for dimension in dimensions}
    work = []
    for row in calls:
        missing = []
        for dimension in dimensions:
            key = result_key(
                question, dimension=dimension, transcript_hash=row["transcript_hash"], n_chunks=row["n_chunks"]
            )
            reports[dimension].calls += 1
            if standing.get((row["call_id"], dimension)) == key:
                reports[dimension].unchanged += 1
                continue
            if key in waiting:
                reports[dimension].waiting_in_batch += 1
                continue
            missing.append(
                Subject(
                    call_id=row["call_id"],
                    rep_id=row["rep_id"],
                    week_start=row["week_start"],
                    dimension=dimension,
                    rubric_version=question.rubric_versions[dimension],
                    transcript_hash=row["transcript_hash"],
                    result_key=key,
                )
            )
        if missing:
            work.append(
                CallWork(
                    call_id=row["call_id"],
                    rep_id=row["rep_id"],
                    week_start=row["week_start"],
                    transcript_hash=row["transcript_hash"],
                    n_chunks=row["n_chunks"],
                    subjects=tuple(missing),
                )
            )
    return work, reports
