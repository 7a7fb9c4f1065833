from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from knowledge.models import ModelError, load_models

MODEL = """
models:
  one:
    title: One
    context_window: 1000
    max_output: 100
    min_cacheable_prefix: 10
    thinking_modes: [adaptive]
    efforts: []
    default_effort: null
    allows_forced_tool_choice: false
    allows_prefill: false
    prices:
      - {valid_from: 2026-01-01, input: 1, output: 2, cache_write_5m: 3, cache_write_1h: 4, cache_read: 5, source: page}
"""


def test_the_price_in_force_on_the_day_is_used() -> None:
    models = load_models()
    assert models.price("claude-sonnet-5-5", date(2026, 10, 6)).cache_read == Decimal("0.2")
    assert models.price("claude-sonnet-5-5", date(2026, 10, 7)).cache_read == Decimal("0.1")
    assert models.price("claude-sonnet-5-5", date(2027, 10, 7)).cache_read == Decimal("0.1")


def test_a_prompt_above_the_band_pays_the_band_price_for_everything() -> None:
    models = load_models()
    day = date(2026, 11, 20)
    assert models.price("claude-haiku-5-5", day, 100_000).input == Decimal("0.1")
    above = models.price("claude-haiku-5-5", day, 100_001)
    assert (above.input, above.cache_read) == (Decimal("0.5"), Decimal("0.05"))


def test_the_sandbox_costs_what_the_model_it_stands_for_costs() -> None:
    models = load_models()
    day = date(2026, 11, 20)
    assert models.model("sandbox").is_sandbox
    assert not models.model("claude-sonnet-5-5").is_sandbox
    assert models.price("sandbox", day) == models.price("claude-sonnet-5-5", day)
    assert models.model("sandbox").context_window == models.model("claude-sonnet-5-5").context_window


def test_prices_are_ordered_as_prices_are() -> None:
    for model in load_models().models:
        for price in model.prices:
            assert price.cache_read < price.input < price.cache_write_5m < price.cache_write_1h
            assert price.input < price.output
            assert price.batch_multiplier == Decimal("0.5")


def test_an_unknown_model_names_the_file_and_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"knowledge/models\.yaml.*claude-sonnet-5-5"):
        load_models().model("gpt")


def test_a_day_before_the_first_price_is_an_error_not_a_guess() -> None:
    with pytest.raises(ModelError, match="no price of 'claude-haiku-5-5' is known for 2026-01-01"):
        load_models().price("claude-haiku-5-5", date(2026, 1, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("input: 1,", "", "one: prices.0.input: Field required"),
        ("input: 1,", "input: -1,", "one: prices.0.input"),
        ("context_window: 1000", "context_window: many", "one: context_window"),
        ("title: One", "name: One", "one: "),
        ("models:", "modelle:", "cannot be read"),
    ],
)
def test_a_bad_entry_names_model_and_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(MODEL.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        load_models(path)


def test_a_stand_in_for_an_unknown_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(MODEL + "  two:\n    title: Two\n    same_as: three\n", encoding="utf-8")
    with pytest.raises(ModelError, match="two: same_as names 'three'"):
        load_models(path)


def test_a_fallback_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(
        MODEL.replace("    title: One", "    title: One\n    refusal_fallback: none-such"), encoding="utf-8"
    )
    with pytest.raises(ModelError, match="one: refusal_fallback names 'none-such'"):
        load_models(path)
