import psycopg
import pytest

from dagster_project.settings import dbt_environment, with_search_path


def test_a_managed_databases_url_is_taken_apart_for_dbt_with_its_tls_mode() -> None:
    url = "postgresql://owner:p%40ss@db.example.com:6543/warehouse?sslmode=require&application_name=x"
    assert dbt_environment(url) == {
        "CALL_COACH_DB_HOST": "db.example.com",
        "CALL_COACH_DB_PORT": "6543",
        "CALL_COACH_DB_NAME": "warehouse",
        "CALL_COACH_DB_USER": "owner",
        "CALL_COACH_DB_PASSWORD": "p@ss",
        "CALL_COACH_DB_SSLMODE": "require",
    }


def test_dagsters_tables_go_to_a_schema_of_their_own(database_url: str) -> None:
    with psycopg.connect(with_search_path(database_url, "dagster")) as connection:
        assert connection.execute("show search_path").fetchone() == ("dagster",)


@pytest.mark.parametrize("query", ["", "?sslmode=require", "?options=-cstatement_timeout%3D5s"])
def test_other_parameters_of_the_url_survive(query: str) -> None:
    changed = with_search_path(f"postgresql://u:p@h/d{query}", "dagster")
    assert "csearch_path%3Ddagster" in changed or "csearch_path=dagster" in changed
    for kept in ("sslmode=require", "statement_timeout"):
        assert (kept in query) == (kept in changed)
