"""The result cache and the ledger: what was answered already, what it cost, who may ask now.

A key names everything that changes an answer. One process at a time may ask under a key: the lock lives in Postgres, so
a second run waits and then finds the answer, and a killed run's locks end with its connection.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, Self

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from dagster_project.analysis.claude import Attempt, ErrorKind
from dagster_project.analysis.costs import Position
from dagster_project.analysis.limits import Question
from dagster_project.analysis.schema import clean
from dagster_project.analysis.scoring import Counts

logger = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[dict[str, Any]]
CacheOutcome = Literal["hit", "miss", "forced", "expired"]
LOCK_POLL_S = 0.5
LOCK_NAMESPACE = "call_coach.result."
# an attempt that is open while nobody holds its key belongs to a process that died
MARK_INTERRUPTED = """
    with open_attempts as materialized (
        select request_id, started_at, result_key
        from analysis.requests
        where status = 'sent'
    ),

    abandoned as materialized (
        select request_id, started_at
        from open_attempts
        where pg_try_advisory_xact_lock(hashtextextended(%(namespace)s || result_key, 0))
    )

    update analysis.requests as requests set
        status = 'interrupted',
        error_kind = 'interrupted',
        error = 'the process ended while this request was in flight; it may have been billed'
    from abandoned
    where requests.request_id = abandoned.request_id and requests.started_at = abandoned.started_at
"""


def result_key(
    question: Question,
    *,
    dimension: str,
    transcript_hash: str,
    n_chunks: int = 1,
    chunk_index: int | None = None,
) -> str:
    material = [
        dimension,
        transcript_hash,
        question.rubric_versions[dimension],
        question.knowledge_version,
        question.prompt_version,
        question.model,
        question.effort,
        question.thinking,
        question.redactor_version,
        n_chunks,
        chunk_index,
    ]
    return hashlib.sha256(json.dumps(material).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class CachedResult:
    result_key: str
    created_at: datetime
    answer: Mapping[str, Any]
    counts: Counts
    cost_usd: Decimal
    model: str
    is_sandbox: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """Which question about which call: the columns that results, standings and ledger rows share."""

    call_id: str
    rep_id: str
    week_start: date
    dimension: str
    rubric_version: str
    transcript_hash: str
    # the model that is asked, and the key its answer is stored under
    model: str
    result_key: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A question that has no answer, and why."""

    subject: Subject
    status: Literal["refused", "failed", "over_budget"]
    reason: str
    # the first model's refusal stands, whatever became of the second's answer: only that is asked for again
    is_declined: bool = False


@dataclass(slots=True)
class LocalLock:
    """Postgres lets one session take a lock twice: calls of one run that share a key need a lock of their own."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    n_users: int = 0


class ResultStore:
    """All of the engine's reading and writing while a run is on."""

    def __init__(
        self, database_url: str, *, question: Question, origin: str, run_id: str | None, ttl_days: int
    ) -> None:
        self._database_url = database_url
        self._question = question
        self._origin = origin
        self._run_id = run_id
        self._ttl = timedelta(days=ttl_days)
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            database_url,
            min_size=1,
            max_size=4,
            open=False,
            kwargs={"autocommit": True, "row_factory": dict_row},
        )
        self._locks: psycopg.AsyncConnection[Any] | None = None
        self._lock_turn = asyncio.Lock()
        self._local: dict[str, LocalLock] = {}

    async def __aenter__(self) -> Self:
        await self._pool.open()
        self._locks = await psycopg.AsyncConnection.connect(self._database_url, autocommit=True)
        async with self._pool.connection() as connection:
            await connection.execute("select analysis.ensure_partitions()")
            await connection.execute(MARK_INTERRUPTED, {"namespace": LOCK_NAMESPACE})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._locks is not None:
            await self._locks.close()
        await self._pool.close()

    @asynccontextmanager
    async def _using(self, given: Connection | None) -> AsyncIterator[Connection]:
        if given is not None:
            yield given
            return
        async with self._pool.connection() as connection:
            yield connection

    @property
    def pool(self) -> AsyncConnectionPool[Connection]:
        return self._pool

    # Keys

    async def acquire(self, key: str) -> bool:
        """Hold the key; True when another run held it first, so that its answer may be there now."""
        local = self._local.setdefault(key, LocalLock())
        had_to_wait = local.n_users > 0
        local.n_users += 1
        try:
            await local.lock.acquire()
        except BaseException:
            self._leave(key, local)
            raise
        try:
            while not await self._ask_locks("select pg_try_advisory_lock(hashtextextended(%s, 0))", key):
                had_to_wait = True
                await asyncio.sleep(LOCK_POLL_S)
        except BaseException:
            local.lock.release()
            self._leave(key, local)
            raise
        return had_to_wait

    async def release(self, key: str) -> None:
        await self._ask_locks("select pg_advisory_unlock(hashtextextended(%s, 0))", key)
        local = self._local[key]
        local.lock.release()
        self._leave(key, local)

    def _leave(self, key: str, local: "LocalLock") -> None:
        local.n_users -= 1
        if local.n_users == 0:
            del self._local[key]

    async def _ask_locks(self, statement: str, key: str) -> bool:
        if self._locks is None:
            raise RuntimeError("the result store is not open; use it as `async with`")
        async with self._lock_turn:
            cursor = await self._locks.execute(statement, (LOCK_NAMESPACE + key,))
            row = await cursor.fetchone()
        return bool(row and row[0])

    # Cache

    async def find(self, keys: Sequence[str]) -> tuple[dict[str, CachedResult], set[str]]:
        """(usable answers by key, keys whose answers are all too old)."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                """
                select distinct on (result_key)
                    result_key,
                    created_at,
                    answer,
                    n_quotes,
                    n_quotes_verified,
                    n_quotes_repaired,
                    n_quotes_dropped,
                    cost_usd,
                    model,
                    is_sandbox,
                    expires_at <= now() as is_expired
                from analysis.results
                where
                    result_key = any(%s)
                    and (not is_sandbox or %s or stand_in_origin = %s)
                order by result_key, created_at desc
                """,
                (list(keys), self._question.is_sandbox, self._origin),
            )
            rows = await cursor.fetchall()
        usable = {row["result_key"]: cached_result(row) for row in rows if not row["is_expired"]}
        return usable, {row["result_key"] for row in rows if row["is_expired"]}

    async def save(
        self,
        subject: Subject,
        *,
        answer: Mapping[str, Any],
        counts: Counts,
        cost: Decimal,
        model: str,
        is_standing: bool = True,
    ) -> None:
        """Store an answer and let it stand for its call, in one transaction. Parts of a chunked call do not stand."""
        is_sandbox = model == "sandbox"
        now = datetime.now(UTC)
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(
                """
                insert into analysis.results (
                    result_key, dimension, rubric_version, knowledge_version, prompt_version, transcript_hash, model,
                    is_sandbox, answer, n_quotes, n_quotes_verified, n_quotes_repaired, n_quotes_dropped, cost_usd,
                    created_at, expires_at, stand_in_origin
                ) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                """,
                (
                    subject.result_key,
                    subject.dimension,
                    subject.rubric_version,
                    self._question.knowledge_version,
                    self._question.prompt_version,
                    subject.transcript_hash,
                    storable(model),
                    is_sandbox,
                    Jsonb(answer),
                    counts.checked,
                    counts.verified,
                    counts.repaired,
                    counts.dropped,
                    cost,
                    now,
                    now + self._ttl,
                    self._origin if is_sandbox else None,
                ),
            )
            if is_standing:
                await self._stand(connection, subject, created_at=now, is_cache_hit=False)

    async def serve(self, subject: Subject, cached: CachedResult, *, is_standing: bool = True) -> None:
        """Let an earlier answer stand for this call and note that nothing was sent."""
        async with self._pool.connection() as connection, connection.transaction():
            if is_standing:
                await self._stand(connection, subject, created_at=cached.created_at, is_cache_hit=True)
            await connection.execute(
                """
                insert into analysis.requests (
                    call_id, rep_id, dimension, result_key, requested_model, model, is_sandbox, kind, status,
                    cache_outcome, saved_usd, latency_ms, run_id
                ) values (%s, %s, %s, %s, %s, %s, %s, 'cache', 'ok', 'hit', %s, 0, %s)
                """,
                (
                    subject.call_id,
                    subject.rep_id,
                    subject.dimension,
                    subject.result_key,
                    subject.model,
                    cached.model,
                    cached.is_sandbox,
                    cached.cost_usd,
                    self._run_id,
                ),
            )

    async def _stand(
        self, connection: psycopg.AsyncConnection[Any], subject: Subject, *, created_at: datetime, is_cache_hit: bool
    ) -> None:
        await connection.execute(
            """
            insert into analysis.call_results (
                call_id, rep_id, dimension, week_start, result_key, result_created_at, rubric_version, status,
                is_cache_hit, run_id, attempted_key, attempted_status, transcript_hash
            ) values (%s, %s, %s, %s, %s, %s, %s, 'scored', %s, %s, %s, 'scored', %s)
            on conflict (call_id, rep_id, dimension, rubric_version) do update set
                week_start = excluded.week_start,
                result_key = excluded.result_key,
                result_created_at = excluded.result_created_at,
                status = 'scored',
                reason = null,
                is_cache_hit = excluded.is_cache_hit,
                run_id = excluded.run_id,
                attempted_key = excluded.attempted_key,
                attempted_status = excluded.attempted_status,
                transcript_hash = excluded.transcript_hash,
                updated_at = now()
            """,
            (
                subject.call_id,
                subject.rep_id,
                subject.dimension,
                subject.week_start,
                subject.result_key,
                created_at,
                subject.rubric_version,
                is_cache_hit,
                self._run_id,
                subject.result_key,
                subject.transcript_hash,
            ),
        )

    async def fail(self, failures: Sequence[Failure]) -> None:
        """Record why there are no answers. A score of the same transcript that stands already keeps standing."""
        async with (
            self._pool.connection() as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            await cursor.executemany(
                """
                insert into analysis.call_results (
                    call_id, rep_id, dimension, week_start, rubric_version, status, reason, run_id, attempted_key,
                    attempted_status, transcript_hash
                ) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                on conflict (call_id, rep_id, dimension, rubric_version) do update set
                    week_start = excluded.week_start,
                    status = case
                        when call_results.status = 'scored' then call_results.status
                        else excluded.status
                    end,
                    reason = excluded.reason,
                    run_id = excluded.run_id,
                    attempted_key = excluded.attempted_key,
                    attempted_status = excluded.attempted_status,
                    transcript_hash = excluded.transcript_hash,
                    updated_at = now()
                """,
                [
                    (
                        failure.subject.call_id,
                        failure.subject.rep_id,
                        failure.subject.dimension,
                        failure.subject.week_start,
                        failure.subject.rubric_version,
                        failure.status,
                        storable(failure.reason),
                        self._run_id,
                        failure.subject.result_key,
                        "refused" if failure.is_declined else failure.status,
                        failure.subject.transcript_hash,
                    )
                    for failure in failures
                ],
            )

    # Ledger

    async def open_attempt(
        self,
        subject: Subject,
        *,
        kind: Literal["live", "batch", "repair"],
        position: Position,
        attempt_number: int,
        cache_outcome: CacheOutcome,
    ) -> tuple[str, datetime]:
        """A row before anything is sent: what a killed process had in flight stays visible."""
        async with self._pool.connection() as connection:
            raise_if_cancelled()
            cursor = await connection.execute(
                """
                insert into analysis.requests (
                    call_id, rep_id, dimension, result_key, requested_model, model, is_sandbox, kind, position, attempt,
                    status, cache_outcome, run_id
                ) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'sent', %s, %s)
                returning request_id, started_at
                """,
                (
                    subject.call_id,
                    subject.rep_id,
                    subject.dimension,
                    subject.result_key,
                    subject.model,
                    subject.model,
                    self._question.is_sandbox,
                    kind,
                    position,
                    attempt_number,
                    cache_outcome,
                    self._run_id,
                ),
            )
            row = await cursor.fetchone()
        if row is None:
            raise RuntimeError("the ledger did not take a row")
        return row["request_id"], row["started_at"]

    async def withdraw_attempt(self, opened: tuple[str, datetime]) -> None:
        """Nothing was sent after all."""
        async with self._pool.connection() as connection:
            await connection.execute(
                "delete from analysis.requests where request_id = %s and started_at = %s and status = 'sent'", opened
            )

    async def close_attempt(
        self,
        opened: tuple[str, datetime],
        attempt: Attempt,
        *,
        cost: Decimal,
        error_kind: ErrorKind | None = None,
        error: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        """Write down what came of it; within the caller's transaction where a connection is given."""
        request_id, started_at = opened
        status = "ok" if error_kind is None else "refused" if error_kind is ErrorKind.REFUSAL else "failed"
        usage = attempt.usage
        async with self._using(connection) as used:
            await used.execute(
                """
                update analysis.requests set
                    api_request_id = %s,
                    model = %s,
                    is_sandbox = %s,
                    status = %s,
                    stop_reason = %s,
                    error_kind = %s,
                    error = %s,
                    input_tokens = %s,
                    cache_read_tokens = %s,
                    cache_write_5m_tokens = %s,
                    cache_write_1h_tokens = %s,
                    output_tokens = %s,
                    thinking_tokens = %s,
                    cost_usd = %s,
                    latency_ms = %s,
                    first_event_ms = %s
                where request_id = %s and started_at = %s
                """,
                (
                    storable(attempt.api_request_id),
                    storable(attempt.model),
                    attempt.model == "sandbox",
                    status,
                    storable(attempt.stop_reason),
                    error_kind,
                    storable(error),
                    usage.input,
                    usage.cache_read,
                    usage.cache_write_5m,
                    usage.cache_write_1h,
                    usage.output,
                    usage.thinking,
                    cost,
                    attempt.latency_ms,
                    attempt.first_event_ms,
                    request_id,
                    started_at,
                ),
            )

    async def spent_today(self) -> Decimal:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                """
                select coalesce(sum(cost_usd), 0) as spent
                from analysis.requests
                where started_at >= date_trunc('day', now() at time zone 'utc') at time zone 'utc'
                """
            )
            row = await cursor.fetchone()
        return Decimal(row["spent"]) if row else Decimal(0)


def raise_if_cancelled() -> None:
    """The pool forgets a cancellation that arrives together with the connection: nothing may be sent after one."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def storable(text: object) -> str | None:
    """What a server said, as Postgres takes it."""
    return None if text is None else clean(str(text))[:2000]


def cached_result(row: Mapping[str, Any]) -> CachedResult:
    return CachedResult(
        result_key=row["result_key"],
        created_at=row["created_at"],
        answer=row["answer"],
        counts=Counts(
            checked=row["n_quotes"],
            verified=row["n_quotes_verified"],
            repaired=row["n_quotes_repaired"],
            dropped=row["n_quotes_dropped"],
        ),
        cost_usd=row["cost_usd"],
        model=row["model"],
        is_sandbox=row["is_sandbox"],
    )
