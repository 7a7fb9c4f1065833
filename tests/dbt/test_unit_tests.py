"""dbt's own unit tests: every model with logic against rows worked out by hand."""

from tests.dbt.conftest import Warehouse


def test_every_unit_test_of_the_models_passes_on_an_empty_warehouse(warehouse: Warehouse) -> None:
    warehouse.build("--exclude-resource-type", "test")
    result = warehouse.dbt("test", "--select", "test_type:unit")
    assert len(result.result.results) >= 55
