"""Look at everything call-coach leans on and say what to do about what is wrong. Changes nothing."""

import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

import httpx
import psycopg
from pydantic import ValidationError

from dagster_project.analysis.settings import AnalysisSettings
from dagster_project.database.migrate import MIGRATIONS, OLDEST_SUPPORTED_VERSION
from dagster_project.local import postgres
from dagster_project.settings import Settings, wrong_values
from dlt_pipelines.gong.settings import GongSettings
from knowledge.models import ModelError, load_models

SUPPORTED_PYTHON = ((3, 11), (3, 13))
PORTS = {8501: "the dashboard", 3000: "the Dagster UI", 8765: "the MCP server"}
# a fresh embedded cluster, the demo's calls and dbt's artefacts take 0.4 GB
LEAST_FREE_GB, COMFORTABLE_FREE_GB = 1.0, 5.0
# webhook tokens expire within minutes, and weeks are cut by the clock
CLOCK_SKEW_S = 60
REQUEST_TIMEOUT_S = 10.0
# the first version whose Models API tells limits and retirement
MODELS_API_VERSION = "2026-10-21"


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: how it is, and what to do when that is not well."""

    topic: str
    state: State
    what: str
    what_to_do: str = ""


@dataclass(frozen=True)
class Patient:
    """What is examined: the settings, and the database to look at if one was found."""

    settings: Settings
    database_url: str | None
    is_offline: bool


def examine(*, settings: Settings, database_url: str | None, is_offline: bool = False) -> tuple[Finding, ...]:
    """Every finding, in the order a person would go through them. Nothing here raises."""
    patient = Patient(settings=settings, database_url=database_url, is_offline=is_offline)
    return tuple(finding for check in CHECKS for finding in _findings_of(check, patient))


def _findings_of(check: Callable[[Patient], Iterator[Finding]], patient: Patient) -> Iterator[Finding]:
    try:
        yield from check(patient)
    except ValidationError as error:
        yield Finding(
            _topic(check), State.PROBLEM, wrong_values(error).partition("\n")[2], "Correct it in the environment."
        )
    except Exception as error:  # a doctor that falls ill helps nobody
        yield Finding(
            _topic(check), State.PROBLEM, f"the check itself failed: {type(error).__name__}: {error}", "Report this."
        )


def _topic(check: Callable[[Patient], Iterator[Finding]]) -> str:
    return check.__name__.strip("_").replace("_", " ").capitalize()


def _python(patient: Patient) -> Iterator[Finding]:
    version = sys.version_info[:2]
    text = ".".join(map(str, sys.version_info[:3]))
    lowest, highest = SUPPORTED_PYTHON
    if lowest <= version <= highest:
        yield Finding("Python", State.OK, text)
    else:
        yield Finding(
            "Python", State.PROBLEM, f"{text} is not supported", "Use 3.11 to 3.13: `uv python pin 3.12 && uv sync`."
        )
    missing = [name for name in ("dagster", "dbt", "dlt", "streamlit", "fastmcp") if not importlib.util.find_spec(name)]
    if missing:
        yield Finding("Packages", State.PROBLEM, f"not installed: {', '.join(missing)}", "Run `uv sync`.")


def _disk(patient: Patient) -> Iterator[Finding]:
    folder = patient.settings.home_folder
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    if not os.access(existing, os.W_OK):
        yield Finding(
            "Disk", State.PROBLEM, f"{existing} cannot be written", "Set CALL_COACH_HOME to a folder of yours."
        )
    elif free_gb < LEAST_FREE_GB:
        yield Finding(
            "Disk", State.PROBLEM, f"{free_gb:.1f} GB free at {existing}", "Free some space or set CALL_COACH_HOME."
        )
    else:
        state = State.OK if free_gb >= COMFORTABLE_FREE_GB else State.WARNING
        advice = "" if state is State.OK else "A year of 500 calls a week takes about 9 GB."
        yield Finding("Disk", state, f"{free_gb:.0f} GB free at {existing}", advice)


def _ports(patient: Patient) -> Iterator[Finding]:
    taken = [f"{port} ({what})" for port, what in PORTS.items() if not _is_free(port)]
    if taken:
        yield Finding(
            "Ports",
            State.WARNING,
            f"taken: {', '.join(taken)}",
            "Nothing to do: `call-coach up` takes other ports and prints them.",
        )
    else:
        yield Finding("Ports", State.OK, f"{', '.join(map(str, PORTS))} are free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _database(patient: Patient) -> Iterator[Finding]:
    if patient.database_url is None:
        try:
            postgres.binaries()
            yield Finding("Database", State.OK, "embedded; made when it is first needed")
        except postgres.PostgresUnavailableError as error:
            yield Finding("Database", State.PROBLEM, str(error), "Install the binaries or set DATABASE_URL.")
        return
    kind = "DATABASE_URL" if patient.settings.database_url else "embedded"
    try:
        with _connected(patient) as connection:
            yield from _server(connection, kind)
            yield from _schema(connection)
    except psycopg.Error as error:
        yield Finding(
            "Database",
            State.PROBLEM,
            f"{kind}: {str(error).strip()}",
            "Check that the server runs and that DATABASE_URL names its host, port, user and database.",
        )


@contextmanager
def _connected(patient: Patient) -> Iterator[psycopg.Connection]:
    with psycopg.connect(patient.database_url or "", connect_timeout=5, autocommit=True) as connection:
        yield connection


def _server(connection: psycopg.Connection, kind: str) -> Iterator[Finding]:
    version = connection.info.server_version
    size = connection.execute("select pg_size_pretty(pg_database_size(current_database()))").fetchone()
    if version < OLDEST_SUPPORTED_VERSION:
        yield Finding("Database", State.PROBLEM, f"{kind}: Postgres {version // 10_000}", "Use Postgres 15 or newer.")
    else:
        yield Finding("Database", State.OK, f"{kind}: Postgres {version // 10_000}, {size[0] if size else '?'}")
    row = connection.execute("select clock_timestamp()").fetchone()
    skew_s = abs((datetime.now(UTC) - row[0]).total_seconds()) if row else 0
    if skew_s > CLOCK_SKEW_S:
        yield _skewed("the database", skew_s)


def _schema(connection: psycopg.Connection) -> Iterator[Finding]:
    row = connection.execute("select to_regclass('ops.migrations')").fetchone()
    if not row or row[0] is None:
        yield Finding("Schema", State.WARNING, "the database is empty", "`call-coach run` fills it.")
        return
    done = {name for (name,) in connection.execute("select name from ops.migrations")}
    ours = {path.stem for path in MIGRATIONS.glob("*.sql")}
    if ours - done:
        yield Finding(
            "Schema", State.WARNING, f"not applied yet: {', '.join(sorted(ours - done))}", "Run `call-coach migrate`."
        )
    elif done - ours:
        yield Finding(
            "Schema",
            State.PROBLEM,
            f"the database is ahead of this version: {', '.join(sorted(done - ours))}",
            "Use the newer call-coach that applied these.",
        )
    else:
        yield Finding("Schema", State.OK, f"{len(done)} migrations applied")
        yield from _marts(connection)


def _marts(connection: psycopg.Connection) -> Iterator[Finding]:
    row = connection.execute(
        "select count(*) from pg_class where relnamespace = 'marts'::regnamespace and relkind in ('r', 'p')"
    ).fetchone()
    if not row or row[0] == 0:
        yield Finding("Marts", State.WARNING, "not built yet", "`call-coach run` builds them.")
        return
    unprotected = [name for (name,) in connection.execute("select relation from ops.unprotected_marts()")]
    if unprotected:
        yield Finding(
            "Marts",
            State.PROBLEM,
            f"without row-level security or grants: {', '.join(unprotected)}",
            "Build them with the project's dbt (`call-coach run`); a table made by other means is not protected.",
        )
    else:
        yield Finding("Marts", State.OK, f"{row[0]} tables, each with row-level security and grants")


def _gong(patient: Patient) -> Iterator[Finding]:
    gong = GongSettings()
    key, secret = gong.api_key.get_secret_value(), gong.api_secret.get_secret_value()
    if not (key and secret):
        missing = [name for name, value in (("GONG_API_KEY", key), ("GONG_API_SECRET", secret)) if not value]
        yield Finding(
            "Gong",
            State.WARNING,
            f"{' and '.join(missing)} not set: `demo` works, `run` does not",
            "A Gong technical administrator creates both under Company settings > Ecosystem > API.",
        )
        return
    if patient.is_offline:
        yield Finding("Gong", State.SKIPPED, f"{gong.api_base_url} was not asked")
        return
    try:
        answer = httpx.get(f"{gong.api_base_url}/v2/users", auth=(key, secret), timeout=REQUEST_TIMEOUT_S)
    except httpx.HTTPError as error:
        yield _unreachable("Gong", gong.api_base_url, error, "GONG_API_BASE_URL")
        return
    yield _verdict_on_gong(answer, gong.api_base_url)
    yield from _clock_of(answer, "Gong")


def _verdict_on_gong(answer: httpx.Response, url: str) -> Finding:
    if answer.status_code == httpx.codes.UNAUTHORIZED and "permission to use" in answer.text:
        return Finding(
            "Gong",
            State.PROBLEM,
            "the key is accepted but may not read users",
            "Give the key the scopes api:users:read, api:calls:read:extensive and api:calls:read:transcript.",
        )
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return Finding(
            "Gong",
            State.PROBLEM,
            f"{url} rejects the key",
            "Check GONG_API_KEY and GONG_API_SECRET, and that GONG_API_BASE_URL is your tenant's.",
        )
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return Finding(
            "Gong", State.WARNING, "the daily or per-second quota is used up", "Try later; runs stop cleanly and go on."
        )
    if answer.is_success or answer.status_code == httpx.codes.NOT_FOUND:
        return Finding("Gong", State.OK, f"{url} accepts the key")
    return Finding("Gong", State.PROBLEM, f"{url} answered {answer.status_code}", "See Gong's status page; try later.")


def _claude(patient: Patient) -> Iterator[Finding]:
    analysis = AnalysisSettings()
    yield from _model(analysis.model)
    key = analysis.api_key.get_secret_value() if analysis.api_key else ""
    if not key:
        yield Finding(
            "Claude",
            State.WARNING,
            "ANTHROPIC_API_KEY not set: `demo` works, `run` does not",
            "Create a key in the Claude console and put it into .env.",
        )
        return
    if patient.is_offline:
        yield Finding("Claude", State.SKIPPED, f"{analysis.origin} was not asked")
        return
    try:
        answer = httpx.get(
            f"{analysis.origin}/v1/models/{analysis.model}",
            headers={"x-api-key": key, "anthropic-version": MODELS_API_VERSION},
            timeout=REQUEST_TIMEOUT_S,
        )
    except httpx.HTTPError as error:
        yield _unreachable("Claude", analysis.origin, error, "ANTHROPIC_BASE_URL")
        return
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        yield Finding("Claude", State.PROBLEM, f"{analysis.origin} rejects the key", "Check ANTHROPIC_API_KEY.")
    elif answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        yield Finding(
            "Claude", State.WARNING, f"{analysis.origin} answered {answer.status_code}", "Try later; runs retry this."
        )
    elif answer.status_code == httpx.codes.NOT_FOUND:
        yield Finding(
            "Claude",
            State.PROBLEM,
            f"{analysis.origin} does not list the model {analysis.model}",
            "Set CALL_COACH_MODEL to a model that this key may use.",
        )
    else:
        yield Finding("Claude", State.OK, f"{analysis.origin} answers")
        yield from _as_listed(analysis.model, answer)
    yield from _clock_of(answer, "Claude")


def _model(model_id: str) -> Iterator[Finding]:
    today = datetime.now(UTC).date()
    try:
        catalogue = load_models()
        model = catalogue.model(model_id)
        price = catalogue.price(model_id, today)
    except ModelError as error:
        yield Finding("Model", State.PROBLEM, str(error), "Set CALL_COACH_MODEL to one of these.")
        return
    if model.retires_on and model.retires_on <= today + timedelta(days=60):
        yield Finding(
            "Model",
            State.PROBLEM if model.retires_on <= today else State.WARNING,
            f"{model_id} retires on {model.retires_on}",
            "Choose its successor in CALL_COACH_MODEL; scores of two models are never mixed in one trend.",
        )
        return
    yield Finding("Model", State.OK, f"{model_id}: ${price.input} in, ${price.output} out per million tokens")


def _as_listed(model_id: str, answer: httpx.Response) -> Iterator[Finding]:
    """What the Models API says of the model otherwise than knowledge/models.yaml; prices it does not tell."""
    try:
        listed = answer.json()
        model = load_models().model(model_id)
    except (ValueError, ModelError):
        return
    if not isinstance(listed, dict):
        return
    retires_at = str(listed.get("retires_at") or "")[:10]
    if retires_at and retires_at != str(model.retires_on):
        yield Finding(
            "Model",
            State.WARNING,
            f"{model_id} retires on {retires_at} according to the API",
            "Write it into knowledge/models.yaml and plan the move to a newer model.",
        )
    limits = {"max_input_tokens": model.context_window, "max_tokens": model.max_output}
    differing = [
        f"{name} is {listed[name]:,} (here {known:,})"
        for name, known in limits.items()
        if isinstance(listed.get(name), int) and listed[name] != known
    ]
    if differing:
        yield Finding(
            "Model",
            State.WARNING,
            f"{model_id}: {' and '.join(differing)} according to the API",
            "Correct the limits in knowledge/models.yaml: chunks are cut by them.",
        )


def _unreachable(topic: str, url: str, error: httpx.HTTPError, variable: str) -> Finding:
    return Finding(
        topic,
        State.PROBLEM,
        f"{url} does not answer ({type(error).__name__})",
        f"Check the network, a proxy (HTTPS_PROXY) and {variable}.",
    )


def _clock_of(answer: httpx.Response, whose: str) -> Iterator[Finding]:
    stamp = answer.headers.get("date")
    if stamp is None:
        return
    skew_s = abs((datetime.now(UTC) - parsedate_to_datetime(stamp)).total_seconds())
    if skew_s > CLOCK_SKEW_S:
        yield _skewed(whose, skew_s)


def _skewed(whose: str, skew_s: float) -> Finding:
    return Finding(
        "Clock",
        State.PROBLEM,
        f"this machine and {whose} are {skew_s:.0f} s apart",
        "Turn on time synchronisation: signed webhooks expire by the clock, and weeks are cut by it.",
    )


def _backups(patient: Patient) -> Iterator[Finding]:
    if patient.settings.database_url:
        return
    yield from _kept_databases(patient)
    folder = patient.settings.home_folder / "backups"
    newest = max(folder.glob("*.dump"), key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        if patient.database_url is not None:
            yield Finding(
                "Backups", State.WARNING, "none of the embedded database yet", "`call-coach backup` makes one."
            )
        return
    made_at = datetime.fromtimestamp(newest.stat().st_mtime, tz=UTC)
    yield Finding("Backups", State.OK, f"the newest is of {made_at:%d %b %Y %H:%M} UTC")
    yield from _backups_that_remember(patient, folder)


def _kept_databases(patient: Patient) -> Iterator[Finding]:
    if patient.database_url is None:
        return
    with _connected(patient) as connection:
        kept = [
            name
            for (name,) in connection.execute(
                "select datname from pg_database "
                "where datname like current_database() || '\\_before\\_%' order by datname"
            )
        ]
    if kept:
        yield Finding(
            "Backups",
            State.WARNING,
            f"kept from before a restore: {', '.join(kept)}",
            "Each is a whole database, with what was erased since too. Drop them when you are sure of the restore.",
        )


def _backups_that_remember(patient: Patient, folder: Path) -> Iterator[Finding]:
    if patient.database_url is None:
        return
    with _connected(patient) as connection:
        row = connection.execute("select to_regclass('ops.tombstones')").fetchone()
        if not row or row[0] is None:
            return
        row = connection.execute("select max(erased_at) from ops.tombstones").fetchone()
    if not row or row[0] is None:
        return
    older = [path.name for path in folder.glob("*.dump") if path.stat().st_mtime < row[0].timestamp()]
    if older:
        yield Finding(
            "Backups",
            State.WARNING,
            f"{len(older)} still hold what was erased on {row[0]:%d %b %Y}: {', '.join(sorted(older)[:3])}",
            "Make a new one and delete these. A restore erases again what was erased.",
        )


CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    _python,
    _disk,
    _ports,
    _database,
    _gong,
    _claude,
    _backups,
)
