"""What scores rest on: check it, and decide what others propose for it."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Literal

import psycopg
import typer
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from dagster_project.commands.terminal import Exit, console, fail, shown_warehouse
from dagster_project.settings import Settings

app = typer.Typer(help="The rubrics, product pages and prices that scores rest on.", no_args_is_help=True)
proposals_app = typer.Typer(
    help="Pages that people proposed through the MCP server: look, accept, reject.", no_args_is_help=True
)
app.add_typer(proposals_app, name="proposals")

ProposalId = Annotated[str, typer.Argument(help="The proposal's id or its first characters.", show_default=False)]


@app.command()
def check() -> None:
    """Check rubrics, documents and prices, and say what to mend."""
    from knowledge.check import check as findings_of
    from knowledge.check import inventory

    findings = findings_of(on=datetime.now(UTC).date())
    for finding in findings:
        style = "red" if finding.level == "error" else "yellow"
        console.print(f"[{style}]{escape(str(finding))}[/{style}]")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(Exit.FAILED)
    for line in inventory():
        console.print(escape(line))
    console.print("The knowledge base is sound." if not findings else "No errors; see to the warnings above.")


@contextmanager
def _asking() -> Iterator[psycopg.Connection]:
    from knowledge.proposals import ProposalError

    with shown_warehouse(Settings()) as database_url, psycopg.connect(database_url) as connection:
        try:
            yield connection
        except ProposalError as error:
            raise fail(str(error)) from error


@proposals_app.command("list")
def list_all(
    status: Annotated[
        Literal["received", "accepted", "rejected"] | None, typer.Option(help="Only those; all by default.")
    ] = None,
) -> None:
    """Every proposal, the oldest first."""
    from knowledge.proposals import list_proposals

    with _asking() as connection:
        found = list_proposals(connection, status=status)
    if not found:
        console.print("Nothing has been proposed." if status is None else f"No proposal is {status}.")
        return
    table = Table("Id", "Page", "State", "By", "On", "Why", box=None, pad_edge=False)
    for proposal in found:
        table.add_row(
            proposal.proposal_id[:8],
            escape(proposal.document_id),
            proposal.status,
            escape(proposal.proposed_by),
            f"{proposal.proposed_at:%Y-%m-%d}",
            escape(proposal.decision_reason or proposal.reason),
        )
    console.print(table)


@proposals_app.command()
def show(proposal_id: ProposalId) -> None:
    """One proposal as a change of its page."""
    from knowledge.proposals import KNOWLEDGE_FOLDER, changed_page, find_proposal

    with _asking() as connection:
        proposal = find_proposal(connection, proposal_id)
        change = changed_page(proposal).diff(KNOWLEDGE_FOLDER)
    console.print(f"{escape(proposal.proposed_by)}: {escape(proposal.reason)}")
    console.print(Syntax(change, "diff", background_color="default") if change else "The page says so already.")


@proposals_app.command("accept")
def accept_one(
    proposal_id: ProposalId, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Show the change, write it into the knowledge folder if that stays sound, and say what follows."""
    from knowledge.proposals import KNOWLEDGE_FOLDER, accept

    show(proposal_id)
    if not yes and not typer.confirm("Take this over?"):
        raise typer.Exit(Exit.WRONG_REQUEST)
    with _asking() as connection:
        page = accept(connection, proposal_id, decided_by=getpass.getuser(), on=datetime.now(UTC).date())
    name = page.path.relative_to(KNOWLEDGE_FOLDER).as_posix()
    console.print(
        f"Written: knowledge/{name}. Commit it. The next run publishes it. "
        "It is part of every prompt, so the calls of that run are scored anew, which costs money."
    )


@proposals_app.command("reject")
def reject_one(
    proposal_id: ProposalId,
    reason: Annotated[str, typer.Option(help="What the proposer is told.", show_default=False)],
) -> None:
    """Turn a proposal down and keep the reason."""
    from knowledge.proposals import reject

    with _asking() as connection:
        proposal = reject(connection, proposal_id, reason=reason, decided_by=getpass.getuser())
    console.print(f"Rejected: {escape(proposal.document_id)}. Whoever proposes it again is told why.")
