"""Build the marts outside a run: after an erasure, nobody should wait for the next one."""

import os
import subprocess
from collections.abc import Sequence

from dagster_project.database.building import exclusive_build
from dagster_project.defs.marts.project import DBT_EXECUTABLE, DBT_FOLDER
from dagster_project.settings import QUIET, dbt_environment


class BuildError(RuntimeError):
    """dbt did not build; the text is the end of what it said."""


def build_marts(database_url: str, models: Sequence[str] = ()) -> None:
    """Run dbt's models or the named ones, without their tests, in a process of its own. Raises BuildError."""
    with exclusive_build(database_url):
        done = subprocess.run(
            [
                *(DBT_EXECUTABLE, "--quiet", "build", "--resource-type", "model"),
                *("--project-dir", DBT_FOLDER, "--profiles-dir", DBT_FOLDER),
                *(("--select", *models) if models else ()),
            ],
            env={**os.environ, **QUIET, **dbt_environment(database_url)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise BuildError(f"The marts could not be built:\n{(done.stdout + done.stderr).strip()[-2000:]}")
