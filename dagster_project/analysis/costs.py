"""Tokens and dollars of a request: as billed afterwards, and as expected beforehand."""

from decimal import Decimal
from typing import Literal

from dagster_project.analysis.claude import Usage
from knowledge.models import Price

# what an answer to one dimension's questions is expected to take before anything is known: the reference call's figure
EXPECTED_OUTPUT_TOKENS = 1_500

# leader: writes the transcript to the prompt cache; follower: reads it; single: nobody else asks about it
Position = Literal["leader", "follower", "single"]


def cost_usd(usage: Usage, price: Price, *, is_batch: bool = False) -> Decimal:
    dollars = (
        usage.input * price.input
        + usage.output * price.output
        + usage.cache_write_5m * price.cache_write_5m
        + usage.cache_write_1h * price.cache_write_1h
        + usage.cache_read * price.cache_read
    ) / 1_000_000
    return dollars * price.batch_multiplier if is_batch else dollars


def usage_of(
    *, system: int, transcript: int, questions: int, output: int, position: Position, is_system_warm: bool
) -> Usage:
    """The tokens of one live request, as the fixed layout and the prompt cache make them."""
    reads_system = is_system_warm or position == "follower"
    return Usage(
        input=questions + (transcript if position == "single" else 0),
        cache_read=(system if reads_system else 0) + (transcript if position == "follower" else 0),
        cache_write_1h=0 if reads_system else system,
        cache_write_5m=transcript if position == "leader" else 0,
        output=output,
    )


def joint_usage(*, system: int, transcript: int, questions: int, output: int, is_system_warm: bool) -> Usage:
    """The tokens of one batch request that asks for all dimensions of a call at once: its transcript is read once."""
    return Usage(
        input=questions + transcript,
        cache_read=system if is_system_warm else 0,
        cache_write_1h=0 if is_system_warm else system,
        output=output,
    )
