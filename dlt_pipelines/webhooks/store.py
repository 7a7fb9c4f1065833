"""The receiver's one statement, and a connection pool that comes back by itself after Postgres did."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout

logger = logging.getLogger(__name__)

ROLE = "call_coach_receiver"
PROBE_EVERY_S = 0.5
CONNECT_TIMEOUT_S = 2
CONNECTION_OPTIONS: dict[str, str | int] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    # a server that vanished without a word is noticed in seconds instead of minutes
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "application_name": "call_coach_webhooks",
}

# no conflict target and no `returning`: both would need the right to read the table
INSERT = """
insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256, headers)
values (%s, %s, %s, %b, %s, %s)
on conflict do nothing
"""


@dataclass(frozen=True)
class Event:
    """A verified delivery as it goes into the inbox."""

    endpoint: str
    event_key: str
    scheme: str
    body: bytes
    body_sha256: str
    headers: Mapping[str, str]


class StoreUnavailableError(Exception):
    """The event is not known to be stored: the sender has to come again. `reason` is a word for counting."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InboxStore:
    """Writes events, as a role that may do nothing else. Without Postgres it fails at once and keeps trying."""

    def __init__(self, database_url: str, *, pool_size: int, timeout_s: float) -> None:
        self._conninfo = make_conninfo(database_url, **CONNECTION_OPTIONS)
        self._pool_size = pool_size
        self._timeout_s = timeout_s
        self._pool: AsyncConnectionPool | None = None
        self._doubt = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._writes: set[asyncio.Task[bool]] = set()

    async def start(self) -> None:
        """Connect if Postgres is there; keep trying in the background if it is not."""
        with contextlib.suppress(psycopg.Error, OSError):
            await self._connect()
        self._keeper = asyncio.create_task(self._keep_connected())

    async def stop(self) -> None:
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await asyncio.gather(*self._writes, return_exceptions=True)
        if self._pool:
            await self._pool.close()

    @property
    def is_available(self) -> bool:
        return self._pool is not None

    @property
    def n_writing(self) -> int:
        return len(self._writes)

    async def add(self, event: Event) -> bool:
        """Store `event` durably; False when it was there already. Raises StoreUnavailableError.

        On a timeout the write goes on: whether it ended in a row does not matter, since a repetition is the same row.
        """
        if self._pool is None:
            raise StoreUnavailableError("database_away")
        write = asyncio.create_task(self._insert(self._pool, event))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        done, _ = await asyncio.wait({write}, timeout=self._timeout_s)
        if not done:
            write.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._doubt.set()
            raise StoreUnavailableError("database_slow")
        try:
            return write.result()
        except PoolTimeout as error:
            self._doubt.set()
            raise StoreUnavailableError("busy") from error
        except (psycopg.Error, OSError) as error:
            logger.warning("the inbox refused an event: %s", error)
            self._doubt.set()
            raise StoreUnavailableError("database_error") from error

    async def _insert(self, pool: AsyncConnectionPool, event: Event) -> bool:
        async with pool.connection(timeout=self._timeout_s) as connection:
            cursor = await connection.execute(
                INSERT,
                (
                    event.endpoint,
                    event.event_key,
                    event.scheme,
                    event.body,
                    event.body_sha256,
                    Jsonb(dict(event.headers)),
                ),
            )
            return cursor.rowcount == 1

    async def _keep_connected(self) -> None:
        """Whenever a write gives cause for doubt, find out whether Postgres is there, and reconnect until it is."""
        while True:
            if self._pool is not None:
                await self._doubt.wait()
            self._doubt.clear()
            try:
                await self._probe()
            # whatever goes wrong, this task has to live: nothing else ever reconnects
            except Exception as error:
                await self._disconnect(error)
            await asyncio.sleep(PROBE_EVERY_S)

    async def _probe(self) -> None:
        if self._pool is None:
            await self._connect()
            logger.info("Postgres is there: the receiver takes events")
            return
        async with asyncio.timeout(2 * CONNECT_TIMEOUT_S):
            connection = await psycopg.AsyncConnection.connect(self._conninfo)
            async with connection:
                await connection.execute("select 1")
            # connections that died with the old server are replaced before a sender meets them
            await self._pool.check()

    async def _connect(self) -> None:
        pool = AsyncConnectionPool(
            self._conninfo,
            kwargs={"autocommit": True},
            min_size=min(2, self._pool_size),
            max_size=self._pool_size,
            configure=_configure,
            open=False,
            name="webhooks",
        )
        try:
            await pool.open(wait=True, timeout=CONNECT_TIMEOUT_S)
        except BaseException:
            await pool.close()
            raise
        self._pool = pool

    async def _disconnect(self, error: Exception) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            logger.warning("Postgres is away, senders are asked to come again: %s", error)
            with contextlib.suppress(Exception):
                await pool.close(timeout=0)


async def _configure(connection: psycopg.AsyncConnection) -> None:
    """Give up every right but one, and never answer for a commit that may still be lost."""
    await connection.execute(f"set role {ROLE}")
    await connection.execute(
        "select set_config('synchronous_commit', 'on', false) "
        "where current_setting('synchronous_commit') in ('off', 'local')"
    )
    await connection.execute("set statement_timeout = '10s'")
