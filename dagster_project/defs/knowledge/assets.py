import dagster as dg
import psycopg

from dagster_project.defs.ownership import COACHING_TEAM
from dagster_project.defs.resources import Warehouse
from knowledge.publish import publish


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            ["knowledge", "rubrics"],
            description="One row per rubric and version, with the policy, product and competitor pages beside it.",
            group_name="knowledge",
            owners=COACHING_TEAM,
            kinds={"yaml", "postgres"},
        )
    ]
)
def knowledge_base(warehouse: Warehouse) -> dg.MaterializeResult:
    """Rubrics, documents and model prices as they stand in `knowledge/`, every version kept."""
    with psycopg.connect(warehouse.database_url) as connection:
        report = publish(connection)
    return dg.MaterializeResult(asset_key=["knowledge", "rubrics"], metadata={"published": str(report)})
