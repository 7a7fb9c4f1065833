"""What the stand-in would charge: written apart from the ledger, so that each can be held against the other."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from knowledge.models import ModelCatalogue


def list_price_usd(models: ModelCatalogue, model: str, usage: dict[str, Any]) -> Decimal:
    """Dollars for one `usage` block of an answer, at today's list price of the requested model."""
    prompt = usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]
    price = models.price(model, datetime.now(UTC).date(), prompt)
    written = usage["cache_creation"]
    return (
        usage["input_tokens"] * price.input
        + usage["cache_read_input_tokens"] * price.cache_read
        + written["ephemeral_5m_input_tokens"] * price.cache_write_5m
        + written["ephemeral_1h_input_tokens"] * price.cache_write_1h
        + usage["output_tokens"] * price.output
    ) / 1_000_000
