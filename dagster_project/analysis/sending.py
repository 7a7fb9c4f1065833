"""One attempt at one question: in a slot, within the budgets, with a ledger row opened before anything is sent."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from structlog.contextvars import bound_contextvars

from dagster_project.analysis.chunk_texts import ChunkText
from dagster_project.analysis.claude import Attempt, ClaudeClient, ErrorKind, RequestError, Usage
from dagster_project.analysis.costs import EXPECTED_OUTPUT_TOKENS, Position, cost_usd, usage_of
from dagster_project.analysis.knowledge_base import KnowledgeBase
from dagster_project.analysis.limits import Question
from dagster_project.analysis.prompts import Prompt, questions_text, system_text, transcript_text
from dagster_project.analysis.report import ScoreReport
from dagster_project.analysis.results import CacheOutcome, ResultStore, Subject
from dagster_project.analysis.scheduling import FOLLOWER, LEADER, Brakes, CallBudget, Prefix, Slots
from dagster_project.analysis.schema import Answer
from dagster_project.analysis.scoring import parse_answer
from dagster_project.analysis.tokens import claude_tokens

logger = logging.getLogger(__name__)

AttemptKind = Literal["live", "repair"]


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


class Sender:
    """All requests of a run to one model pass here: they share its slots, brakes, prices and the system prefix."""

    def __init__(
        self,
        *,
        client: ClaudeClient,
        store: ResultStore,
        slots: Slots,
        brakes: Brakes,
        report: ScoreReport,
        question: Question,
        knowledge: KnowledgeBase,
        stops_the_run: Collection[ErrorKind],
    ) -> None:
        self._client = client
        self._store = store
        self._slots = slots
        self._brakes = brakes
        self._report = report
        self.question = question
        self._knowledge = knowledge
        self._stops_the_run = stops_the_run
        self._system = system_text(knowledge)
        self._system_prefix = Prefix()
        self._questions = {name: questions_text([name], knowledge) for name in report.dimensions}
        # until the server says otherwise
        self.is_operator_channel = question.is_operator_channel

    def n_question_characters(self, dimension: str) -> int:
        return len(self._questions[dimension])

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
        kind: AttemptKind,
        position: Position,
        attempt_number: int,
        max_tokens: int,
        timeout_s: float,
        cache_outcome: CacheOutcome,
        budget: CallBudget,
        on_first_event: Callable[[], None] | None,
    ) -> Answered:
        """Raises BilledError for an attempt that failed, RequestError for one that was not made."""
        async with self._slots.hold(LEADER if position == "leader" else FOLLOWER):
            self.refuse_if_stopped()
            is_writer = not self._system_prefix.is_warm and await self._system_prefix.enter()
            try:
                self.refuse_if_stopped()
                estimate = self._estimate(prompt, position)
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

    def _price_of(self, usage: Usage) -> Decimal:
        today = datetime.now(UTC).date()
        return cost_usd(usage, self._knowledge.models.price(self.question.model, today, usage.prompt))

    def _estimate(self, prompt: Prompt, position: Position) -> Decimal:
        """What a request is expected to cost, before it is sent."""
        return self._price_of(
            usage_of(
                system=claude_tokens(len(prompt.system)),
                transcript=claude_tokens(len(prompt.transcript)),
                questions=claude_tokens(len(prompt.questions)),
                output=EXPECTED_OUTPUT_TOKENS,
                position=position,
                is_system_warm=self._system_prefix.is_warm,
            )
        )

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
        kind: AttemptKind,
        position: Position,
        attempt_number: int,
        max_tokens: int,
        timeout_s: float,
        cache_outcome: CacheOutcome,
        budget: CallBudget,
        on_first_event: Callable[[], None] | None,
    ) -> Answered:
        opened = await self._store.open_attempt(
            subject, kind=kind, position=position, attempt_number=attempt_number, cache_outcome=cache_outcome
        )
        if self._brakes.stop_reason is not None:
            # the run stopped while the ledger took its time
            await self._store.withdraw_attempt(opened)
            self.refuse_if_stopped()
        attempt = Attempt(model=self.question.model)
        answer: Answer | None = None
        failure: RequestError | None = None
        parameters = prompt.parameters(
            model=self.question.model,
            effort=self.question.effort,
            thinking=self.question.thinking,
            max_tokens=max_tokens,
        )
        try:
            await self._client.send(parameters, attempt=attempt, timeout_s=timeout_s, on_first_event=on_first_event)
            answer = parse_answer(attempt.text)
        except RequestError as error:
            failure = error
            if error.kind in self._stops_the_run:
                self._brakes.stop(error.kind, str(error))
        cost = self._price_of(attempt.usage)
        self._brakes.spent += cost
        budget.spent += cost
        report = self._report.dimensions[subject.dimension]
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
        with bound_contextvars(request_id=opened[0], api_request_id=attempt.api_request_id):
            logger.debug("asked: %s, %s ms, $%s", failure.kind if failure else "answered", attempt.latency_ms, cost)
        if failure is not None or answer is None:
            raise BilledError(failure or RequestError(ErrorKind.MALFORMED, "no answer"), cost)
        return Answered(answer=answer, model=attempt.model, cost=cost)
