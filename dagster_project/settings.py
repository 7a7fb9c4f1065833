"""Where the project lives, what database it uses, and the environment its child processes get."""

import os
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from dotenv import dotenv_values
from pydantic import ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from dagster_project.database.building import BUILDER
from dlt_pipelines.logs import LogSettings

ROOT = Path(__file__).resolve().parents[1]

QUIET = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "FASTMCP_CHECK_FOR_UPDATES": "off",
}


LIBPQ_VARIABLES = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    # managed servers choose the database by it
    "options": "PGOPTIONS",
}


class Settings(LogSettings):
    """The settings shared by all parts; each part's own stand in its folder. Read from the environment and `.env`."""

    model_config = SettingsConfigDict(env_file=ROOT / ".env", extra="ignore", env_ignore_empty=True)

    database_url: str | None = None
    # named as its variable: fields are also read by their own names, and HOME is the user's
    call_coach_home: Path = ROOT / ".call_coach"

    @field_validator("database_url")
    @classmethod
    def _names_a_database(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("it must look like postgresql://user:password@host:5432/database")
        return value

    @property
    def home_folder(self) -> Path:
        return self.call_coach_home.expanduser().resolve()


def with_search_path(database_url: str, schema: str) -> str:
    """The same database, with `schema` first on the search path, so that a tool's own tables stay out of `public`."""
    parts = urlsplit(database_url)
    query = dict(parse_qsl(parts.query))
    query["options"] = f"{query.get('options', '')} -csearch_path={schema}".strip()
    return urlunsplit(parts._replace(query=urlencode(query, safe="/", quote_via=quote)))


def libpq_environment(database_url: str) -> dict[str, str]:
    """How to trust and to be trusted, for tools that are given the parts of a URL: libpq reads these by itself."""
    query = dict(parse_qsl(urlsplit(database_url).query))
    return {variable: query[name] for name, variable in LIBPQ_VARIABLES.items() if name in query}


def dbt_environment(database_url: str) -> dict[str, str]:
    """The variables that `dbt/profiles.yml` reads, taken apart from the one URL."""
    parts = urlsplit(database_url)
    query = dict(parse_qsl(parts.query))
    return {
        "CALL_COACH_DB_HOST": parts.hostname or "127.0.0.1",
        "CALL_COACH_DB_PORT": str(parts.port or 5432),
        "CALL_COACH_DB_NAME": parts.path.lstrip("/") or "postgres",
        "CALL_COACH_DB_USER": unquote(parts.username or "postgres"),
        "CALL_COACH_DB_PASSWORD": unquote(parts.password or ""),
        "CALL_COACH_DB_SSLMODE": query.get("sslmode", "prefer"),
        "CALL_COACH_DB_APPLICATION": BUILDER,
        **libpq_environment(database_url),
    }


def process_environment(*, database_url: str, home: Path) -> dict[str, str]:
    """Everything a child process (Dagster, dbt, dashboard, MCP server) needs to find the warehouse."""
    return {
        **QUIET,
        "DATABASE_URL": database_url,
        "CALL_COACH_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "DAGSTER_PG_URL": with_search_path(database_url, "dagster"),
        "DLT_DATA_DIR": str(home / "dlt"),
        **dbt_environment(database_url),
    }


def read_dot_env() -> None:
    """Put the filled-in variables of `.env` into the environment, unless they are set there."""
    for name, value in dotenv_values(ROOT / ".env").items():
        if value:
            os.environ.setdefault(name, value)


def wrong_values(error: ValidationError) -> str:
    """Which settings do not fit and why; never their values, which may be secrets."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        field = str(problem["loc"][0]) if problem["loc"] else error.title
        lines.append(f"{_variable(error.title, field)}: {problem['msg']}")
    return "A setting does not fit. Correct it in the environment or in .env:\n" + "\n".join(lines)


def _variable(settings_class: str, field: str) -> str:
    if field.isupper():
        return field
    prefixes = {"GongSettings": "GONG_", "HubSpotSettings": "HUBSPOT_", "AnalysisSettings": "CALL_COACH_"}
    return f"{prefixes.get(settings_class, '')}{field}".upper()


def apply(environment: dict[str, str]) -> None:
    """Make `environment` this process's own: the tools that run inside it read it there."""
    os.environ.update(environment)
