"""What a run did, per dimension: shown by the command line and by Dagster."""

from dataclasses import dataclass, field
from decimal import Decimal

from dagster_project.analysis.claude import Usage
from dagster_project.analysis.scoring import Counts


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
    # declined by the model and asked of the one that stands in for it
    fallbacks: int = 0
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
