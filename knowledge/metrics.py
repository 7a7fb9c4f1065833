"""What every number means, from metrics.yaml: one text for pages, tools and people with SQL."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

METRICS_FILE = Path(__file__).parent / "metrics.yaml"


class MetricError(ValueError):
    """metrics.yaml is wrong; the text names the entry."""


class Metric(BaseModel):
    """A metric's meaning as a person and a model are told it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str = Field(min_length=1)
    definition: str = Field(min_length=1)
    unit: str = Field(min_length=1)
    grain: str = Field(min_length=1)
    when_empty: str = Field(min_length=1)
    caution: str = Field(min_length=1)
    source: str = Field(min_length=1)


def load_metrics(path: Path | None = None) -> tuple[Metric, ...]:
    """Every metric, in the order of the file. Raises MetricError."""
    path = path or METRICS_FILE
    try:
        entries = dict(yaml.safe_load(path.read_text(encoding="utf-8"))["metrics"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise MetricError(f"{path.name} cannot be read ({error}); it needs a mapping `metrics:` of names") from error
    return tuple(_read_metric(name, entry) for name, entry in entries.items())


def _read_metric(name: str, entry: object) -> Metric:
    if not isinstance(entry, dict):
        raise MetricError(f"metrics.yaml: {name}: holds no mapping; correct this entry")
    try:
        return Metric.model_validate({**entry, "metric": name})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise MetricError(f"metrics.yaml: {name}: {place}: {first['msg']}; correct this entry") from error
