"""Half the price for answers that may take a day: backfills and rubric re-runs through the Message Batches API.

    owed -> one request per call, or per chunk of a long one, with all its missing dimensions -> analysis.batches

Answers of a batch stand under the same keys as live ones. Prompts and answers of a batch stay with the vendor until the
batch is deleted, up to 29 days otherwise: that is why batches are opt-in and collecting one deletes it.
"""

import logging
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import anthropic

from dagster_project.analysis.chunk_texts import read_chunks
from dagster_project.analysis.claude import ClaudeClient, RequestError, classify
from dagster_project.analysis.knowledge_base import KnowledgeBase, load_knowledge_base
from dagster_project.analysis.limits import Question, fallback_of, question_of
from dagster_project.analysis.owed import CallWork, find_work, part_of
from dagster_project.analysis.prompts import Prompt, questions_text, system_text, transcript_text
from dagster_project.analysis.results import ResultStore, Subject
from dagster_project.analysis.settings import AnalysisSettings

logger = logging.getLogger(__name__)

# the API takes 100,000 requests or 256 MB; smaller batches end sooner and lose less when one is lost
MAX_REQUESTS = 2_000
MAX_CHARACTERS = 60_000_000


@dataclass
class SubmitReport:
    """What was handed in; questions that the model declined before are left to a live run, which asks another."""

    batches: list[str] = field(default_factory=list)
    requests: int = 0
    served_from_cache: int = 0
    left_for_live: int = 0
    messages: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Item:
    custom_id: str
    call: CallWork
    # of the chunk, where the call has several
    subjects: tuple[Subject, ...]
    chunk_index: int
    parameters: dict[str, Any]
    n_characters: int


async def submit_weeks(
    *,
    database_url: str,
    settings: AnalysisSettings,
    weeks: Sequence[date],
    dimensions: Sequence[str],
    call_ids: Sequence[str] | None = None,
    force: bool = False,
    run_id: str | None = None,
    on_progress: Callable[[str], None] = logger.info,
    knowledge: KnowledgeBase | None = None,
) -> SubmitReport:
    """Hand in what has no standing answer and is not waiting in a batch already."""
    knowledge = knowledge or load_knowledge_base()
    question = question_of(settings=settings, knowledge=knowledge)
    report = SubmitReport()
    store = ResultStore(
        database_url, question=question, origin=settings.origin, run_id=run_id, ttl_days=settings.result_ttl_days
    )
    async with store, ClaudeClient(settings) as client:
        async with store.pool.connection() as connection:
            work, _ = await find_work(
                connection,
                question=question,
                fallback=fallback_of(settings=settings, knowledge=knowledge),
                origin=settings.origin,
                weeks=weeks,
                dimensions=dimensions,
                call_ids=call_ids,
                is_forced=force,
            )
        batch: list[Item] = []
        async for item in items_of(
            work,
            store=store,
            settings=settings,
            question=question,
            knowledge=knowledge,
            is_forced=force,
            report=report,
        ):
            size = sum(other.n_characters for other in batch)
            if batch and (len(batch) >= MAX_REQUESTS or size + item.n_characters > MAX_CHARACTERS):
                await hand_in(client, store, batch, settings=settings, run_id=run_id, report=report)
                on_progress(f"{report.requests} requests in {len(report.batches)} batches")
                batch = []
            batch.append(item)
        if batch:
            await hand_in(client, store, batch, settings=settings, run_id=run_id, report=report)
            on_progress(f"{report.requests} requests in {len(report.batches)} batches")
    return report


async def items_of(
    work: Sequence[CallWork],
    *,
    store: ResultStore,
    settings: AnalysisSettings,
    question: Question,
    knowledge: KnowledgeBase,
    is_forced: bool,
    report: SubmitReport,
) -> AsyncIterator[Item]:
    system = system_text(knowledge)
    max_output = knowledge.models.model(question.model).max_output
    handed_in: set[str] = set()
    for call in work:
        report.left_for_live += sum(subject.model != question.model for subject in call.subjects)
        # a second call with this transcript is served from the first one's answer, once that is collected
        wanted = [
            subject
            for subject in call.subjects
            if subject.model == question.model and subject.result_key not in handed_in
        ]
        if not is_forced:
            wanted = await not_served(store, wanted, report=report)
        if not wanted:
            continue
        handed_in.update(subject.result_key for subject in wanted)
        names = [subject.dimension for subject in wanted]
        async with store.pool.connection() as connection:
            chunks = await read_chunks(connection, call_id=call.call_id, knowledge=knowledge, dimensions=names)
        for index, chunk in enumerate(chunks):
            subjects = [part_of(subject, question, n_chunks=len(chunks), chunk_index=index) for subject in wanted]
            if len(chunks) > 1 and not is_forced:
                # an earlier run may have got some of the parts
                usable, _ = await store.find([subject.result_key for subject in subjects])
                subjects = [subject for subject in subjects if subject.result_key not in usable]
            if not subjects:
                continue
            prompt = Prompt(
                system=system,
                transcript=transcript_text(chunk.text, chunk_index=index, n_chunks=len(chunks)),
                questions=questions_text([subject.dimension for subject in subjects], knowledge),
                is_operator_channel=question.is_operator_channel,
                is_transcript_shared=False,
            )
            yield Item(
                custom_id=uuid.uuid4().hex,
                call=call,
                subjects=tuple(subjects),
                chunk_index=index,
                parameters=prompt.parameters(
                    model=question.model,
                    effort=question.effort,
                    thinking=question.thinking,
                    max_tokens=min(settings.max_output_tokens * len(subjects), max_output),
                ),
                n_characters=prompt.n_characters,
            )


async def not_served(store: ResultStore, subjects: Sequence[Subject], *, report: SubmitReport) -> list[Subject]:
    """What no earlier answer could be served for."""
    usable, _ = await store.find([subject.result_key for subject in subjects])
    for subject in subjects:
        if subject.result_key in usable:
            await store.serve(subject, usable[subject.result_key])
            report.served_from_cache += 1
    return [subject for subject in subjects if subject.result_key not in usable]


async def hand_in(
    client: ClaudeClient,
    store: ResultStore,
    items: Sequence[Item],
    *,
    settings: AnalysisSettings,
    run_id: str | None,
    report: SubmitReport,
) -> None:
    """Create the batch and remember it in the order that loses nothing: items first, then the batch's id.

    Killed in between, the items have no batch: `collect` looks for it among the API's batches.
    """
    async with store.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        await cursor.executemany(
            """
                insert into analysis.batch_items (
                    custom_id, call_id, rep_id, week_start, dimensions, result_keys, transcript_hash, chunk_index,
                    n_chunks
                ) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
                """,
            [
                (
                    item.custom_id,
                    item.call.call_id,
                    item.call.rep_id,
                    item.call.week_start,
                    [subject.dimension for subject in item.subjects],
                    [subject.result_key for subject in item.subjects],
                    item.call.transcript_hash,
                    item.chunk_index,
                    item.call.n_chunks,
                )
                for item in items
            ],
        )
    ids = [item.custom_id for item in items]
    try:
        batch = await client.sdk.messages.batches.create(
            requests=[{"custom_id": item.custom_id, "params": item.parameters} for item in items]  # type: ignore[typeddict-item]
        )
    except anthropic.AnthropicError as error:
        async with store.pool.connection() as connection:
            await connection.execute("delete from analysis.batch_items where custom_id = any(%s)", (ids,))
        failure = classify(error)
        raise RequestError(
            failure.kind, f"the batch of {len(items)} requests was not accepted, nothing was handed in: {failure}"
        ) from error
    async with store.pool.connection() as connection, connection.transaction():
        await connection.execute(
            """
            insert into analysis.batches (batch_id, model, status, n_requests, origin, run_id)
            values (%s, %s, 'submitted', %s, %s, %s)
            """,
            (batch.id, settings.model, len(items), settings.origin, run_id),
        )
        await connection.execute(
            "update analysis.batch_items set batch_id = %s where custom_id = any(%s)", (batch.id, ids)
        )
    report.batches.append(batch.id)
    report.requests += len(items)
