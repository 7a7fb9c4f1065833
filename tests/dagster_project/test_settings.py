import re
from collections.abc import Iterator

import psycopg
import pytest
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from dagster_project.analysis.settings import AnalysisSettings
from dagster_project.reviews.settings import ReviewSettings
from dagster_project.settings import ROOT, Settings, dbt_environment, libpq_environment, with_search_path
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.hubspot.settings import HubSpotSettings
from dlt_pipelines.webhooks.settings import WebhookSettings
from streamlit_app.settings import Settings as DeskSettings


def test_a_managed_databases_url_is_taken_apart_for_dbt_with_its_tls_mode() -> None:
    url = "postgresql://owner:p%40ss@db.example.com:6543/warehouse?sslmode=require&application_name=x"
    assert dbt_environment(url) == {
        "CALL_COACH_DB_HOST": "db.example.com",
        "CALL_COACH_DB_PORT": "6543",
        "CALL_COACH_DB_NAME": "warehouse",
        "CALL_COACH_DB_USER": "owner",
        "CALL_COACH_DB_PASSWORD": "p@ss",
        "CALL_COACH_DB_SSLMODE": "require",
        "CALL_COACH_DB_APPLICATION": "call-coach marts",
        "PGSSLMODE": "require",
    }


def test_certificates_in_the_url_reach_the_tools_that_get_its_parts() -> None:
    url = (
        "postgresql://owner@db.example.com/warehouse?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem"
        "&sslcert=/run/client.pem&sslkey=/run/client.key&channel_binding=require&options=endpoint%3Dab-1&connect_timeout=5"
    )
    assert libpq_environment(url) == {
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/etc/ssl/ca.pem",
        "PGSSLCERT": "/run/client.pem",
        "PGSSLKEY": "/run/client.key",
        "PGCHANNELBINDING": "require",
        "PGOPTIONS": "endpoint=ab-1",
    }
    assert libpq_environment(url).items() <= dbt_environment(url).items()


def test_dagsters_tables_go_to_a_schema_of_their_own(database_url: str) -> None:
    with psycopg.connect(with_search_path(database_url, "dagster")) as connection:
        assert connection.execute("show search_path").fetchone() == ("dagster",)


@pytest.mark.parametrize("query", ["", "?sslmode=require", "?options=-cstatement_timeout%3D5s"])
def test_other_parameters_of_the_url_survive(query: str) -> None:
    changed = with_search_path(f"postgresql://u:p@h/d{query}", "dagster")
    assert "csearch_path%3Ddagster" in changed or "csearch_path=dagster" in changed
    for kept in ("sslmode=require", "statement_timeout"):
        assert (kept in query) == (kept in changed)


def names_of(settings: type[BaseSettings]) -> Iterator[str]:
    """The environment variables that a settings class reads, the first of each field's aliases."""
    for field, info in settings.model_fields.items():
        alias = info.validation_alias or info.alias
        if isinstance(alias, AliasChoices):
            alias = alias.choices[0]
        yield alias if isinstance(alias, str) else f"{settings.model_config.get('env_prefix', '')}{field}".upper()


@pytest.mark.parametrize(
    "settings",
    [Settings, AnalysisSettings, ReviewSettings, GongSettings, HubSpotSettings, WebhookSettings, DeskSettings],
    ids=lambda settings: settings.__module__,
)
def test_every_variable_stands_in_the_example_file(settings: type[BaseSettings]) -> None:
    shown = set(re.findall(r"^#? ?([A-Z][A-Z_0-9]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    assert set(names_of(settings)) - shown == set()


def test_state_is_kept_in_the_project_and_never_in_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("CALL_COACH_HOME", raising=False)
    assert Settings(_env_file=None).home_folder == ROOT / ".call_coach"  # type: ignore[call-arg]
    monkeypatch.setenv("CALL_COACH_HOME", "/srv/coach")
    assert str(Settings(_env_file=None).home_folder) == "/srv/coach"  # type: ignore[call-arg]
