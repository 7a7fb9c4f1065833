import dagster as dg
from structlog.contextvars import bind_contextvars

from dagster_project.defs.marts.project import dbt_resource


class Warehouse(dg.ConfigurableResource):
    """The Postgres database that everything is read from and written to."""

    database_url: str

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Every step needs the warehouse, so this is where a run's log lines get its id."""
        if context.run is not None:
            bind_contextvars(run_id=context.run.run_id)


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(
        resources={"warehouse": Warehouse(database_url=dg.EnvVar("DATABASE_URL")), "dbt": dbt_resource()}
    )
