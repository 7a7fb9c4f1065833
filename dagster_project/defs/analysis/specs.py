"""One asset per rubric file, and one for the brief of a call, which has no rubric."""

import functools

import dagster as dg

from dagster_project.defs.ownership import COACHING_TEAM, HOURLY
from knowledge.rubrics import Rubric, load_rubrics

CALL_BRIEF = "call_brief"
TRANSCRIPT_CHUNKS = dg.AssetKey(["analysis", "transcript_chunks"])


def _dimension_spec(rubric: Rubric) -> dg.AssetSpec:
    return dg.AssetSpec(
        ["analysis", rubric.dimension],
        deps=[TRANSCRIPT_CHUNKS, dg.AssetKey(["knowledge", "rubrics"])],
        description=f"One row per call and scored rep: {rubric.question}",
        code_version=rubric.rubric_version,
        group_name="analysis",
        kinds={"anthropic", "postgres"},
        owners=COACHING_TEAM,
        freshness_policy=HOURLY,
    )


@functools.cache
def dimension_specs() -> tuple[dg.AssetSpec, ...]:
    """A function, because specs that stand in a module would be loaded as assets of their own.

    Read once: every mart asks for the keys, and the rubrics take 0.1 s to read.
    """
    brief = dg.AssetSpec(
        ["analysis", CALL_BRIEF],
        deps=[TRANSCRIPT_CHUNKS, dg.AssetKey(["knowledge", "rubrics"])],
        description="One row per call: summary, sentiment, objections, next steps, risks and how urgent it is.",
        group_name="analysis",
        kinds={"anthropic", "postgres"},
        owners=COACHING_TEAM,
        freshness_policy=HOURLY,
    )
    return (*(_dimension_spec(rubric) for rubric in load_rubrics()), brief)


def analysis_keys() -> list[dg.AssetKey]:
    return [spec.key for spec in dimension_specs()]
