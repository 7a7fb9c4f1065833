import dagster as dg

from dagster_project.defs.marts.project import dbt_resource


class Warehouse(dg.ConfigurableResource):
    """The Postgres database that everything is read from and written to."""

    database_url: str


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(
        resources={"warehouse": Warehouse(database_url=dg.EnvVar("DATABASE_URL")), "dbt": dbt_resource()}
    )
