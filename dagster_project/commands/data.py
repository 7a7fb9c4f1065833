"""What is kept, copied, let go and erased."""

import getpass
import json
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dagster_project.commands.panels import KEEP
from dagster_project.commands.terminal import Exit, console, fail, show_progress, shown_warehouse
from dagster_project.settings import Settings

app = typer.Typer()
dead_letters_app = typer.Typer(help="What could not be loaded: look at it, try again.", no_args_is_help=True)
app.add_typer(dead_letters_app, name="dead-letters", rich_help_panel=KEEP)


@app.command(rich_help_panel=KEEP, epilog="Example: [cyan]call-coach erase --rep ada@example.com[/cyan]")
def erase(
    call: Annotated[str | None, typer.Option(help="A call's id in Gong.")] = None,
    rep: Annotated[str | None, typer.Option(help="A person's user id in Gong or e-mail address.")] = None,
    account: Annotated[str | None, typer.Option(help="An account's id in the CRM.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    unknown: Annotated[bool, typer.Option("--unknown", help="Keep it out even if it was never loaded.")] = False,
    rebuild: Annotated[
        bool, typer.Option(help="Build the marts afterwards, so that averages are right at once.")
    ] = True,
) -> None:
    """Erase a call, a person or an account from everything kept here, for good, and keep it from being loaded again.

    A person's calls are all calls they took part in. What was paid for them stays counted, without saying whose it was.
    Gong's own copy stays: have Gong erase it too. Backups made before hold it still; a restore erases it again.
    """
    settings = Settings()
    chosen = [(kind, value) for kind, value in (("call", call), ("rep", rep), ("account", account)) if value]
    if len(chosen) != 1:
        raise fail("Name one of --call, --rep or --account.")
    ((kind, subject_id),) = chosen
    if not yes and not typer.confirm(f"Erase the {kind} {subject_id} for good?"):
        raise typer.Exit(Exit.WRONG_REQUEST)
    show_progress(settings)
    from dagster_project.operations import erase as erasing
    from dagster_project.operations.marts import BuildError, build_marts

    with shown_warehouse(settings) as database_url:
        try:
            erasure = erasing.erase(
                database_url=database_url,
                kind=kind,  # type: ignore[arg-type]
                subject_id=subject_id,
                erased_by=getpass.getuser(),
                home=settings.home_folder,
                is_unknown_allowed=unknown,
            )
        except (erasing.UnknownSubjectError, erasing.LoadInProgressError) as error:
            raise fail(str(error), Exit.WRONG_REQUEST) from error
        if rebuild and erasure.total:
            try:
                build_marts(database_url)
            except BuildError as error:
                raise fail(f"It is erased, but: {error}", Exit.PARTIAL) from error
    console.print(
        f"Erased: {erasure.total:,} rows of {erasure.calls:,} calls in "
        f"{sum(n > 0 for n in erasure.rows.values())} tables, {erasure.files} files."
    )
    if erasure.left_over:
        left = ", ".join(f"{name} ({n})" for name, n in sorted(erasure.left_over.items()))
        raise fail(f"These rows still mention it: {left}. Look at them by hand.", Exit.PARTIAL)


@app.command(rich_help_panel=KEEP, epilog="Example: [cyan]call-coach backup ~/call-coach.backup[/cyan]")
def backup(
    file: Annotated[
        Path | None, typer.Argument(help="Where to; a dated file under CALL_COACH_HOME by default.")
    ] = None,
) -> None:
    """Copy the warehouse, everything in it included, into one compressed file that only you may read."""
    settings = Settings()
    from dagster_project.operations.backup import BackupError, back_up, default_path

    with shown_warehouse(settings) as database_url:
        try:
            made = back_up(database_url=database_url, path=file or default_path(settings.home_folder, database_url))
        except BackupError as error:
            raise fail(str(error), Exit.FAILED) from error
    console.print(f"{escape(str(made.path))} ({made.bytes / 1e6:.1f} MB)")


@app.command(rich_help_panel=KEEP, epilog="Example: [cyan]call-coach restore ~/call-coach.backup[/cyan]")
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `call-coach backup` made.")],
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Drop the database that is replaced instead of keeping it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Bring a backup back, upgraded to this version. The database it replaces is kept under another name.

    End `call-coach up` first. What was erased since the backup is erased again.
    """
    settings = Settings()
    show_progress(settings)
    from dagster_project.operations.backup import BackupError
    from dagster_project.operations.backup import restore as bring_back

    with shown_warehouse(settings) as database_url:
        name = database_url.rsplit("/", 1)[-1].split("?")[0]
        if not yes and not typer.confirm(f"Replace database {name} by {file}?"):
            raise typer.Exit(Exit.WRONG_REQUEST)
        try:
            restored = bring_back(database_url=database_url, path=file, is_old_kept=not drop_old)
        except BackupError as error:
            raise fail(str(error), Exit.FAILED) from error
    console.print(f"Database {restored.database} is back.")
    if restored.kept:
        console.print(f"The one before is now {restored.kept}. It holds everything still: drop it when you are sure.")
    if restored.migrations or restored.erased_again:
        console.print(
            f"{len(restored.migrations)} migrations were applied, {restored.erased_again} erased subjects erased again."
        )


@app.command(rich_help_panel=KEEP, epilog="Example: [cyan]call-coach retention --years 3 --dry-run[/cyan]")
def retention(
    years: Annotated[int, typer.Option(min=1, help="How many years are kept.")] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
) -> None:
    """Let go of calls, answers and records that are older than five years. Dagster does this every month by itself."""
    settings = Settings()
    from dagster_project.operations.retention import retire

    with shown_warehouse(settings) as database_url:
        retired = retire(database_url=database_url, years=years, is_rehearsal=dry_run)
    verb = "Would remove" if dry_run else "Removed"
    console.print(
        f"{verb} {retired.calls:,} calls and {len(retired.partitions)} partitions, "
        f"all from before {retired.cutoff:%d %b %Y}."
    )
    for name, n in sorted(retired.rows.items()):
        console.print(f"  {name}: {n:,} rows")


@dead_letters_app.command("list")
def list_letters(
    all_: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
) -> None:
    """What was set aside, newest first, with why."""
    from dagster_project.operations.dead_letters import list_dead_letters
    from dagster_project.operations.screens import dead_letters_screen

    with shown_warehouse(Settings()) as database_url:
        console.print(dead_letters_screen(list_dead_letters(database_url, has_closed=all_)))


@dead_letters_app.command("show")
def show_letter(dead_letter_id: Annotated[int, typer.Argument(help="Its number in the list.")]) -> None:
    """The payload as it came, as JSON."""
    from dagster_project.operations.dead_letters import NoSuchDeadLetterError, payload_of

    with shown_warehouse(Settings()) as database_url:
        try:
            payload = payload_of(database_url, dead_letter_id)
        except NoSuchDeadLetterError as error:
            raise fail(str(error)) from error
    console.print_json(json.dumps(payload, ensure_ascii=False))


@dead_letters_app.command("retry")
def retry_letters(
    dead_letter_ids: Annotated[list[int] | None, typer.Argument(help="Their numbers; all unresolved without.")] = None,
) -> None:
    """Ask Gong again for the calls behind the dead letters. Exit code 3 when some are still not loaded."""
    settings = Settings()
    show_progress(settings)
    from dagster_project.operations.dead_letters import NoSuchDeadLetterError, retry
    from dlt_pipelines.errors import ApiError

    with shown_warehouse(settings) as database_url:
        try:
            retried = retry(
                database_url,
                dead_letter_ids=dead_letter_ids or None,
                on_progress=logging.getLogger(__name__).info,
            )
        except NoSuchDeadLetterError as error:
            raise fail(str(error)) from error
        except ApiError as error:
            raise fail(str(error), Exit.FAILED) from error
    console.print(f"{retried.resolved} of {retried.tried} are loaded now.")
    if retried.not_retryable:
        console.print(
            f"{retried.not_retryable} name no call that Gong could be asked for: see `call-coach dead-letters show`."
        )
    if retried.resolved < retried.tried:
        raise typer.Exit(Exit.PARTIAL)
