"""Who may send now: request slots, shared prompt prefixes, and the brakes."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

# a follower's prefix is in the cache for five minutes only: it goes before any new call
FOLLOWER, LEADER = 0, 1


class Slots:
    """A bound on requests in flight that lets followers pass."""

    def __init__(self, n_slots: int) -> None:
        self._free = n_slots
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @asynccontextmanager
    async def hold(self, priority: int) -> AsyncIterator[None]:
        await self._take(priority)
        try:
            yield
        finally:
            self._give()

    async def _take(self, priority: int) -> None:
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), ready))
        try:
            await ready
        except asyncio.CancelledError:
            if ready.done() and not ready.cancelled():
                self._give()
            raise

    def _give(self) -> None:
        while self._waiting:
            ready = heapq.heappop(self._waiting)[2]
            if not ready.done():
                ready.set_result(None)
                return
        self._free += 1


class Prefix:
    """A prompt prefix that several requests share: one writes it to the cache, the others wait for its first event."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._is_warm = False

    @property
    def is_warm(self) -> bool:
        return self._is_warm

    async def enter(self) -> bool:
        """True for the one that has to write; it must end with `warm` or `leave`."""
        if self._is_warm:
            return False
        await self._lock.acquire()
        if self._is_warm:
            self._lock.release()
            return False
        return True

    def warm(self) -> None:
        self._is_warm = True
        self._lock.release()

    def leave(self) -> None:
        """The writer failed: the next in line writes."""
        self._lock.release()


@dataclass
class CallBudget:
    """What one call may cost, requests in flight included."""

    limit: Decimal | None
    spent: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)

    def has_room_for(self, estimate: Decimal) -> bool:
        return self.limit is None or self.spent + self.reserved + estimate <= self.limit


@dataclass
class Brakes:
    """What ends a run early: a stop that the API caused, or a budget."""

    budget_run: Decimal | None = None
    budget_day: Decimal | None = None
    spent_before_today: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    stop_kind: str | None = None
    stop_reason: str | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, kind: str, reason: str) -> None:
        if self.stop_reason is None:
            self.stop_kind, self.stop_reason = kind, reason
        self.stopped.set()

    def refusal(self, estimate: Decimal) -> str | None:
        """Why a request of this size may not be sent, if so."""
        committed = self.spent + self.reserved + estimate
        if self.budget_run is not None and committed > self.budget_run:
            return f"the run's budget of ${self.budget_run:.2f} (${self.spent:.2f} spent)"
        if self.budget_day is not None and committed + self.spent_before_today > self.budget_day:
            return f"the day's budget of ${self.budget_day:.2f} (${self.spent_before_today + self.spent:.2f} spent)"
        return None

    async def sleep(self, seconds: float) -> None:
        """Wait, but not past a stop."""
        try:
            await asyncio.wait_for(self.stopped.wait(), timeout=seconds)
        except TimeoutError:
            return
