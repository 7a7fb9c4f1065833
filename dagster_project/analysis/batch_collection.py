"""What came back from batches: each answer checked and stored as a live one, in any order, and the batch deleted.

    ended batch -> answers -> results (the last part of a long call that arrives merges it) -> deleted at Claude

What errored, expired, was canceled or did not hold is scored live by the next `score_weeks`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import anthropic
import psycopg

from dagster_project.analysis.chunk_texts import ChunkText, read_chunks
from dagster_project.analysis.claude import (
    Attempt,
    ClaudeClient,
    ErrorKind,
    RequestError,
    check_stop_reason,
    read_message,
)
from dagster_project.analysis.costs import cost_usd
from dagster_project.analysis.knowledge_base import KnowledgeBase, load_knowledge_base
from dagster_project.analysis.limits import Question, question_of
from dagster_project.analysis.owed import keys_in_batch, part_of, subject_of
from dagster_project.analysis.results import ResultStore, Subject
from dagster_project.analysis.scoring import (
    check,
    from_stored,
    merge,
    parse_answer,
    require_complete,
    to_stored,
)
from dagster_project.analysis.settings import AnalysisSettings

logger = logging.getLogger(__name__)

# the ledger's dimension of a request that asks for several
JOINT = "joint"
CLOSE_ITEM = "update analysis.batch_items set status = %s, error = %s, updated_at = now() where custom_id = %s"


@dataclass
class CollectReport:
    """What came back."""

    batches_ended: int = 0
    batches_waiting: int = 0
    batches_deleted: int = 0
    stored: int = 0
    failed: int = 0
    cost_usd: Decimal = Decimal(0)
    # Mondays whose rest a live run should score, and whose marts have news
    weeks: set[date] = field(default_factory=set)
    messages: list[str] = field(default_factory=list)


async def collect_batches(
    *,
    database_url: str,
    settings: AnalysisSettings,
    run_id: str | None = None,
    on_progress: Callable[[str], None] = logger.info,
    knowledge: KnowledgeBase | None = None,
) -> CollectReport:
    """Store the answers of every batch that has ended, and delete it. Safe to run twice and from a sensor."""
    knowledge = knowledge or load_knowledge_base()
    question = question_of(settings=settings, knowledge=knowledge)
    report = CollectReport()
    store = ResultStore(
        database_url, question=question, origin=settings.origin, run_id=run_id, ttl_days=settings.result_ttl_days
    )
    async with store, ClaudeClient(settings) as client:
        await adopt_orphans(client, store, settings=settings, report=report)
        await give_up_lost(store, report)
        for batch_id in await open_batches(store, origin=settings.origin):
            try:
                await collect_batch(client, store, batch_id, question=question, knowledge=knowledge, report=report)
            except (anthropic.AnthropicError, RequestError) as error:
                report.messages.append(f"batch {batch_id}: {error}; it is tried again on the next pass")
                logger.warning("batch %s: %s", batch_id, error)
            on_progress(f"{report.stored} answers stored, {report.batches_waiting} batches still at work")
    return report


def has_open_batches(database_url: str, *, origin: str) -> bool:
    """Whether something handed in to this server, or perhaps handed in by a submitter that died, is not settled yet."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            """
            select
                exists (select 1 from analysis.batches where origin = %s and status <> 'deleted')
                or exists (select 1 from analysis.batch_items where status = 'waiting' and batch_id is null)
            """,
            (origin,),
        ).fetchone()
    return bool(found and found[0])


async def open_batches(store: ResultStore, *, origin: str) -> list[str]:
    async with store.pool.connection() as connection:
        cursor = await connection.execute(
            "select batch_id from analysis.batches where status <> 'deleted' and origin = %s order by submitted_at",
            (origin,),
        )
        return [row["batch_id"] for row in await cursor.fetchall()]


async def adopt_orphans(
    client: ClaudeClient, store: ResultStore, *, settings: AnalysisSettings, report: CollectReport
) -> None:
    """Batches whose submitter died before it had noted their ids: they are paid for, so their answers are fetched."""
    async with store.pool.connection() as connection:
        cursor = await connection.execute(
            """
            select custom_id
            from analysis.batch_items
            where status = 'waiting' and batch_id is null and updated_at < now() - interval '1 minute'
            """
        )
        orphans = {row["custom_id"] for row in await cursor.fetchall()}
        cursor = await connection.execute("select batch_id from analysis.batches")
        known = {row["batch_id"] for row in await cursor.fetchall()}
    if not orphans:
        return
    async for batch in client.sdk.messages.batches.list(limit=100):
        if batch.id in known or batch.processing_status != "ended":
            continue
        ids = [line.custom_id async for line in await client.sdk.messages.batches.results(batch.id)]
        if not orphans.intersection(ids):
            continue
        async with store.pool.connection() as connection, connection.transaction():
            await connection.execute(
                """
                insert into analysis.batches (batch_id, model, status, n_requests, origin)
                values (%s, %s, 'submitted', %s, %s)
                on conflict (batch_id) do nothing
                """,
                (batch.id, settings.model, len(ids), settings.origin),
            )
            await connection.execute(
                "update analysis.batch_items set batch_id = %s where custom_id = any(%s)", (batch.id, ids)
            )
        report.messages.append(f"batch {batch.id} was handed in by a run that died; its answers are fetched")


async def give_up_lost(store: ResultStore, report: CollectReport) -> None:
    """Items no batch was ever found for: the live run asks again."""
    async with store.pool.connection() as connection:
        cursor = await connection.execute(
            """
            update analysis.batch_items set
                status = 'invalid',
                error = 'the process ended before the batch was handed in',
                updated_at = now()
            where status = 'waiting' and batch_id is null and updated_at < now() - interval '25 hours'
            returning week_start
            """
        )
        rows = await cursor.fetchall()
    report.weeks.update(row["week_start"] for row in rows)
    report.failed += len(rows)


async def collect_batch(
    client: ClaudeClient,
    store: ResultStore,
    batch_id: str,
    *,
    question: Question,
    knowledge: KnowledgeBase,
    report: CollectReport,
) -> None:
    try:
        batch = await client.sdk.messages.batches.retrieve(batch_id)
    except anthropic.NotFoundError:
        await forget_batch(store, batch_id, report)
        return
    if batch.processing_status != "ended":
        report.batches_waiting += 1
        return
    report.batches_ended += 1
    items = await waiting_items(store, batch_id)
    if items:
        async for line in await client.sdk.messages.batches.results(batch_id):
            item = items.pop(line.custom_id, None)
            if item is not None:
                await store_result(store, item, line.result, question=question, knowledge=knowledge, report=report)
        for item in items.values():
            await close_item(store, item, status="invalid", error="the batch has no result for it", report=report)
    await mark_batch(store, batch_id, status="collected")
    await client.sdk.messages.batches.delete(batch_id)
    await mark_batch(store, batch_id, status="deleted")
    report.batches_deleted += 1


async def forget_batch(store: ResultStore, batch_id: str, report: CollectReport) -> None:
    """The API no longer knows the batch: its results are gone, what waited for it is asked live."""
    for item in (await waiting_items(store, batch_id)).values():
        await close_item(store, item, status="expired", error="the batch is gone at the API", report=report)
    await mark_batch(store, batch_id, status="deleted")


async def waiting_items(store: ResultStore, batch_id: str) -> dict[str, dict[str, Any]]:
    async with store.pool.connection() as connection:
        cursor = await connection.execute(
            "select * from analysis.batch_items where batch_id = %s and status = 'waiting'", (batch_id,)
        )
        return {row["custom_id"]: row for row in await cursor.fetchall()}


async def mark_batch(store: ResultStore, batch_id: str, *, status: str) -> None:
    column = {"collected": "collected_at", "deleted": "deleted_at"}[status]
    async with store.pool.connection() as connection:
        await connection.execute(
            f"update analysis.batches set status = %s, ended_at = coalesce(ended_at, now()), {column} = now() "  # noqa: S608 - one of two column names above
            "where batch_id = %s",
            (status, batch_id),
        )


async def close_item(
    store: ResultStore, item: dict[str, Any], *, status: str, error: str | None, report: CollectReport
) -> None:
    """There is no answer to it: a live run asks."""
    async with store.pool.connection() as connection:
        await connection.execute(CLOSE_ITEM, (status, error, item["custom_id"]))
    report.weeks.add(item["week_start"])
    report.failed += 1


async def store_result(
    store: ResultStore,
    item: dict[str, Any],
    result: Any,
    *,
    question: Question,
    knowledge: KnowledgeBase,
    report: CollectReport,
) -> None:
    """One line of a batch's results: every dimension's part is checked and stored for itself."""
    if result.type != "succeeded":
        error = getattr(getattr(getattr(result, "error", None), "error", None), "message", None)
        status = result.type if result.type in ("errored", "canceled", "expired") else "invalid"
        await close_item(store, item, status=status, error=error, report=report)
        return
    subjects = subjects_of(item, question)
    wholes = {subject.dimension: subject_of(item, subject.dimension, question) for subject in subjects}
    asked = subjects[0] if len(subjects) == 1 else replace(subjects[0], dimension=JOINT)
    opened = await store.open_attempt(asked, kind="batch", position="single", attempt_number=1, cache_outcome="miss")
    attempt = Attempt(model=question.model)
    read_message(result.message, attempt)
    price = knowledge.models.price(question.model, datetime.now(UTC).date(), attempt.usage.prompt)
    cost = cost_usd(attempt.usage, price, is_batch=True)
    report.cost_usd += cost
    failure: RequestError | None = None
    try:
        check_stop_reason(attempt)
        answer = parse_answer(attempt.text)
        chunks = await current_chunks(store, item, knowledge=knowledge)
        share = cost / len(subjects)
        complaints = []
        for subject in subjects:
            try:
                whole = wholes[subject.dimension]
                require_same_question(subject, whole, item, question)
                evidence = chunks[item["chunk_index"]].evidence
                checked = check(answer, dimension=subject.dimension, evidence=evidence)
                require_complete(checked)
            except RequestError as error:
                complaints.append(f"{subject.dimension}: {error}")
                continue
            is_whole = item["n_chunks"] == 1
            await store.save(
                subject,
                answer=to_stored(checked),
                counts=checked.counts,
                cost=share,
                model=attempt.model,
                is_standing=is_whole,
            )
            if is_whole or await merge_parts(store, whole, question, n_chunks=item["n_chunks"]):
                report.stored += 1
        if complaints:
            raise RequestError(ErrorKind.MALFORMED, "; ".join(complaints))
    except RequestError as error:
        failure = error
        report.messages.append(f"{item['call_id']}: {error}; the next live run asks again")
    reason = str(failure) if failure else None
    # together: killed in between, the next pass would enter the same dollars once more
    async with store.pool.connection() as connection, connection.transaction():
        await store.close_attempt(
            opened,
            attempt,
            cost=cost,
            error_kind=failure.kind if failure else None,
            error=reason,
            connection=connection,
        )
        await connection.execute(CLOSE_ITEM, ("invalid" if failure else "succeeded", reason, item["custom_id"]))
    report.weeks.add(item["week_start"])
    report.failed += failure is not None


async def merge_parts(store: ResultStore, whole: Subject, question: Question, *, n_chunks: int) -> bool:
    """Let the call's answer stand as soon as every part of it is there; until then False."""
    keys = keys_in_batch(whole, question, n_chunks=n_chunks)
    found, _ = await store.find(keys)
    if len(found) < n_chunks:
        return False
    parts = [found[key] for key in keys]
    merged = merge([from_stored(whole.dimension, part.answer, part.counts) for part in parts])
    await store.save(
        whole,
        answer=to_stored(merged),
        counts=merged.counts,
        cost=sum((part.cost_usd for part in parts), Decimal(0)),
        model=parts[0].model,
    )
    return True


def subjects_of(item: dict[str, Any], question: Question) -> list[Subject]:
    """The item's questions under the keys they were handed in with."""
    return [
        replace(subject_of(item, dimension, question), result_key=key)
        for dimension, key in zip(item["dimensions"], item["result_keys"], strict=True)
    ]


def require_same_question(subject: Subject, whole: Subject, item: dict[str, Any], question: Question) -> None:
    asked_now = part_of(whole, question, n_chunks=item["n_chunks"], chunk_index=item["chunk_index"])
    if asked_now.result_key != subject.result_key:
        raise RequestError(
            ErrorKind.MALFORMED, "rubric, knowledge, prompt or model changed while the batch was at work"
        )


async def current_chunks(store: ResultStore, item: dict[str, Any], *, knowledge: KnowledgeBase) -> list[ChunkText]:
    """The text the answer cites; it must still be the one that was sent."""
    async with store.pool.connection() as connection:
        cursor = await connection.execute(
            "select transcript_hash, n_chunks from analysis.transcript_chunks where call_id = %s and chunk_index = 0",
            (item["call_id"],),
        )
        row = await cursor.fetchone()
        if row is None or (row["transcript_hash"], row["n_chunks"]) != (item["transcript_hash"], item["n_chunks"]):
            raise RequestError(ErrorKind.MALFORMED, "the transcript changed while the batch was at work")
        return await read_chunks(
            connection, call_id=item["call_id"], knowledge=knowledge, dimensions=item["dimensions"]
        )
