"""Score the calls of some weeks: find what is missing, ask for it, store each answer as it comes.

    transcript_chunks - standing results = work -> leader, then followers -> checked answers -> results, ledger

A call's first request writes the shared prefix to Claude's prompt cache; the others start at its first event and read
it. Nothing that goes wrong with one request stops another, except what would fail for every request.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from time import monotonic
from typing import Any, Literal

import psycopg
from psycopg import AsyncConnection

from dagster_project.analysis.chunking import Line, windows_of
from dagster_project.analysis.claude import (
    RETRY_RULES,
    STOPS_THE_RUN,
    Attempt,
    ClaudeClient,
    ErrorKind,
    RequestError,
    Usage,
    wait_before_retry,
)
from dagster_project.analysis.costs import EXPECTED_OUTPUT_TOKENS, Position, cost_usd, usage_of
from dagster_project.analysis.knowledge_base import KnowledgeBase, load_knowledge_base
from dagster_project.analysis.limits import Question, question_of
from dagster_project.analysis.prompts import Prompt, questions_text, system_text, transcript_text
from dagster_project.analysis.results import (
    CachedResult,
    CacheOutcome,
    Failure,
    ResultStore,
    Subject,
    result_key,
)
from dagster_project.analysis.scheduling import FOLLOWER, LEADER, Brakes, CallBudget, Prefix, Slots
from dagster_project.analysis.schema import Answer
from dagster_project.analysis.scoring import (
    Checked,
    Counts,
    Evidence,
    apply_repair,
    check,
    from_stored,
    merge,
    needs_repair,
    parse_answer,
    repair_note,
    require_complete,
    statement_ids,
    to_stored,
)
from dagster_project.analysis.settings import AnalysisSettings
from dagster_project.analysis.tokens import claude_tokens
from dagster_project.analysis.transcripts import line, turns_of_lines

logger = logging.getLogger(__name__)

# a text of a few turns that is too long has another fault
SHORTEST_CUT_TURNS = 8
HALF_WITH_OVERLAP = 0.6
RECOUNT_EVERY_S = 10.0

Progress = Callable[[str], None]


@dataclass
class DimensionReport:
    """One dimension's part of a run."""

    calls: int = 0
    # standing before the run: nothing was looked up or sent
    unchanged: int = 0
    # handed in as a batch, and not to be paid for twice
    waiting_in_batch: int = 0
    scored: int = 0
    cache_hits: int = 0
    requests: int = 0
    failed: int = 0
    refused: int = 0
    over_budget: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)
    followers: int = 0
    followers_that_read: int = 0
    quotes_checked: int = 0
    quotes_verified: int = 0
    quotes_repaired: int = 0
    quotes_dropped: int = 0

    def add_usage(self, usage: Usage, cost: Decimal) -> None:
        self.requests += 1
        self.input_tokens += usage.input
        self.cache_read_tokens += usage.cache_read
        self.cache_write_tokens += usage.cache_write_5m + usage.cache_write_1h
        self.output_tokens += usage.output
        self.thinking_tokens += usage.thinking
        self.cost_usd += cost

    def add_counts(self, counts: Counts) -> None:
        self.quotes_checked += counts.checked
        self.quotes_verified += counts.verified
        self.quotes_repaired += counts.repaired
        self.quotes_dropped += counts.dropped


@dataclass
class ScoreReport:
    """What a run did, per dimension; `messages` are for people."""

    dimensions: dict[str, DimensionReport] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    # set when the run ended before its work did
    stop_kind: str | None = None
    stop_reason: str | None = None
    duration_s: float = 0.0

    @property
    def requests(self) -> int:
        return sum(report.requests for report in self.dimensions.values())

    @property
    def cost_usd(self) -> Decimal:
        return sum((report.cost_usd for report in self.dimensions.values()), Decimal(0))

    @property
    def is_complete(self) -> bool:
        return not any(report.failed or report.over_budget for report in self.dimensions.values())


@dataclass(frozen=True, slots=True)
class CallWork:
    """A call and the questions about it that have no standing answer."""

    call_id: str
    rep_id: str
    week_start: date
    transcript_hash: str
    n_chunks: int
    subjects: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class ChunkText:
    text: str
    evidence: Evidence


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


async def read_chunks(
    connection: AsyncConnection[dict[str, Any]],
    *,
    call_id: str,
    knowledge: KnowledgeBase,
    dimensions: Sequence[str],
) -> list[ChunkText]:
    cursor = await connection.execute(
        """
        select chunk_index, n_chunks, text, flagged_turn_ids, turn_starts_ms, turn_ends_ms
        from analysis.transcript_chunks
        where call_id = %s
        order by chunk_index
        """,
        (call_id,),
    )
    markers = knowledge.markers(dimensions)
    known_statements = statement_ids(knowledge)
    return [
        ChunkText(
            text=row["text"],
            evidence=Evidence(
                turns={
                    turn.turn_id: turn
                    for turn in turns_of_lines(
                        row["text"], starts_ms=row["turn_starts_ms"], ends_ms=row["turn_ends_ms"]
                    )
                },
                flagged=frozenset(row["flagged_turn_ids"]),
                markers=markers,
                statement_ids=known_statements,
                chunk_index=row["chunk_index"],
                n_chunks=row["n_chunks"],
            ),
        )
        for row in await cursor.fetchall()
    ]


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
    """The moving parts of one run; `score` is the way in."""

    def __init__(
        self,
        *,
        client: ClaudeClient,
        store: ResultStore,
        settings: AnalysisSettings,
        question: Question,
        knowledge: KnowledgeBase,
        brakes: Brakes,
        report: ScoreReport,
        is_forced: bool,
        on_progress: Progress,
    ) -> None:
        self._client = client
        self._store = store
        self._settings = settings
        self._question = question
        self._knowledge = knowledge
        self._brakes = brakes
        self._report = report
        self._is_forced = is_forced
        self._on_progress = on_progress
        self._slots = Slots(settings.concurrency)
        self._system = system_text(knowledge)
        self._system_prefix = Prefix()
        self._questions = {name: questions_text([name], knowledge) for name in report.dimensions}
        self._unasked: list[Subject] = []
        self._n_calls = 0
        self._n_done = 0
        self._reported_at = monotonic()
        self._recounted_at = monotonic()
        self.started_at = datetime.now(UTC)
        # until the server says otherwise
        self.is_operator_channel = question.is_operator_channel

    async def score(self, work: Sequence[CallWork]) -> None:
        """All calls, at most as many at once as there are slots, so that memory does not grow with their number."""
        self._n_calls = len(work)
        waiting = iter(work)

        async def worker() -> None:
            for call in waiting:
                if self._brakes.stop_reason is None:
                    await self._score_call(call)
                else:
                    self._unasked.extend(call.subjects)
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
        if now - self._reported_at >= 2 or self._n_done == self._n_calls:
            self._reported_at = now
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
        # the leader's answer holds the others up: the longest questions go first, while nobody waits
        subjects = sorted(call.subjects, key=lambda subject: -len(self._questions[subject.dimension]))
        scoring = CallScoring(run=self, call=call, chunks=chunks, n_expected=len(subjects))
        async with asyncio.TaskGroup() as group:
            for subject in subjects:
                group.create_task(self._score_subject(scoring, subject))

    async def _score_subject(self, scoring: "CallScoring", subject: Subject) -> None:
        """One question about one call, to a stored end whatever happens."""
        report = self._report.dimensions[subject.dimension]
        try:
            is_hit = await self._answer(scoring, subject)
        except RequestError as failure:
            if failure.kind is ErrorKind.STOPPED:
                self._unasked.append(subject)
                return
            status: Literal["refused", "failed", "over_budget"]
            if failure.kind is ErrorKind.REFUSAL:
                status = "refused"
                report.refused += 1
            elif failure.kind in (ErrorKind.BUDGET, ErrorKind.SPEND_LIMIT):
                status = "over_budget"
                report.over_budget += 1
            else:
                status = "failed"
                report.failed += 1
            reason = f"{failure.kind}: {failure}"
            self._note(f"{subject.call_id} {subject.dimension}: {reason}")
            await self._store.fail([Failure(subject, status, reason)])
        else:
            report.scored += 1
            report.cache_hits += is_hit

    async def _record_unasked(self) -> None:
        """What a stop left over: one message for all of it, and a state each, so that the next run takes it up."""
        if not self._unasked:
            return
        is_money = self._brakes.stop_kind == ErrorKind.SPEND_LIMIT
        reason = f"not asked, the run had stopped: {self._brakes.stop_reason}"
        for subject in self._unasked:
            report = self._report.dimensions[subject.dimension]
            report.over_budget += is_money
            report.failed += not is_money
        self._note(f"{len(self._unasked)} questions were {reason}")
        status: Literal["over_budget", "failed"] = "over_budget" if is_money else "failed"
        await self._store.fail([Failure(subject, status, reason) for subject in self._unasked])

    async def _answer(self, scoring: "CallScoring", subject: Subject) -> bool:
        try:
            return await scoring.answer(subject)
        except (RequestError, psycopg.OperationalError):
            raise
        except Exception as error:
            # whatever an answer broke, it is this question's failure and not the others'
            logger.exception("%s %s", subject.call_id, subject.dimension)
            raise RequestError(ErrorKind.MALFORMED, f"{type(error).__name__}: {error}") from error

    def _note(self, message: str) -> None:
        # a broken API would fill the report with one line per question
        if len(self._report.messages) < 50:
            self._report.messages.append(message)
        logger.warning("%s", message)

    # What a call's scoring needs from the run

    @property
    def store(self) -> ResultStore:
        return self._store

    @property
    def settings(self) -> AnalysisSettings:
        return self._settings

    @property
    def question(self) -> Question:
        return self._question

    @property
    def is_forced(self) -> bool:
        return self._is_forced

    def report_of(self, dimension: str) -> DimensionReport:
        return self._report.dimensions[dimension]

    def prompt(self, chunk: ChunkText, dimension: str, *, is_shared: bool, repair: str = "") -> Prompt:
        questions = self._questions[dimension]
        return Prompt(
            system=self._system,
            transcript=transcript_text(
                chunk.text, chunk_index=chunk.evidence.chunk_index, n_chunks=chunk.evidence.n_chunks
            ),
            questions=f"{questions}\n{repair}\n" if repair else questions,
            is_operator_channel=self.is_operator_channel,
            is_transcript_shared=is_shared,
        )

    def price_of(self, usage: Usage) -> Decimal:
        today = datetime.now(UTC).date()
        return cost_usd(usage, self._knowledge.models.price(self._question.model, today, usage.prompt))

    def estimate(self, prompt: Prompt, position: Position) -> Decimal:
        """What a request is expected to cost, before it is sent."""
        return self.price_of(
            usage_of(
                system=claude_tokens(len(prompt.system)),
                transcript=claude_tokens(len(prompt.transcript)),
                questions=claude_tokens(len(prompt.questions)),
                output=EXPECTED_OUTPUT_TOKENS,
                position=position,
                is_system_warm=self._system_prefix.is_warm,
            )
        )

    def refuse_if_stopped(self) -> None:
        if self._brakes.stop_reason is not None:
            raise RequestError(ErrorKind.STOPPED, f"the run had stopped: {self._brakes.stop_reason}")

    async def pause(self, seconds: float) -> None:
        await self._brakes.sleep(seconds)
        self.refuse_if_stopped()

    async def send(
        self,
        prompt: Prompt,
        subject: Subject,
        *,
        kind: Literal["live", "repair"],
        position: Position,
        attempt_number: int,
        max_tokens: int,
        timeout_s: float,
        cache_outcome: CacheOutcome,
        budget: CallBudget,
        on_first_event: Callable[[], None] | None,
    ) -> "Answered":
        """One attempt in a slot, within the budgets, with its ledger row."""
        async with self._slots.hold(LEADER if position == "leader" else FOLLOWER):
            self.refuse_if_stopped()
            is_writer = not self._system_prefix.is_warm and await self._system_prefix.enter()
            try:
                self.refuse_if_stopped()
                estimate = self.estimate(prompt, position)
                self._check_budgets(estimate, budget)
                self._brakes.reserved += estimate
                budget.reserved += estimate
                try:
                    return await self._send_recorded(
                        prompt,
                        subject,
                        kind=kind,
                        position=position,
                        attempt_number=attempt_number,
                        max_tokens=max_tokens,
                        timeout_s=timeout_s,
                        cache_outcome=cache_outcome,
                        budget=budget,
                        on_first_event=self._on_first_event(on_first_event, is_writer=is_writer),
                    )
                finally:
                    self._brakes.reserved -= estimate
                    budget.reserved -= estimate
            finally:
                if is_writer and not self._system_prefix.is_warm:
                    self._system_prefix.leave()

    def _on_first_event(self, notify: Callable[[], None] | None, *, is_writer: bool) -> Callable[[], None] | None:
        if not is_writer:
            return notify

        def warm() -> None:
            if not self._system_prefix.is_warm:
                self._system_prefix.warm()
            if notify is not None:
                notify()

        return warm

    def _check_budgets(self, estimate: Decimal, budget: CallBudget) -> None:
        if not budget.has_room_for(estimate):
            raise RequestError(
                ErrorKind.BUDGET,
                f"another request of about ${estimate:.2f} would pass the call's budget of ${budget.limit:.2f}; "
                "raise CALL_COACH_BUDGET_CALL_USD",
            )
        reason = self._brakes.refusal(estimate)
        if reason is not None:
            raise RequestError(ErrorKind.BUDGET, f"a request of about ${estimate:.2f} would pass {reason}")

    async def _send_recorded(
        self,
        prompt: Prompt,
        subject: Subject,
        *,
        kind: Literal["live", "repair"],
        position: Position,
        attempt_number: int,
        max_tokens: int,
        timeout_s: float,
        cache_outcome: CacheOutcome,
        budget: CallBudget,
        on_first_event: Callable[[], None] | None,
    ) -> "Answered":
        opened = await self._store.open_attempt(
            subject, kind=kind, position=position, attempt_number=attempt_number, cache_outcome=cache_outcome
        )
        attempt = Attempt(model=self._question.model)
        answer: Answer | None = None
        failure: RequestError | None = None
        parameters = prompt.parameters(
            model=self._question.model,
            effort=self._question.effort,
            thinking=self._question.thinking,
            max_tokens=max_tokens,
        )
        try:
            await self._client.send(parameters, attempt=attempt, timeout_s=timeout_s, on_first_event=on_first_event)
            answer = parse_answer(attempt.text)
        except RequestError as error:
            failure = error
            if error.kind in STOPS_THE_RUN:
                self._brakes.stop(error.kind, str(error))
        cost = self.price_of(attempt.usage)
        self._brakes.spent += cost
        budget.spent += cost
        report = self.report_of(subject.dimension)
        report.add_usage(attempt.usage, cost)
        if position == "follower" and failure is None:
            report.followers += 1
            report.followers_that_read += attempt.usage.cache_read > claude_tokens(len(prompt.system))
        await self._store.close_attempt(
            opened,
            attempt,
            cost=cost,
            error_kind=failure.kind if failure else None,
            error=str(failure) if failure else None,
        )
        if failure is not None or answer is None:
            raise BilledError(failure or RequestError(ErrorKind.MALFORMED, "no answer"), cost)
        return Answered(answer=answer, model=attempt.model, cost=cost)


@dataclass(frozen=True, slots=True)
class Answered:
    answer: Answer
    model: str
    cost: Decimal


class BilledError(Exception):
    """A failed attempt together with what it cost."""

    def __init__(self, failure: RequestError, cost: Decimal) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.cost = cost


class CallScoring:
    """All questions about one call: they share the transcript's prefix, a deadline and a budget."""

    def __init__(self, *, run: Run, call: CallWork, chunks: Sequence[ChunkText], n_expected: int) -> None:
        self._run = run
        self._call = call
        self._chunks = chunks
        self._prefixes = [Prefix() for _ in chunks]
        # once others are answered from the cache, the last question reads the transcript alone
        self._n_expected = n_expected
        self._budget = CallBudget(limit=as_dollars(run.settings.budget_call_usd))
        self._first_sent: float | None = None

    async def answer(self, subject: Subject) -> bool:
        """True when an earlier answer served."""
        async with self._holding(subject.result_key):
            cached, outcome = await self._look_up(subject.result_key)
            if cached is not None:
                await self._run.store.serve(subject, cached)
                self._run.report_of(subject.dimension).saved_usd += cached.cost_usd
                return True
            costs: list[Decimal] = []
            parts = []
            for index, chunk in enumerate(self._chunks):
                parts.append(await self._answer_chunk(subject, index, chunk, outcome=outcome, costs=costs))
            if not parts:
                raise RequestError(ErrorKind.STOPPED, "the call's chunks vanished while it was scored; run again")
            checked = merge([part for part, _ in parts])
            self._run.report_of(subject.dimension).add_counts(checked.counts)
            await self._run.store.save(
                subject,
                answer=to_stored(checked),
                counts=checked.counts,
                cost=sum(costs, Decimal(0)),
                model=parts[0][1],
            )
            return False

    @asynccontextmanager
    async def _holding(self, key: str) -> AsyncIterator[None]:
        await self._run.store.acquire(key)
        try:
            yield
        finally:
            await self._run.store.release(key)

    async def _look_up(self, key: str) -> tuple[CachedResult | None, CacheOutcome]:
        usable, expired = await self._run.store.find([key])
        cached = usable.get(key)
        if self._run.is_forced:
            # asked anew by this very run: a call with the same transcript need not ask once more
            is_new = cached is not None and cached.created_at >= self._run.started_at
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
        part = Subject(
            call_id=subject.call_id,
            rep_id=subject.rep_id,
            week_start=subject.week_start,
            dimension=subject.dimension,
            rubric_version=subject.rubric_version,
            transcript_hash=subject.transcript_hash,
            result_key=result_key(
                self._run.question,
                dimension=subject.dimension,
                transcript_hash=subject.transcript_hash,
                n_chunks=len(self._chunks),
                chunk_index=index,
            ),
        )
        cached, outcome = await self._look_up(part.result_key)
        if cached is not None:
            await self._run.store.serve(part, cached, is_standing=False)
            return from_stored(subject.dimension, cached.answer, cached.counts), cached.model
        part_costs: list[Decimal] = []
        try:
            checked, model = await self._ask_or_halve(
                part, self._prefixes[index], chunk, outcome=outcome, costs=part_costs
            )
        finally:
            costs.extend(part_costs)
        await self._run.store.save(
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
        prompt = self._run.prompt(chunk, subject.dimension, is_shared=is_shared)
        answer, model = await self._request(prompt, subject, prefix, kind="live", outcome=outcome, costs=costs)
        checked = check(answer, dimension=subject.dimension, evidence=chunk.evidence)
        if needs_repair(checked):
            repair = self._run.prompt(chunk, subject.dimension, is_shared=is_shared, repair=repair_note(checked))
            try:
                again, _ = await self._request(repair, subject, prefix, kind="repair", outcome=outcome, costs=costs)
            except RequestError as failure:
                # the first answer is paid for: what held of it counts, unless it was not complete
                logger.info("%s %s: no repair: %s", subject.call_id, subject.dimension, failure)
            else:
                checked = apply_repair(checked, check(again, dimension=subject.dimension, evidence=chunk.evidence))
            require_complete(checked)
        return checked, model

    async def _request(
        self,
        prompt: Prompt,
        subject: Subject,
        prefix: Prefix,
        *,
        kind: Literal["live", "repair"],
        outcome: CacheOutcome,
        costs: list[Decimal],
    ) -> tuple[Answer, str]:
        """(answer, answering model) after as many attempts as the kinds of failure allow."""
        failures: dict[ErrorKind, int] = {}
        max_tokens = self._run.settings.max_output_tokens
        n_attempts = 0
        while True:
            n_attempts += 1
            try:
                answered = await self._attempt(
                    prompt, subject, prefix, kind=kind, outcome=outcome, max_tokens=max_tokens, number=n_attempts
                )
                costs.append(answered.cost)
                return answered.answer, answered.model
            except BilledError as billed:
                costs.append(billed.cost)
                failure = billed.failure
            if prompt.is_operator_channel and is_refused_role(failure):
                logger.warning("the server takes no system turn, the questions move to the user's: %s", failure)
                self._run.is_operator_channel = False
                prompt = replace(prompt, is_operator_channel=False)
                continue
            failures[failure.kind] = failures.get(failure.kind, 0) + 1
            if failure.kind is ErrorKind.TRUNCATED:
                max_tokens *= 2
            await self._wait_or_give_up(failure, n_failures=failures[failure.kind], n_attempts=n_attempts)

    async def _wait_or_give_up(self, failure: RequestError, *, n_failures: int, n_attempts: int) -> None:
        rule = RETRY_RULES.get(failure.kind)
        if rule is None or n_failures >= rule.attempts or n_attempts >= self._run.settings.max_attempts:
            raise failure
        wait_s = wait_before_retry(failure, n_failures=n_failures)
        if wait_s > self._run.settings.max_retry_after_s or wait_s > self._remaining_s():
            raise failure
        await self._run.pause(wait_s)

    def _remaining_s(self) -> float:
        if self._first_sent is None:
            return self._run.settings.call_deadline_s
        return self._run.settings.call_deadline_s - (monotonic() - self._first_sent)

    async def _attempt(
        self,
        prompt: Prompt,
        subject: Subject,
        prefix: Prefix,
        *,
        kind: Literal["live", "repair"],
        outcome: CacheOutcome,
        max_tokens: int,
        number: int,
    ) -> Answered:
        is_alone = not prompt.is_transcript_shared
        is_leader = not is_alone and await prefix.enter()
        has_written = False

        def on_first_event() -> None:
            nonlocal has_written
            has_written = True
            prefix.warm()

        try:
            remaining_s = self._remaining_s()
            if remaining_s <= 0:
                raise RequestError(
                    ErrorKind.DEADLINE, f"the call's deadline of {self._run.settings.call_deadline_s:.0f} s has passed"
                )
            if self._first_sent is None:
                self._first_sent = monotonic()
            return await self._run.send(
                prompt,
                subject,
                kind=kind,
                position="single" if is_alone else "leader" if is_leader else "follower",
                attempt_number=number,
                max_tokens=max_tokens,
                # an answer that may be twice as long may take twice as long
                timeout_s=min(
                    self._run.settings.request_timeout_s * max_tokens / self._run.settings.max_output_tokens,
                    remaining_s,
                ),
                cache_outcome=outcome,
                budget=self._budget,
                on_first_event=on_first_event if is_leader else None,
            )
        finally:
            if is_leader and not has_written:
                prefix.leave()


def is_refused_role(failure: RequestError) -> bool:
    return failure.kind is ErrorKind.INVALID_REQUEST and "role" in str(failure)


def halves_of(chunk: ChunkText) -> list[ChunkText]:
    """The chunk in parts of about half its size that overlap as chunks do; none if it is too short to be cut."""
    turns = tuple(chunk.evidence.turns.values())
    if len(turns) < SHORTEST_CUT_TURNS:
        return []
    lines = [Line(turn.turn_id, row, len(row)) for turn in turns for row in [line(turn)]]
    size = sum(row.n_tokens for row in lines)
    windows = list(windows_of(lines, max_tokens=int(size * HALF_WITH_OVERLAP)))
    if len(windows) < 2:
        return []
    return [
        ChunkText(
            text="\n".join(row.text for row in window),
            evidence=replace(
                chunk.evidence,
                turns={row.turn_id: chunk.evidence.turns[row.turn_id] for row in window},
                chunk_index=index,
                n_chunks=len(windows),
            ),
        )
        for index, window in enumerate(windows)
    ]
