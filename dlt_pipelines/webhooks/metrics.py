"""Counters and one histogram, in Prometheus' text format."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """What the receiver has seen since it started. Labels come from fixed sets, so their number is bounded."""

    def __init__(self) -> None:
        self._outcomes: Counter[tuple[str, str, str]] = Counter()
        self._buckets = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    def observe(self, *, outcome: str, scheme: str = "", reason: str = "", seconds: float) -> None:
        """Count one answered delivery."""
        self._outcomes[(outcome, scheme, reason)] += 1
        self._buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self._sum_s += seconds

    def render(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """The page. `gauges` maps a name to its help text and its value now."""
        return "\n".join([*self._lines(gauges), ""])

    def _lines(self, gauges: Mapping[str, tuple[str, float]]) -> Iterator[str]:
        name = "call_coach_webhook_deliveries_total"
        yield f"# HELP {name} Deliveries by what became of them."
        yield f"# TYPE {name} counter"
        for (outcome, scheme, reason), count in sorted(self._outcomes.items()):
            yield f'{name}{{outcome="{outcome}",scheme="{scheme}",reason="{reason}"}} {count}'
        name = "call_coach_webhook_seconds"
        yield f"# HELP {name} Time from the head of a delivery to its answer."
        yield f"# TYPE {name} histogram"
        total = 0
        for bound, count in zip((*BUCKETS_S, float("inf")), self._buckets, strict=True):
            total += count
            label = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield f'{name}_bucket{{le="{label}"}} {total}'
        yield f"{name}_sum {self._sum_s:.6f}"
        yield f"{name}_count {total}"
        for gauge, (text, value) in gauges.items():
            yield f"# HELP {gauge} {text}"
            yield f"# TYPE {gauge} gauge"
            yield f"{gauge} {value:g}"
