"""Rules of the house, read from dbt's manifest: layers, names, keys, words, contracts, access."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from streamlit_app.queries.metrics import MIN_N_RANK, MIN_N_SHOW, MIN_N_TREND
from tests.dbt.conftest import PROJECT, connection_in_environment, failures

LAYERS = ("staging", "intermediate", "marts")
PREFIXES = {"staging": ("stg_",), "intermediate": ("int_",), "marts": ("dim_", "fct_", "mart_")}
MAY_READ = {
    "staging": {"source"},
    "intermediate": {"staging", "intermediate", "marts"},
    "marts": {"staging", "intermediate", "marts", "snapshot"},
}
# their tables are made by migrations, with primary keys: a test would prove it again on every run
MIGRATED = {"analysis", "knowledge", "ops"}


@pytest.fixture(scope="session")
def manifest(dbt_target: Path) -> Any:
    from dbt.cli.main import dbtRunner

    options = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(dbt_target)]
    with connection_in_environment("postgresql://nobody:none@127.0.0.1:1/nowhere"):
        parsed = dbtRunner().invoke(
            ["--quiet", "--warn-error", "parse", "--no-partial-parse", *options, "--log-path", str(dbt_target)]
        )
    assert parsed.success, failures(parsed)
    return parsed.result


@pytest.fixture(scope="session")
def models(manifest: Any) -> dict[str, Any]:
    return {
        node.name: node
        for node in manifest.nodes.values()
        if node.resource_type == "model" and node.package_name == "call_coach"
    }


def layer_of(node: Any) -> str:
    if node.resource_type in ("source", "snapshot"):
        return str(node.resource_type)
    return str(node.fqn[1])


def generic_name(node: Any) -> str | None:
    """The generic test behind a test, None for a singular one."""
    metadata = getattr(node, "test_metadata", None)
    return metadata.name if metadata else None


def test_the_project_parses_without_a_warning(models: dict[str, Any]) -> None:
    assert len(models) > 60


def test_the_folder_is_no_python_package() -> None:
    assert list(PROJECT.rglob("*.py")) == []


def test_every_model_stands_in_a_layer_and_is_named_for_it(models: dict[str, Any]) -> None:
    for name, node in models.items():
        assert layer_of(node) in LAYERS, name
        assert name.startswith(PREFIXES[layer_of(node)]), name
        assert node.schema == layer_of(node), name


def test_intermediate_models_are_named_for_what_they_do(models: dict[str, Any]) -> None:
    for name in models:
        if name.startswith("int_"):
            assert re.search(r"_\w+(ed|en|set)$", name), name


def test_layers_read_only_from_the_layers_below(manifest: Any, models: dict[str, Any]) -> None:
    for name, node in models.items():
        for parent_id in node.depends_on.nodes:
            parent = manifest.nodes.get(parent_id) or manifest.sources[parent_id]
            assert layer_of(parent) in MAY_READ[layer_of(node)], f"{name} reads {parent.name}"


def test_a_staging_model_reads_one_source_and_each_source_is_staged_once(manifest: Any, models: dict[str, Any]) -> None:
    staged: dict[str, str] = {}
    for name, node in models.items():
        if layer_of(node) != "staging":
            continue
        [source_id] = node.depends_on.nodes
        source = manifest.sources[source_id]
        assert name == f"stg_{source.source_name}__{source.name}"
        assert source_id not in staged
        staged[source_id] = name
    assert set(staged) == set(manifest.sources)


def test_every_relation_and_column_says_what_it_is(manifest: Any, models: dict[str, Any]) -> None:
    for name, node in models.items():
        assert node.description.startswith("One row per "), name
        assert node.columns, name
        for column in node.columns.values():
            assert column.description.strip(), f"{name}.{column.name}"
            assert column.description.strip().endswith("."), f"{name}.{column.name}: {column.description}"
    for source in manifest.sources.values():
        assert source.description, source.name
        assert source.config.meta["dagster"]["asset_key"], source.name


def test_every_model_has_a_key_that_is_enforced_or_tested(manifest: Any, models: dict[str, Any]) -> None:
    tested = {
        node.attached_node
        for node in manifest.nodes.values()
        if node.resource_type == "test" and generic_name(node) in ("unique", "unique_combination")
    }
    for name, node in models.items():
        if layer_of(node) == "marts":
            assert any(constraint.type == "primary_key" for constraint in node.constraints), name
        elif layer_of(node) == "intermediate":
            assert any(index.get("unique") for index in node.config.get("indexes", [])), name
        elif not any(manifest.sources[parent].schema in MIGRATED for parent in node.depends_on.nodes):
            assert node.unique_id in tested, name


def test_every_source_that_migrations_make_has_a_primary_key(manifest: Any, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        keyed = {
            row[0]
            for row in connection.execute(
                "select indrelid::regclass::text from pg_index where indisprimary or (indisunique and indpred is null)"
            )
        }
    for source in manifest.sources.values():
        if source.schema in MIGRATED:
            assert f"{source.schema}.{source.identifier}" in keyed


def test_what_people_read_is_a_table_under_contract_in_a_group_that_owns_it(models: dict[str, Any]) -> None:
    for name, node in models.items():
        if layer_of(node) != "marts":
            assert node.config.access != "public", name
            continue
        assert node.config.materialized in ("table", "incremental"), name
        assert node.contract.enforced, name
        assert node.config.access == "public", name
        assert node.config.group, name
        assert all(column.data_type for column in node.columns.values()), name
        assert any("protect_mart" in hook.sql for hook in node.config.post_hook), name


def test_every_public_mart_is_under_an_exposure_and_no_exposure_stands_on_anything_else(
    manifest: Any, models: dict[str, Any]
) -> None:
    exposed: set[str] = set()
    for exposure in manifest.exposures.values():
        assert exposure.description, exposure.name
        assert exposure.owner.email, exposure.name
        exposed |= set(exposure.depends_on.nodes)
    for unique_id in exposed:
        node = manifest.nodes[unique_id]
        assert layer_of(node) == "marts"
        assert node.config.materialized in ("table", "incremental")
    assert exposed == {node.unique_id for node in models.values() if layer_of(node) == "marts"}


def test_a_model_with_logic_has_a_unit_test(manifest: Any, models: dict[str, Any]) -> None:
    covered = {test.model for test in manifest.unit_tests.values()}
    for name, node in models.items():
        if layer_of(node) != "staging":
            assert name in covered, name


def test_singular_tests_are_named_as_sentences(manifest: Any) -> None:
    singular = [
        node.name for node in manifest.nodes.values() if node.resource_type == "test" and generic_name(node) is None
    ]
    assert len(singular) >= 8
    for name in singular:
        assert re.match(r"^[a-z0-9]+(_[a-z0-9]+){3,}$", name), name


def test_pages_withhold_numbers_where_the_marts_do() -> None:
    limits = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]
    assert limits["show_from_calls"] == MIN_N_SHOW
    assert limits["rank_from_calls"] == MIN_N_RANK
    assert limits["trend_from_calls"] == MIN_N_TREND


def test_no_model_is_longer_than_a_reader_can_hold(models: dict[str, Any]) -> None:
    for name, node in models.items():
        assert len(node.raw_code.splitlines()) <= 240, name


def test_what_grows_with_calls_is_incremental(models: dict[str, Any]) -> None:
    growing = (
        *("int_sentences_ordered", "int_participants_measured", "int_answers_counted", "fct_turns", "fct_scores"),
        *("fct_criterion_scores", "fct_marker_findings", "fct_evidence", "fct_call_briefs", "fct_objections"),
        *("fct_next_steps", "fct_call_flags", "fct_llm_requests", "fct_statements", "fct_call_participants"),
        *("fct_calls", "int_scores_rolled", "mart_llm_costs", "mart_cache_savings"),
        *("int_call_parties_unpacked", "int_call_crm_objects_unpacked", "int_gong_interaction_unpacked"),
    )
    for name in growing:
        assert models[name].config.materialized == "incremental", name
