"""One call: each question served from an earlier answer or asked, checked, repaired once and stored.

key held -> cache? -> asked per chunk (in halves where too long) -> checked -> one repair -> merged -> stored
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal

from structlog.contextvars import bound_contextvars

from dagster_project.analysis.asking import Asker
from dagster_project.analysis.chunk_texts import ChunkText, halves_of
from dagster_project.analysis.claude import ErrorKind, RequestError
from dagster_project.analysis.owed import part_of
from dagster_project.analysis.report import DimensionReport
from dagster_project.analysis.results import CachedResult, CacheOutcome, ResultStore, Subject
from dagster_project.analysis.scheduling import Prefix
from dagster_project.analysis.scoring import (
    Checked,
    apply_repair,
    check,
    from_stored,
    merge,
    needs_repair,
    repair_note,
    require_complete,
    to_stored,
)
from dagster_project.analysis.sending import Sender

logger = logging.getLogger(__name__)


class CallScoring:
    """All questions about one call to one model: they share the prefixes of its chunks.

    Args:
        n_expected: questions that have no answer yet; the last one of them reads the transcript alone.
        forced_at: when a forced run began; answers older than that are asked for again. None: they serve.
    """

    def __init__(
        self,
        *,
        sender: Sender,
        asker: Asker,
        store: ResultStore,
        chunks: Sequence[ChunkText],
        n_expected: int,
        forced_at: datetime | None,
    ) -> None:
        self._sender = sender
        self._asker = asker
        self._store = store
        self._chunks = chunks
        self._prefixes = [Prefix() for _ in chunks]
        self._n_expected = n_expected
        self._forced_at = forced_at

    async def answer(self, subject: Subject, report: DimensionReport) -> None:
        """Raises RequestError when there is no answer; everything that was paid for is in the ledger by then."""
        with bound_contextvars(call_id=subject.call_id, dimension=subject.dimension):
            await self._answer(subject, report)

    async def _answer(self, subject: Subject, report: DimensionReport) -> None:
        async with self._holding(subject.result_key):
            cached, outcome = await self._look_up(subject.result_key)
            if cached is not None:
                await self._store.serve(subject, cached)
                report.saved_usd += cached.cost_usd
                report.cache_hits += 1
                logger.debug("answered from the cache")
                return
            costs: list[Decimal] = []
            parts = []
            for index, chunk in enumerate(self._chunks):
                parts.append(await self._answer_chunk(subject, index, chunk, outcome=outcome, costs=costs))
            if not parts:
                raise RequestError(ErrorKind.STOPPED, "the call's chunks vanished while it was scored; run again")
            checked = merge([part for part, _ in parts])
            report.add_counts(checked.counts)
            await self._store.save(
                subject,
                answer=to_stored(checked),
                counts=checked.counts,
                cost=sum(costs, Decimal(0)),
                model=parts[0][1],
            )
            logger.debug("scored")

    @asynccontextmanager
    async def _holding(self, key: str) -> AsyncIterator[None]:
        await self._store.acquire(key)
        try:
            yield
        finally:
            await self._store.release(key)

    async def _look_up(self, key: str) -> tuple[CachedResult | None, CacheOutcome]:
        usable, expired = await self._store.find([key])
        cached = usable.get(key)
        if self._forced_at is not None:
            # asked anew by this very run: a call with the same transcript need not ask once more
            is_new = cached is not None and cached.created_at >= self._forced_at
            return cached if is_new else None, "forced"
        return cached, "expired" if key in expired else "miss"

    async def _answer_chunk(
        self,
        subject: Subject,
        index: int,
        chunk: ChunkText,
        *,
        outcome: CacheOutcome,
        costs: list[Decimal],
    ) -> tuple[Checked, str]:
        """(what held of the answer, the model that gave it); the parts of a long call are stored one by one."""
        if len(self._chunks) == 1:
            return await self._ask_or_halve(subject, self._prefixes[0], chunk, outcome=outcome, costs=costs)
        part = part_of(subject, self._sender.question, n_chunks=len(self._chunks), chunk_index=index)
        cached, outcome = await self._look_up(part.result_key)
        if cached is not None:
            await self._store.serve(part, cached, is_standing=False)
            return from_stored(subject.dimension, cached.answer, cached.counts), cached.model
        part_costs: list[Decimal] = []
        try:
            checked, model = await self._ask_or_halve(
                part, self._prefixes[index], chunk, outcome=outcome, costs=part_costs
            )
        finally:
            costs.extend(part_costs)
        await self._store.save(
            part,
            answer=to_stored(checked),
            counts=checked.counts,
            cost=sum(part_costs, Decimal(0)),
            model=model,
            is_standing=False,
        )
        return checked, model

    async def _ask_or_halve(
        self, subject: Subject, prefix: Prefix, chunk: ChunkText, *, outcome: CacheOutcome, costs: list[Decimal]
    ) -> tuple[Checked, str]:
        """Sizes are estimates; where the API says that a text is too long, its halves are asked about."""
        try:
            return await self._ask(subject, prefix, chunk, outcome=outcome, costs=costs)
        except RequestError as failure:
            halves = halves_of(chunk) if failure.kind is ErrorKind.CONTEXT_EXCEEDED else []
            if not halves:
                raise
        answers = [await self._ask_or_halve(subject, Prefix(), half, outcome=outcome, costs=costs) for half in halves]
        return merge([checked for checked, _ in answers]), answers[0][1]

    async def _ask(
        self, subject: Subject, prefix: Prefix, chunk: ChunkText, *, outcome: CacheOutcome, costs: list[Decimal]
    ) -> tuple[Checked, str]:
        is_shared = self._n_expected > 1
        prompt = self._sender.prompt(chunk, subject.dimension, is_shared=is_shared)
        answer, model = await self._asker.ask(
            prompt, subject, prefix, sender=self._sender, kind="live", outcome=outcome, costs=costs
        )
        checked = check(answer, dimension=subject.dimension, evidence=chunk.evidence)
        if needs_repair(checked):
            repair = self._sender.prompt(chunk, subject.dimension, is_shared=is_shared, repair=repair_note(checked))
            try:
                again, _ = await self._asker.ask(
                    repair, subject, prefix, sender=self._sender, kind="repair", outcome=outcome, costs=costs
                )
            except RequestError as failure:
                # the first answer is paid for: what held of it counts, unless it was not complete
                logger.info("%s %s: no repair: %s", subject.call_id, subject.dimension, failure)
            else:
                checked = apply_repair(checked, check(again, dimension=subject.dimension, evidence=chunk.evidence))
            require_complete(checked)
        return checked, model
