"""Ask until there is an answer or a reason to give up: attempts by kind of failure, one deadline and budget a call."""

import logging
from dataclasses import replace
from decimal import Decimal
from time import monotonic

from dagster_project.analysis.claude import RETRY_RULES, ErrorKind, RequestError, wait_before_retry
from dagster_project.analysis.prompts import Prompt
from dagster_project.analysis.results import CacheOutcome, Subject
from dagster_project.analysis.scheduling import CallBudget, Prefix
from dagster_project.analysis.schema import Answer
from dagster_project.analysis.sending import Answered, AttemptKind, BilledError, Sender
from dagster_project.analysis.settings import AnalysisSettings

logger = logging.getLogger(__name__)


class Asker:
    """The questions about one call: they share its deadline, which starts at the first request, and its budget."""

    def __init__(self, settings: AnalysisSettings) -> None:
        self._settings = settings
        limit = settings.budget_call_usd
        self._budget = CallBudget(limit=None if limit is None else Decimal(str(limit)))
        self._first_sent: float | None = None

    async def ask(
        self,
        prompt: Prompt,
        subject: Subject,
        prefix: Prefix,
        *,
        sender: Sender,
        kind: AttemptKind,
        outcome: CacheOutcome,
        costs: list[Decimal],
    ) -> tuple[Answer, str]:
        """(answer, answering model) after as many attempts as the kinds of failure allow; each adds to `costs`."""
        failures: dict[ErrorKind, int] = {}
        max_tokens = self._settings.max_output_tokens
        n_attempts = 0
        while True:
            n_attempts += 1
            try:
                answered = await self._attempt(
                    prompt,
                    subject,
                    prefix,
                    sender=sender,
                    kind=kind,
                    outcome=outcome,
                    max_tokens=max_tokens,
                    number=n_attempts,
                )
                costs.append(answered.cost)
                return answered.answer, answered.model
            except BilledError as billed:
                costs.append(billed.cost)
                failure = billed.failure
            if prompt.is_operator_channel and is_refused_role(failure):
                logger.warning("the server takes no system turn, the questions move to the user's: %s", failure)
                sender.is_operator_channel = False
                prompt = replace(prompt, is_operator_channel=False)
                continue
            failures[failure.kind] = failures.get(failure.kind, 0) + 1
            if failure.kind is ErrorKind.TRUNCATED:
                max_tokens *= 2
            await sender.pause(self._wait_s(failure, n_failures=failures[failure.kind], n_attempts=n_attempts))

    def _wait_s(self, failure: RequestError, *, n_failures: int, n_attempts: int) -> float:
        """Seconds before the next attempt; raises the failure when it was the last one."""
        rule = RETRY_RULES.get(failure.kind)
        if rule is None or n_failures >= rule.attempts or n_attempts >= self._settings.max_attempts:
            raise failure
        wait_s = wait_before_retry(failure, n_failures=n_failures)
        if wait_s > self._settings.max_retry_after_s or wait_s > self._remaining_s():
            raise failure
        return wait_s

    def _remaining_s(self) -> float:
        if self._first_sent is None:
            return self._settings.call_deadline_s
        return self._settings.call_deadline_s - (monotonic() - self._first_sent)

    async def _attempt(
        self,
        prompt: Prompt,
        subject: Subject,
        prefix: Prefix,
        *,
        sender: Sender,
        kind: AttemptKind,
        outcome: CacheOutcome,
        max_tokens: int,
        number: int,
    ) -> Answered:
        """The first attempt on a shared transcript leads: the others wait here for its first event."""
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
                    ErrorKind.DEADLINE, f"the call's deadline of {self._settings.call_deadline_s:.0f} s has passed"
                )
            if self._first_sent is None:
                self._first_sent = monotonic()
            return await sender.send(
                prompt,
                subject,
                kind=kind,
                position="single" if is_alone else "leader" if is_leader else "follower",
                attempt_number=number,
                max_tokens=max_tokens,
                # an answer that may be twice as long may take twice as long
                timeout_s=min(
                    self._settings.request_timeout_s * max_tokens / self._settings.max_output_tokens, remaining_s
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
