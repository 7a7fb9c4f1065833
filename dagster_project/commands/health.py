"""How things stand: doctor, status and costs."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from dagster_project.commands.panels import START, WORK
from dagster_project.commands.terminal import Exit, console, fail, shown_warehouse
from dagster_project.settings import Settings

app = typer.Typer()


@app.command(rich_help_panel=START, epilog="Example: [cyan]call-coach doctor --offline[/cyan]")
def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Ask neither Gong nor Claude.")] = False,
) -> None:
    """Check Python, disk, ports, database, keys, Gong, Claude and the clock, and say what to do about each finding.

    Changes nothing and prints no secret. Exit code 1 when something must be mended before `run` can work.
    """
    settings = Settings()
    from dagster_project.local.demo import database_name, remembered_demo
    from dagster_project.operations.doctor import State, examine
    from dagster_project.operations.embedded import existing_database
    from dagster_project.operations.screens import findings_screen

    demo_before = remembered_demo(settings.home_folder)
    name = database_name(demo_before.data) if demo_before else "call_coach"
    with existing_database(settings, name) as database_url:
        findings = examine(settings=settings, database_url=database_url, is_offline=offline)
    console.print(findings_screen(findings))
    if any(finding.state is State.PROBLEM for finding in findings):
        raise typer.Exit(Exit.FAILED)


@app.command(rich_help_panel=WORK, epilog="Example: [cyan]call-coach status[/cyan]")
def status() -> None:
    """Freshness, coverage, queues, spend and failures at a glance.

    Looks at the warehouse of DATABASE_URL; without one at the last demo's, else at the embedded one.
    """
    from dagster_project.operations.screens import status_screen
    from dagster_project.operations.status import read_status

    with shown_warehouse(Settings()) as database_url:
        console.print(status_screen(read_status(database_url)))


@app.command(rich_help_panel=WORK, epilog="Example: [cyan]call-coach costs --by day --days 7[/cyan]")
def costs(
    days: Annotated[int, typer.Option(min=1, help="How many days back, today included.")] = 28,
    by: Annotated[str, typer.Option(help="day, model or dimension.")] = "dimension",
) -> None:
    """What Claude cost and what reuse saved, from the same mart as the cost page."""
    from dagster_project.operations.costs import MartsNotBuiltError, read_costs
    from dagster_project.operations.screens import costs_screen

    if by not in ("day", "model", "dimension"):
        raise fail(f"--by {by} is not possible. Use day, model or dimension.")
    today = datetime.now(UTC).date()
    with shown_warehouse(Settings()) as database_url:
        try:
            found = read_costs(
                database_url,
                since=today - timedelta(days=days - 1),
                until=today,
                by=by,  # type: ignore[arg-type]
            )
        except MartsNotBuiltError as error:
            raise fail(str(error), Exit.FAILED) from error
    console.print(costs_screen(found, by=by))
