"""What a load did, in a form that a command, an asset and a test can all read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class Problem:
    """Something the load could not do, and what to do about it."""

    stream: str
    key: str
    what: str
    what_to_do: str

    def __str__(self) -> str:
        return f"{self.stream} {self.key}: {self.what}. {self.what_to_do}"


@dataclass(frozen=True)
class StreamReport:
    """Counts of one stream."""

    rows_read: int = 0
    rows_written: int = 0
    requests: int = 0


@dataclass(frozen=True)
class LoadReport:
    """Counts per stream, what went wrong, and whether a later run has to finish the work."""

    streams: Mapping[str, StreamReport]
    problems: tuple[Problem, ...] = ()
    is_partial: bool = False
    changed_weeks: tuple[date, ...] = field(default=())
    """Mondays of the calls whose rows were written."""

    @property
    def rows_written(self) -> int:
        return sum(stream.rows_written for stream in self.streams.values())

    @property
    def requests(self) -> int:
        return sum(stream.requests for stream in self.streams.values())

    def lines(self) -> list[str]:
        """The report as text, for a terminal."""
        counts = [
            f"{name:<20} {stream.rows_read:>9,} read {stream.rows_written:>9,} written {stream.requests:>6,} requests"
            for name, stream in self.streams.items()
        ]
        end = ["Partial: run again, and it resumes where this load stopped"] if self.is_partial else []
        return [*counts, *(f"! {problem}" for problem in self.problems), *end]
