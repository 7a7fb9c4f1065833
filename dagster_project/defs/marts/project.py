"""The dbt project as Dagster sees it. Its manifest is made anew whenever a file of `dbt/` is newer."""

import fcntl
import functools
import os
import subprocess
import sys
from pathlib import Path

from dagster_dbt import DbtCliResource, DbtProject

from dagster_project.settings import QUIET, ROOT

DBT_FOLDER = ROOT / "dbt"
# dbt is on PATH only in an activated environment
DBT_EXECUTABLE = str(Path(sys.executable).with_name("dbt"))
SOURCES = ("*.sql", "*.yml", "*.yaml", "*.md", "*.csv")


class DbtParseError(RuntimeError):
    """The dbt project does not parse; the text is dbt's own."""


@functools.cache
def dbt_project() -> DbtProject:
    return DbtProject(project_dir=DBT_FOLDER, profiles_dir=DBT_FOLDER)


def dbt_resource() -> DbtCliResource:
    return DbtCliResource(project_dir=dbt_project(), dbt_executable=DBT_EXECUTABLE)


def prepared_manifest() -> Path:
    """The path of an up-to-date manifest; parses the project when needed, one process at a time."""
    manifest = dbt_project().manifest_path
    manifest.parent.mkdir(parents=True, exist_ok=True)
    with (manifest.parent / ".parse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not manifest.exists() or manifest.stat().st_mtime < _newest_source():
            _parse()
            # a parse that changed nothing may leave the file's time behind
            os.utime(manifest)
    return manifest


def _newest_source() -> float:
    folders = [DBT_FOLDER / name for name in ("models", "macros", "snapshots", "tests")]
    files = [path for folder in folders for pattern in SOURCES for path in folder.rglob(pattern)]
    return max(path.stat().st_mtime for path in [*files, *DBT_FOLDER.glob("*.yml")])


def _parse() -> None:
    parsed = subprocess.run(
        [DBT_EXECUTABLE, "--quiet", "parse", "--project-dir", DBT_FOLDER, "--profiles-dir", DBT_FOLDER],
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        check=False,
    )
    if parsed.returncode != 0:
        raise DbtParseError(f"The dbt project in {DBT_FOLDER} does not parse:\n{parsed.stdout}{parsed.stderr}")
