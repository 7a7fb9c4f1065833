"""Score the calls of some weeks: find what is missing, ask for it, store each answer as it comes.

    owed -> leader, then followers -> checked answers -> results, ledger

A call's first request writes the shared prefix to Claude's prompt cache; the others start at its first event and read
it. Nothing that goes wrong with one request stops another, except what would fail for every request.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from time import monotonic
from typing import Literal

import psycopg

from dagster_project.analysis.asking import Asker
from dagster_project.analysis.call_scoring import CallScoring
from dagster_project.analysis.chunk_texts import read_chunks
from dagster_project.analysis.claude import STOPS_THE_RUN, ClaudeClient, ErrorKind, RequestError
from dagster_project.analysis.knowledge_base import KnowledgeBase, load_knowledge_base
from dagster_project.analysis.limits import Question, fallback_of, question_of
from dagster_project.analysis.owed import CallWork, asked_of, find_work
from dagster_project.analysis.report import ScoreReport
from dagster_project.analysis.results import Failure, ResultStore, Subject
from dagster_project.analysis.scheduling import Brakes, Slots
from dagster_project.analysis.sending import Sender
from dagster_project.analysis.settings import AnalysisSettings

logger = logging.getLogger(__name__)

RECOUNT_EVERY_S = 10.0
TELL_EVERY_S = 2.0
# a broken API would fill the report with one line per question
MOST_MESSAGES = 50

Progress = Callable[[str], None]


async def score_weeks(
    *,
    database_url: str,
    settings: AnalysisSettings,
    weeks: Sequence[date],
    dimensions: Sequence[str],
    call_ids: Sequence[str] | None = None,
    force: bool = False,
    run_id: str | None = None,
    on_progress: Progress = logger.info,
    knowledge: KnowledgeBase | None = None,
) -> ScoreReport:
    """Bring the standing results of these weeks up to date.

    Args:
        dimensions: rubric dimensions and `call_brief`; unknown names raise KeyError before anything is sent.
        force: ask again even where an answer stands or is cached; the new answers replace the standing ones.
        on_progress: called with a line for people, a few times a minute.
    """
    knowledge = knowledge or load_knowledge_base()
    question = question_of(settings=settings, knowledge=knowledge)
    fallback = fallback_of(settings=settings, knowledge=knowledge)
    for dimension in dimensions:
        if dimension not in knowledge.dimensions:
            knowledge.rubric(dimension)
    started = monotonic()
    store = ResultStore(
        database_url, question=question, origin=settings.origin, run_id=run_id, ttl_days=settings.result_ttl_days
    )
    async with store:
        async with store.pool.connection() as connection:
            work, reports = await find_work(
                connection,
                question=question,
                fallback=fallback,
                origin=settings.origin,
                weeks=weeks,
                dimensions=dimensions,
                call_ids=call_ids,
                is_forced=force,
            )
        report = ScoreReport(dimensions=reports)
        if work:
            brakes = Brakes(
                budget_run=as_dollars(settings.budget_run_usd),
                budget_day=as_dollars(settings.budget_day_usd),
                spent_before_today=await store.spent_today(),
            )
            async with ClaudeClient(settings) as client:
                run = Run(
                    client=client,
                    store=store,
                    settings=settings,
                    question=question,
                    fallback=fallback,
                    knowledge=knowledge,
                    brakes=brakes,
                    report=report,
                    is_forced=force,
                    on_progress=on_progress,
                )
                await run.score(work)
            report.stop_kind, report.stop_reason = brakes.stop_kind, brakes.stop_reason
    report.duration_s = monotonic() - started
    return report


def as_dollars(amount: float | None) -> Decimal | None:
    return None if amount is None else Decimal(str(amount))


class Run:
    """The calls of a run, some at a time; `score` is the way in."""

    def __init__(
        self,
        *,
        client: ClaudeClient,
        store: ResultStore,
        settings: AnalysisSettings,
        question: Question,
        fallback: Question | None,
        knowledge: KnowledgeBase,
        brakes: Brakes,
        report: ScoreReport,
        is_forced: bool,
        on_progress: Progress,
    ) -> None:
        self._store = store
        self._settings = settings
        self._question = question
        self._fallback = fallback
        self._knowledge = knowledge
        self._brakes = brakes
        self._report = report
        self._on_progress = on_progress
        slots = Slots(settings.concurrency)
        self._senders = {
            asked.model: Sender(
                client=client,
                store=store,
                slots=slots,
                brakes=brakes,
                report=report,
                question=asked,
                knowledge=knowledge,
                stops_the_run=stops,
            )
            # a key may not be allowed the second model: that ends one question and not the run
            for asked, stops in ((question, STOPS_THE_RUN), (fallback, {ErrorKind.SPEND_LIMIT}))
            if asked is not None
        }
        self._forced_at = datetime.now(UTC) if is_forced else None
        # each with whether the first model declined it
        self._unasked: list[tuple[Subject, bool]] = []
        self._n_calls = 0
        self._n_done = 0
        self._told_at = monotonic()
        self._recounted_at = monotonic()

    async def score(self, work: Sequence[CallWork]) -> None:
        """All calls, at most as many at once as there are slots, so that memory does not grow with their number."""
        self._n_calls = len(work)
        waiting = iter(work)

        async def worker() -> None:
            for call in waiting:
                if self._brakes.stop_reason is None:
                    await self._score_call(call)
                else:
                    self._unasked.extend(self._first_asked(s, n_chunks=call.n_chunks) for s in call.subjects)
                self._n_done += 1
                self._tell()
                await self._recount_today()

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._settings.concurrency, len(work))):
                group.create_task(worker())
        await self._record_unasked()

    async def _recount_today(self) -> None:
        """Other runs spend from the same day's budget."""
        if self._brakes.budget_day is None or monotonic() - self._recounted_at < RECOUNT_EVERY_S:
            return
        self._recounted_at = monotonic()
        spent_by_all = await self._store.spent_today()
        self._brakes.spent_before_today = max(spent_by_all - self._brakes.spent, Decimal(0))

    def _tell(self) -> None:
        now = monotonic()
        if now - self._told_at >= TELL_EVERY_S or self._n_done == self._n_calls:
            self._told_at = now
            self._on_progress(
                f"{self._n_done} of {self._n_calls} calls, {self._report.requests} requests, "
                f"${self._report.cost_usd:.2f}"
            )

    async def _score_call(self, call: CallWork) -> None:
        dimensions = [subject.dimension for subject in call.subjects]
        async with self._store.pool.connection() as connection:
            chunks = await read_chunks(
                connection, call_id=call.call_id, knowledge=self._knowledge, dimensions=dimensions
            )
        asker = Asker(self._settings)
        n_by_model = Counter(subject.model for subject in call.subjects)
        scorings = {
            model: CallScoring(
                sender=sender,
                asker=asker,
                store=self._store,
                chunks=chunks,
                n_expected=n_by_model[model],
                forced_at=self._forced_at,
            )
            for model, sender in self._senders.items()
        }
        # the leader's answer holds the others up: the longest questions go first, while nobody waits
        subjects = sorted(
            call.subjects,
            key=lambda subject: self._senders[subject.model].n_question_characters(subject.dimension),
            reverse=True,
        )
        async with asyncio.TaskGroup() as group:
            for subject in subjects:
                group.create_task(self._score_subject(scorings, subject, n_chunks=call.n_chunks))

    async def _score_subject(self, scorings: Mapping[str, CallScoring], subject: Subject, *, n_chunks: int) -> None:
        """One question about one call, to a stored end whatever happens; after a refusal once to the other model."""
        report = self._report.dimensions[subject.dimension]
        try:
            await self._answer(scorings[subject.model], subject)
        except RequestError as failure:
            is_declined = failure.kind is ErrorKind.REFUSAL
            if is_declined and self._fallback is not None and subject.model != self._fallback.model:
                report.fallbacks += 1
                instead = asked_of(subject, self._fallback, n_chunks=n_chunks)
                await self._score_subject(scorings, instead, n_chunks=n_chunks)
            else:
                await self._record(subject, failure, n_chunks=n_chunks)
        else:
            report.scored += 1

    def _first_asked(self, subject: Subject, *, n_chunks: int) -> tuple[Subject, bool]:
        """(the question as the first model was asked it, whether that one declined)."""
        if self._fallback is None or subject.model != self._fallback.model:
            return subject, False
        return asked_of(subject, self._question, n_chunks=n_chunks), True

    async def _record(self, subject: Subject, failure: RequestError, *, n_chunks: int) -> None:
        report = self._report.dimensions[subject.dimension]
        status: Literal["refused", "failed", "over_budget"]
        is_declined = False
        if failure.kind is ErrorKind.STOPPED:
            self._unasked.append(self._first_asked(subject, n_chunks=n_chunks))
            return
        if failure.kind is ErrorKind.REFUSAL:
            status = "refused"
            report.refused += 1
        elif failure.kind in (ErrorKind.BUDGET, ErrorKind.SPEND_LIMIT):
            status = "over_budget"
            report.over_budget += 1
        else:
            status = "failed"
            report.failed += 1
        if status != "refused":
            subject, is_declined = self._first_asked(subject, n_chunks=n_chunks)
        reason = f"{failure.kind}: {failure}"
        self._note(f"{subject.call_id} {subject.dimension}: {reason}")
        await self._store.fail([Failure(subject, status, reason, is_declined=is_declined)])

    async def _answer(self, scoring: CallScoring, subject: Subject) -> None:
        try:
            await scoring.answer(subject, self._report.dimensions[subject.dimension])
        except (RequestError, psycopg.OperationalError):
            raise
        except Exception as error:
            # whatever an answer broke, it is this question's failure and not the others'
            logger.exception("%s %s", subject.call_id, subject.dimension)
            raise RequestError(ErrorKind.MALFORMED, f"{type(error).__name__}: {error}") from error

    async def _record_unasked(self) -> None:
        """What a stop left over: one message for all of it, and a state each, so that the next run takes it up."""
        if not self._unasked:
            return
        is_money = self._brakes.stop_kind == ErrorKind.SPEND_LIMIT
        reason = f"not asked, the run had stopped: {self._brakes.stop_reason}"
        for subject, _ in self._unasked:
            report = self._report.dimensions[subject.dimension]
            report.over_budget += is_money
            report.failed += not is_money
        self._note(f"{len(self._unasked)} questions were {reason}")
        status: Literal["over_budget", "failed"] = "over_budget" if is_money else "failed"
        await self._store.fail(
            [Failure(subject, status, reason, is_declined=is_declined) for subject, is_declined in self._unasked]
        )

    def _note(self, message: str) -> None:
        if len(self._report.messages) < MOST_MESSAGES:
            self._report.messages.append(message)
        logger.warning("%s", message)
