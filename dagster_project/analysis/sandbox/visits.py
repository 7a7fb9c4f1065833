"""When each request came and went and what it was billed: what a caller's clock and ledger can be held against."""

import time
from collections import deque
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from knowledge.models import Price

# of a server that runs for weeks only the newest are kept
KEPT = 50_000


@dataclass
class Visit:
    """Times are seconds since 1970; `usd` stays None until something was billed."""

    request_id: str
    arrived_at: float
    answered_at: float | None = None
    status: int | None = None
    fault: str | None = None
    model: str | None = None
    usd: Decimal | None = None

    def bill(self, usage: dict[str, Any], price: Price, *, is_batch: bool = False) -> None:
        written = usage["cache_creation"]
        micro_dollars = (
            price.input * usage["input_tokens"]
            + price.cache_read * usage["cache_read_input_tokens"]
            + price.cache_write_5m * written["ephemeral_5m_input_tokens"]
            + price.cache_write_1h * written["ephemeral_1h_input_tokens"]
            + price.output * usage["output_tokens"]
        )
        self.usd = micro_dollars / 1_000_000 * (price.batch_multiplier if is_batch else 1)


class Visits:
    def __init__(self) -> None:
        self._visits: deque[Visit] = deque(maxlen=KEPT)

    def open(self, request_id: str) -> Visit:
        visit = Visit(request_id=request_id, arrived_at=time.time())
        self._visits.append(visit)
        return visit

    def clear(self) -> None:
        self._visits.clear()

    def as_json(self) -> list[dict[str, Any]]:
        return [{**asdict(visit), "usd": None if visit.usd is None else str(visit.usd)} for visit in self._visits]
