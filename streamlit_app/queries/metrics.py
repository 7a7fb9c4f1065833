"""What every number means: help texts, the `describe_metric` tool and the metric resource.

The words are those of `knowledge/metrics.yaml`, which analysts read as `marts.dim_metrics`.
"""

from knowledge.metrics import Metric, load_metrics

# Below these a number says more about luck than about a person.
MIN_N_SHOW = 5
MIN_N_RANK = 8
MIN_N_TREND = 8

DIMENSIONS = ("product_knowledge", "discovery", "objections", "engagement")
DIMENSION_TITLES = {
    "product_knowledge": "Product knowledge",
    "discovery": "Discovery",
    "objections": "Objection handling",
    "engagement": "Engagement",
}


METRICS: tuple[Metric, ...] = load_metrics()
METRICS_BY_NAME = {definition.metric: definition for definition in METRICS}


def help_for(metric: str) -> str:
    """Markdown for a tooltip: what the number is, when it is empty, what to beware of."""
    found = METRICS_BY_NAME[metric]
    return f"{found.definition}\n\n*When empty:* {found.when_empty}\n\n*Beware:* {found.caution}"
