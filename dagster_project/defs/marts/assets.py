from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

from dagster_project.database.building import exclusive_build
from dagster_project.defs.analysis.specs import analysis_keys
from dagster_project.defs.marts.project import dbt_project, prepared_manifest
from dagster_project.defs.ownership import DATA_TEAM, HOURLY
from dagster_project.settings import Settings, apply, dbt_environment

# every dimension's asset writes its rows into these shared tables
SHARED_TABLES = {dg.AssetKey(["analysis", table]) for table in ("results", "call_results", "requests")}
REVIEW_TABLE = dg.AssetKey(["ops", "reviews"])
KNOWLEDGE_TABLES = {dg.AssetKey(["knowledge", table]) for table in ("rubrics", "documents", "model_prices", "metrics")}


class MartTranslator(DagsterDbtTranslator):
    """Join dbt's sources to the assets that write them, where one table has several writers or the reverse."""

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        deps = {dep.asset_key for dep in spec.deps}
        if deps & SHARED_TABLES:
            deps = (deps - SHARED_TABLES) | set(analysis_keys())
        if deps & KNOWLEDGE_TABLES:
            deps = (deps - KNOWLEDGE_TABLES) | {dg.AssetKey(["knowledge", "rubrics"])}
        if REVIEW_TABLE in deps:
            deps = (deps - {REVIEW_TABLE}) | {dg.AssetKey(["reviews", "weekly_reviews"])}
        policy = (
            HOURLY if spec.key.path[0] == "marts" and REVIEW_TABLE not in {d.asset_key for d in spec.deps} else None
        )
        layer = spec.key.path[0]
        return spec.replace_attributes(
            deps=sorted(deps),
            kinds={"dbt", "postgres"},
            owners=DATA_TEAM,
            freshness_policy=policy,
            # marts have the group that dbt gives them
            group_name=spec.group_name if layer == "marts" else layer,
        )


@dbt_assets(
    manifest=prepared_manifest(),
    project=dbt_project(),
    dagster_dbt_translator=MartTranslator(),
    pool="dbt",
)
def marts(context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: dg.ResourceParam[Any]) -> Iterator[Any]:
    """Staging, intermediate and mart models, each followed by its tests."""
    apply(dbt_environment(warehouse.database_url))
    # one folder for all runs: dbt parses anew, 4 s of CPU, where it finds no parse of its own database
    folder = Settings().home_folder / "dbt"
    with exclusive_build(warehouse.database_url):
        # unit tests judge the code, once, in CI; a run is about its data
        build = ["build", "--exclude-resource-type", "unit_test"]
        yield from dbt.cli(build, context=context, target_path=folder).stream()
