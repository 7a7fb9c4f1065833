"""Calls in, scores and reviews out, by name instead of by week."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dagster_project.commands.panels import WORK
from dagster_project.commands.terminal import (
    Exit,
    check_settings,
    console,
    fail,
    monday,
    show_progress,
    shown_warehouse,
)
from dagster_project.settings import Settings

app = typer.Typer()
logger = logging.getLogger(__name__)


@app.command(rich_help_panel=WORK, epilog="Example: [cyan]call-coach analyze --week 2026-11-16 --dry-run[/cyan]")
def analyze(
    call_ids: Annotated[list[str] | None, typer.Argument(help="Ids of calls in Gong.")] = None,
    week: Annotated[str | None, typer.Option(help="Instead of calls a week, by any of its days: 2026-11-16.")] = None,
    dimension: Annotated[
        list[str] | None, typer.Option(help="Only this dimension; may be repeated. All without.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Ask Claude again even where an answer stands.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost and send nothing.")] = False,
    batch: Annotated[
        bool, typer.Option("--batch", help="Half the price, within a day; a sensor of `call-coach up` collects it.")
    ] = False,
) -> None:
    """Score calls now, or say what that would cost. What was answered before is not paid for again.

    Exit code 3 when some calls are still without a score: see `call-coach status`.
    """
    settings = Settings()
    check_settings()
    show_progress(settings)
    from dagster_project.operations import analyze as analysing
    from dagster_project.operations.marts import BuildError
    from dagster_project.operations.screens import estimate_screen, scores_screen
    from dlt_pipelines.errors import ApiError

    known = analysing.all_dimensions()
    wanted = tuple(dimension or known)
    for name in wanted:
        if name not in known:
            raise fail(f"There is no dimension {name!r}. There are {', '.join(known)}.")
    from_week = monday(week)
    if bool(call_ids) == bool(from_week):
        raise fail("Name calls, or a week with --week.")
    with shown_warehouse(settings) as database_url:
        try:
            if from_week:
                selection = analysing.Selection(weeks=(from_week,), call_ids=None, dimensions=wanted)
            else:
                selection = analysing.select_calls(
                    database_url, call_ids or [], dimensions=wanted, on_progress=logger.info
                )
            if dry_run:
                estimate = analysing.expected_cost(database_url, selection, is_forced=force)
                console.print(estimate_screen(estimate))
                return
            if batch:
                submitted = analysing.submit(database_url, selection, is_forced=force, on_progress=logger.info)
                console.print(
                    f"{submitted.requests} requests handed in as {len(submitted.batches)} batches; "
                    f"{submitted.served_from_cache} answers were there already, {submitted.left_for_live} questions "
                    "that the model declined before are left to a live run. The sensor `claude_batches` collects them."
                )
                return
            report = analysing.analyze(database_url, selection, is_forced=force, on_progress=logger.info)
        except (analysing.NoSuchCallError, ApiError) as error:
            raise fail(str(error), Exit.FAILED) from error
        except BuildError as error:
            raise fail(f"The calls are scored, but: {error}", Exit.PARTIAL) from error
    console.print(scores_screen(report))
    if report.stop_reason:
        raise fail(report.stop_reason, Exit.PARTIAL)
    if not report.is_complete:
        raise typer.Exit(Exit.PARTIAL)


@app.command("import", rich_help_panel=WORK, epilog="Example: [cyan]call-coach import ~/transcripts[/cyan]")
def import_calls(
    path: Annotated[
        Path, typer.Argument(help="A folder of Gong-shaped JSON, or WebVTT, SRT or `Speaker: text` files.")
    ],
) -> None:
    """Bring in conversations without an API; `call-coach analyze` or the next run scores them.

    A transcript file needs a small YAML or JSON file of the same name beside it that says who the rep is.
    """
    settings = Settings()
    show_progress(settings)
    from dlt_pipelines.errors import ApiError
    from dlt_pipelines.imports import ImportFailedError, import_path

    with shown_warehouse(settings) as database_url:
        try:
            report = import_path(database_url=database_url, path=path, on_progress=logger.info)
        except (ImportFailedError, ApiError) as error:
            raise fail(str(error)) from error
    for stream, counts in report.streams.items():
        console.print(f"{stream}: {counts.rows_read} read, {counts.rows_written} new or changed")
    for problem in report.problems:
        line = f"{problem.stream} {problem.key}: {problem.what}. {problem.what_to_do}"
        console.print(f"[yellow]{escape(line)}[/yellow]")
    if report.changed_weeks:
        weeks = ", ".join(week.isoformat() for week in report.changed_weeks)
        console.print(f"Score them with: call-coach analyze --week DAY, for the weeks of {weeks}")
    if report.is_partial:
        raise typer.Exit(Exit.PARTIAL)


@app.command(rich_help_panel=WORK, epilog="Example: [cyan]call-coach review --week 2026-11-09 --deliver[/cyan]")
def review(
    week: Annotated[str | None, typer.Option(help="The week, by any of its days; last week by default.")] = None,
    deliver: Annotated[bool, typer.Option("--deliver", help="Send by SMTP_URL and SLACK_WEBHOOK_URL too.")] = False,
    again: Annotated[bool, typer.Option("--again", help="With --deliver: also to those who have it already.")] = False,
) -> None:
    """Write the week's reviews for reps, managers and leadership into files; on request, send them.

    Exit code 3 when some could not be delivered.
    """
    settings = Settings()
    show_progress(settings)
    from dagster_project.operations.marts import BuildError, build_marts
    from dagster_project.reviews.settings import ReviewSettings
    from dagster_project.reviews.weekly import review_week

    today = datetime.now(UTC).date()
    start = monday(week) or today - timedelta(days=today.weekday() + 7)
    with shown_warehouse(settings) as database_url:
        report = review_week(
            database_url=database_url,
            week_start=start,
            settings=ReviewSettings(),
            folder=settings.home_folder / "reviews",
            deliver=deliver,
            force=again,
        )
        try:
            build_marts(database_url, ["fct_weekly_reviews"])
        except BuildError as error:
            console.print(f"[yellow]The dashboard shows them after the next run. {escape(str(error))}[/yellow]")
    console.print(
        f"Week of {start:%d %b %Y}: {report.reps} reps, {report.teams} teams, {report.leadership} for leadership, in "
        f"{escape(str(report.folder))}"
    )
    if deliver:
        console.print(f"{report.sent} sent, {report.sent_before} had been sent before, {report.failed} failed.")
    for problem in report.problems:
        console.print(f"[yellow]{escape(problem)}[/yellow]")
    if report.failed:
        raise typer.Exit(Exit.PARTIAL)


@app.command("eval", rich_help_panel=WORK, epilog="Example: [cyan]call-coach eval labels.csv[/cyan]")
def evaluate(
    labels: Annotated[
        Path | None,
        typer.Argument(help="CSV or JSON: call_id, labeller, and marker_id + verdict or criterion_id + level."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws behind the intervals.")] = 7,
) -> None:
    """How far Claude's verdicts agree with people's: a labels file, or without one Gong's answered scorecards.

    Asks Claude nothing. Says only what the labels carry: with few of them, that is an interval and no claim.
    """
    settings = Settings()
    from dagster_project.analysis.evaluation import LabelError, read_labels, read_scorecards
    from dagster_project.analysis.evaluation import evaluate as compare
    from dagster_project.operations.screens import evaluation_screen

    with shown_warehouse(settings) as database_url:
        try:
            given = read_labels(labels) if labels else read_scorecards(database_url)
        except LabelError as error:
            raise fail(str(error)) from error
        console.print(evaluation_screen(compare(database_url=database_url, labels=given, seed=seed)))
