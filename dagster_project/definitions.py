from pathlib import Path

import dagster as dg

from dagster_project.settings import Settings
from dlt_pipelines.logs import write_logs


@dg.definitions
def defs() -> dg.Definitions:
    """All of `defs/`, run in one process: a step costs 0.1 s this way and 3.1 s with a process each."""
    settings = Settings()
    if settings.log_format == "json":
        # workers that Dagster starts; as text, Dagster's own record of a run is enough
        write_logs(settings)
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        dg.Definitions(executor=dg.in_process_executor),
    )
