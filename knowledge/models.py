"""Claude models: limits, retirement and prices by date, from models.yaml."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MODELS_FILE = Path(__file__).parent / "models.yaml"


class ModelError(ValueError):
    """A model or a price is missing, or models.yaml is wrong."""


class Price(BaseModel):
    """USD per million tokens from a date on, for prompts above a size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    valid_from: date
    prompt_tokens_above: int = Field(default=0, ge=0)
    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cache_write_5m: Decimal = Field(ge=0)
    cache_write_1h: Decimal = Field(ge=0)
    cache_read: Decimal = Field(ge=0)
    # the Message Batches API halves every kind of token, cached ones included
    batch_multiplier: Decimal = Field(default=Decimal("0.5"), ge=0)
    source: str = Field(min_length=1)


class Model(BaseModel):
    """What a model accepts and costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    context_window: int = Field(gt=0)
    max_output: int = Field(gt=0)
    min_cacheable_prefix: int = Field(ge=0)
    thinking_modes: tuple[str, ...]
    efforts: tuple[str, ...]
    default_effort: str | None
    allows_forced_tool_choice: bool
    allows_prefill: bool
    released_on: date | None = None
    retires_on: date | None = None
    # asked once where this model declines to answer; None: a refusal stays one
    refusal_fallback: str | None = None
    is_sandbox: bool = False
    prices: tuple[Price, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_price_per_date_and_band(self) -> Model:
        keys = [(price.valid_from, price.prompt_tokens_above) for price in self.prices]
        if len(set(keys)) != len(keys):
            raise ValueError("two prices share a valid_from and a prompt_tokens_above; remove one")
        return self


class ModelCatalogue:
    """Every known model; unknown ids and dates without a price are errors, never a guess."""

    def __init__(self, models: tuple[Model, ...]) -> None:
        self.models = models
        self._by_id = {model.id: model for model in models}
        for model in models:
            if model.refusal_fallback is not None and model.refusal_fallback not in self._by_id:
                raise ModelError(
                    f"models.yaml: {model.id}: refusal_fallback names '{model.refusal_fallback}', which is no model "
                    "there; correct it or leave it out"
                )

    def model(self, model_id: str) -> Model:
        try:
            return self._by_id[model_id]
        except KeyError:
            known = ", ".join(sorted(self._by_id))
            raise ModelError(
                f"the model '{model_id}' is not in knowledge/models.yaml, so its limits and its price are unknown; "
                f"add it there or use one of: {known}"
            ) from None

    def price(self, model_id: str, on: date, prompt_tokens: int = 0) -> Price:
        """The price in force on a day for a prompt of this many tokens, cached ones counted."""
        model = self.model(model_id)
        in_force = [price for price in model.prices if price.valid_from <= on]
        if not in_force:
            first = min(price.valid_from for price in model.prices)
            raise ModelError(
                f"no price of '{model_id}' is known for {on}: the first one in knowledge/models.yaml starts {first}; "
                "add the earlier price there"
            )
        latest = max(price.valid_from for price in in_force)
        bands = [
            price
            for price in in_force
            if price.valid_from == latest
            and (price.prompt_tokens_above == 0 or prompt_tokens > price.prompt_tokens_above)
        ]
        return max(bands, key=lambda price: price.prompt_tokens_above)


def load_models(path: Path | None = None) -> ModelCatalogue:
    """Read the catalogue; an entry with `same_as` takes everything it does not say itself from that model."""
    path = path or MODELS_FILE
    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
        entries: dict[str, dict[str, Any]] = body["models"]
        return ModelCatalogue(tuple(_read_model(model_id, entries) for model_id in entries))
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ModelError(f"{path.name} cannot be read ({error}); it needs a mapping `models:` of model ids") from error


def _read_model(model_id: str, entries: dict[str, dict[str, Any]]) -> Model:
    entry = dict(entries[model_id])
    other = entry.pop("same_as", None)
    if other is not None:
        if other not in entries or "same_as" in entries[other]:
            raise ModelError(f"models.yaml: {model_id}: same_as names '{other}', which is no model with own values")
        entry = {**entries[other], **entry}
    try:
        return Model.model_validate({**entry, "id": model_id})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"models.yaml: {model_id}: {place or 'prices'}: {first['msg']}; correct this entry") from error
    except AttributeError as error:
        raise ModelError(f"models.yaml: {model_id}: holds no mapping; correct this entry") from error
