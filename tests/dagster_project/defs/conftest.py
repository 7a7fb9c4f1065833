from collections.abc import Iterator

import dagster as dg
import pytest

from dagster_project.definitions import defs


@pytest.fixture(scope="session")
def repository() -> dg.RepositoryDefinition:
    """The whole code location, loaded once."""
    return defs().get_repository_def()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run config is checked with the location's resources, which read this."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")


@pytest.fixture(scope="session")
def _instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def instance(_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """A Dagster instance without runs; making one takes seconds, so its files are shared."""
    for run in _instance.get_runs():
        _instance.delete_run(run.run_id)
    return _instance
