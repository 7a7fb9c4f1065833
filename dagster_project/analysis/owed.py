"""What is owed: the questions about the calls of some weeks that have no standing answer.

transcript_chunks x dimensions - standing results - what waits in a batch
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
        call_results.attempted_key,
        call_results.attempted_status = 'refused' as is_refused
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
            call_results.attempted_status = 'refused'
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
    fallback: Question | None,
    origin: str,
    weeks: Sequence[date],
    dimensions: Sequence[str],
    call_ids: Sequence[str] | None,
    is_forced: bool,
) -> tuple[list[CallWork], dict[str, DimensionReport]]:
    """The set difference: chunked calls x dimensions, minus what stands under the current key.

    What `question`'s model declined to answer is owed to `fallback`'s, unless that has answered or declined too.
    """
    scope = {
        "weeks": list(weeks),
        "call_ids": None if call_ids is None else list(call_ids),
        "versions": [question.rubric_versions[dimension] for dimension in dimensions],
        "is_sandbox": question.is_sandbox,
        "origin": origin,
    }
    calls = await (await connection.execute(WORK, scope)).fetchall()
    standing: dict[tuple[str, str], dict[str, Any]] = {}
    if not is_forced:
        rows = await (await connection.execute(STANDING, scope)).fetchall()
        standing = {(row["call_id"], row["dimension"]): row for row in rows}
    waiting = {row["result_key"] for row in await (await connection.execute(WAITING)).fetchall()}
    reports = {dimension: DimensionReport() for dimension in dimensions}
    work = []
    for row in calls:
        missing = []
        for dimension in dimensions:
            reports[dimension].calls += 1
            subject = subject_of(row, dimension, question)
            stands = standing.get((row["call_id"], dimension))
            if stands is not None and fallback is not None:
                has_declined = stands["is_refused"] and stands["attempted_key"] == subject.result_key
                instead = asked_of(subject, fallback, n_chunks=row["n_chunks"])
                if has_declined or stands["attempted_key"] == instead.result_key:
                    subject = instead
            if stands is not None and stands["attempted_key"] == subject.result_key:
                reports[dimension].unchanged += 1
            elif waiting.intersection(keys_in_batch(subject, question, n_chunks=row["n_chunks"])):
                reports[dimension].waiting_in_batch += 1
            else:
                missing.append(subject)
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


def subject_of(row: Mapping[str, Any], dimension: str, question: Question) -> Subject:
    """One question about the call of this row, as `question`'s model is asked it."""
    return Subject(
        call_id=row["call_id"],
        rep_id=row["rep_id"],
        week_start=row["week_start"],
        dimension=dimension,
        rubric_version=question.rubric_versions[dimension],
        transcript_hash=row["transcript_hash"],
        model=question.model,
        result_key=result_key(
            question, dimension=dimension, transcript_hash=row["transcript_hash"], n_chunks=row["n_chunks"]
        ),
    )


def asked_of(subject: Subject, question: Question, *, n_chunks: int) -> Subject:
    """The same question to another model, under that model's key."""
    key = result_key(question, dimension=subject.dimension, transcript_hash=subject.transcript_hash, n_chunks=n_chunks)
    return replace(subject, model=question.model, result_key=key)


def part_of(subject: Subject, question: Question, *, n_chunks: int, chunk_index: int) -> Subject:
    """The same question about one chunk of a call; of a call in one piece, the question itself."""
    if n_chunks == 1:
        return subject
    key = result_key(
        question,
        dimension=subject.dimension,
        transcript_hash=subject.transcript_hash,
        n_chunks=n_chunks,
        chunk_index=chunk_index,
    )
    return replace(subject, result_key=key)


def keys_in_batch(subject: Subject, question: Question, *, n_chunks: int) -> list[str]:
    """The keys under which a batch would answer it: a long call's parts are requests of their own."""
    return [part_of(subject, question, n_chunks=n_chunks, chunk_index=index).result_key for index in range(n_chunks)]
