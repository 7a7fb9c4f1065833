"""The `call-coach` command.

Exit codes: 0 done, 1 a part failed, 2 a wrong request or setting, 3 partial: run again later.
"""

import logging
import signal
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from dagster_project.commands import coaching, data, health, knowledge, serve
from dagster_project.commands.panels import KEEP, SERVE, START, WORK
from dagster_project.commands.terminal import (
    Exit,
    check_settings,
    console,
    errors,
    fail,
    monday,
    show_progress,
    storage_trouble,
    warehouse,
)
from dagster_project.settings import Settings

app = typer.Typer(
    name="call-coach",
    help="Turns recorded sales calls into coaching. Start with [bold]call-coach demo[/bold]: no key, no set-up.",
    epilog="Exit codes: 0 done, 1 a part failed, 2 a wrong request or setting, 3 partial: run it again later. "
    "Settings and their defaults stand in .env.example.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
simulate_app = typer.Typer(
    help="Stand-ins for Gong, Claude and HubSpot as servers on this machine.", no_args_is_help=True
)
app.add_typer(simulate_app, name="simulate", rich_help_panel=SERVE)
app.add_typer(knowledge.app, name="knowledge", rich_help_panel=WORK)
app.add_typer(coaching.app)
app.add_typer(serve.app)
app.add_typer(health.app)
app.add_typer(data.app)


def _run_weeks(settings: Settings, database_url: str, weeks: tuple[date, ...], next_steps: list[str]) -> None:
    from dagster_project.pipeline import prepare_instance, run_pipeline
    from dagster_project.screens import summary_screen
    from dagster_project.summary import read_summary

    started, began = datetime.now(UTC), time.monotonic()
    log = settings.home_folder / "logs" / "pipeline.log"
    prepare_instance(settings.home_folder)
    logging.getLogger(__name__).info("running the pipeline for weeks %s to %s", weeks[0], weeks[-1])
    run = run_pipeline(weeks=weeks, log=log)
    if not run.succeeded:
        failures = "\n".join(run.failures)
        raise fail(f"Run {run.run_id} failed:\n{failures}\nWhat the tools printed is in {log}.", Exit.FAILED)
    summary = read_summary(database_url, since=started)
    console.print(summary_screen(summary, seconds=time.monotonic() - began, next_steps=next_steps))
    if run.is_partial:
        raise fail("The run is partial (the reason is above); run the command again to go on.", Exit.PARTIAL)


@app.command(rich_help_panel=START, epilog="Example: [cyan]call-coach demo --data ~/gong-export[/cyan]")
def demo(
    data: Annotated[
        Path | None,
        typer.Option(help="A folder with users.json, calls.json and transcripts.json as Gong's API returns them."),
    ] = None,
) -> None:
    """Run everything once on this machine, on an invented company or on your own folder, and show what came out.

    Starts a Postgres, a Gong simulator and a Claude sandbox on free ports, runs the real pipeline and ends by itself.
    Scores come from the sandbox, which matches phrases; they show the mechanics, not Claude's judgement.
    """
    settings = Settings()
    check_settings()
    show_progress(settings)
    from dagster_project.defs.partitions import weeks_between
    from dagster_project.local.demo import company_date, demo_services, remember_demo
    from dlt_pipelines.gong.simulator.tenant import Tenant, TenantError

    home = settings.home_folder
    logger = logging.getLogger(__name__)
    if data is not None:
        try:
            first, last = Tenant.from_folder(data).span()
        except TenantError as error:
            raise fail(str(error)) from error
    else:
        last = company_date(home)
        first = last - timedelta(weeks=11)
    logger.info("starting Postgres, a Gong simulator and a Claude sandbox")
    try:
        weeks = weeks_between(first, last)
    except ValueError as error:
        raise fail(str(error)) from error
    with demo_services(home, data) as services:
        remember_demo(home, data)
        _run_weeks(
            settings,
            services.database_url,
            weeks,
            [
                "[bold]uv run call-coach up[/bold] opens the dashboard, the Dagster UI and the MCP server on this data",
                "[bold]uv run call-coach review[/bold] writes last week's reviews for reps, managers and leadership",
                "[bold]uv run call-coach demo[/bold] again costs no request; after a change to a rubric in "
                "knowledge/rubrics only its dimension is scored anew",
                "[bold]uv run call-coach run[/bold] does the same with your Gong, Claude and Postgres "
                "(see .env.example)",
            ],
        )


@app.command(rich_help_panel=WORK, epilog="Example: [cyan]call-coach run --from 2026-10-01 --to 2026-11-16[/cyan]")
def run(
    week: Annotated[str | None, typer.Option(help="One week, by any of its days: 2026-11-16.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="The first week, by any of its days.")] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="The last week, by any of its days; today's by default.")
    ] = None,
    mode: Annotated[
        Literal["incremental", "full"],
        typer.Option(help="full reads all of Gong's calls again first, which alone finds out what was deleted there."),
    ] = "incremental",
) -> None:
    """Load from Gong, score with Claude and build the marts, once. Without a week: the last 14 days and today's week.

    Needs GONG_API_KEY, GONG_API_SECRET and ANTHROPIC_API_KEY; DATABASE_URL too, unless the embedded Postgres will do.
    """
    settings = Settings()
    check_settings(needs_keys=True)
    show_progress(settings)
    from dagster_project.defs.partitions import weeks_between

    today = datetime.now(UTC).date()
    from_week = monday(week) or monday(first) or today - timedelta(days=14)
    to_week = monday(week) or monday(last) or today
    if from_week > to_week:
        raise fail(f"The first week ({from_week}) is after the last ({to_week}).")
    try:
        weeks = weeks_between(from_week, to_week)
    except ValueError as error:
        raise fail(str(error)) from error
    with warehouse(settings) as database_url:
        if mode == "full":
            _read_everything(database_url)
        _run_weeks(
            settings,
            database_url,
            weeks,
            ["[bold]uv run call-coach up[/bold] opens the dashboard, the Dagster UI and the MCP server"],
        )


def _read_everything(database_url: str) -> None:
    from dlt_pipelines.errors import ApiError, LoadFailedError
    from dlt_pipelines.gong.settings import GongSettings
    from dlt_pipelines.gong.source import load

    try:
        report = load(
            database_url=database_url,
            settings=GongSettings(),
            streams=["calls", "transcripts"],
            mode="full",
            on_progress=logging.getLogger(__name__).info,
        )
    except (ApiError, LoadFailedError) as error:
        raise fail(str(error), Exit.FAILED) from error
    if report.is_partial:
        raise fail(
            "\n".join([*report.lines(), "Reading everything stopped early; run it again to go on."]), Exit.PARTIAL
        )


@app.command(rich_help_panel=START, epilog="Example: [cyan]call-coach up[/cyan]")
def up() -> None:
    """Open all services on this machine: dashboard, Dagster UI and MCP server. Ctrl-C ends them all.

    Shows the warehouse of DATABASE_URL; without one the last demo, its simulator and sandbox included; without that the
    embedded database.
    """
    settings = Settings()
    check_settings()
    show_progress(settings)
    from contextlib import ExitStack

    from dagster_project.local.demo import demo_services, remembered_demo
    from dagster_project.local.processes import ProcessFailedError
    from dagster_project.local.services import open_services
    from dagster_project.pipeline import prepare_instance

    # a closed terminal takes the same way out as Ctrl-C, which a shell may have switched off for its background jobs
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    demo_before = remembered_demo(settings.home_folder)
    with ExitStack() as stack:
        try:
            if settings.database_url is None and demo_before is not None:
                services = stack.enter_context(demo_services(settings.home_folder, demo_before.data))
                database_url = services.database_url
            else:
                database_url = stack.enter_context(warehouse(settings))
            prepare_instance(settings.home_folder)
            running = stack.enter_context(open_services(settings.home_folder))
            console.print("\n[bold]call-coach is up[/bold]")
            for service in running.services:
                console.print(f"  {service.name:<16} {service.url}  [dim]{service.what}[/dim]")
            shown = database_url.rsplit("/", 1)[-1].split("?")[0]
            console.print(f"  Database         {shown}\n  Press Ctrl-C to end everything.")
            ended = running.wait()
            raise fail(f"{ended.name} ended by itself. The end of its log:\n{ended.log_tail()}", Exit.FAILED)
        except ProcessFailedError as error:
            raise fail(str(error), Exit.FAILED) from error
        except KeyboardInterrupt:
            console.print("\nending everything")


@simulate_app.command("gong")
def simulate_gong(
    port: Annotated[int, typer.Option(help="0 takes a free port.")] = 0,
    data: Annotated[
        Path | None, typer.Option(help="A folder of Gong-shaped JSON; the seeded company without it.")
    ] = None,
) -> None:
    """Serve a Gong API on this machine."""
    _serve("dlt_pipelines.gong.simulator", port, ["--data", str(data)] if data else [])


@simulate_app.command("claude")
def simulate_claude(port: Annotated[int, typer.Option(help="0 takes a free port.")] = 0) -> None:
    """Serve a Claude Messages API on this machine; it answers by matching phrases, as model "sandbox"."""
    _serve("dagster_project.analysis.sandbox", port, [])


@simulate_app.command("hubspot")
def simulate_hubspot(port: Annotated[int, typer.Option(help="0 takes a free port.")] = 0) -> None:
    """Serve a HubSpot CRM API on this machine."""
    _serve("dlt_pipelines.hubspot.simulator", port, [])


def _serve(module: str, port: int, arguments: list[str]) -> None:
    import runpy

    sys.argv = [module, "--port", str(port), *arguments]
    runpy.run_module(module, run_name="__main__")


@app.command(rich_help_panel=KEEP, epilog="Example: [cyan]call-coach migrate[/cyan]")
def migrate() -> None:
    """Bring the database of DATABASE_URL (or the embedded one) to the shape this version needs."""
    with warehouse(Settings()):
        console.print("The database is up to date.")


def main() -> None:
    import psycopg
    from pydantic import ValidationError

    from dagster_project.database.migrate import MigrationError
    from dagster_project.local.postgres import PostgresUnavailableError
    from dagster_project.local.processes import ProcessFailedError
    from dagster_project.settings import read_dot_env, wrong_values

    read_dot_env()
    try:
        app()
    except ValidationError as error:
        errors.print(f"[red]{escape(wrong_values(error))}[/red]")
        sys.exit(Exit.WRONG_REQUEST)
    except psycopg.OperationalError as error:
        errors.print(f"[red]The database did not answer: {escape(str(error).strip())}\nRun call-coach doctor.[/red]")
        sys.exit(Exit.FAILED)
    except (MigrationError, PostgresUnavailableError, ProcessFailedError) as error:
        errors.print(f"[red]{escape(str(error))}[/red]")
        sys.exit(Exit.FAILED)
    except Exception as error:
        trouble = storage_trouble(error)
        if trouble is None:
            raise
        errors.print(f"[red]{escape(trouble)}\nWhat was done stays. Run call-coach doctor, then this again.[/red]")
        sys.exit(Exit.FAILED)
