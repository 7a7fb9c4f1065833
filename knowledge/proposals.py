"""Proposed pages: what the MCP tool stored, shown as a change, and written into this folder once a person accepts it.

ops.knowledge_proposals -> changed_page() -> diff -> accept(): check of the whole folder -> products/*.md
"""

from __future__ import annotations

import difflib
import re
import shutil
import tempfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import psycopg
import yaml
from psycopg.rows import class_row

from knowledge.check import check
from knowledge.documents import FOLDERS, KNOWLEDGE_FOLDER, read_document

ProposalStatus = Literal["received", "accepted", "rejected"]

_SELECT = """
select
    proposal_id, document_id, kind, title, body, reason, proposed_by, proposed_at, status, decided_by, decided_at,
    decision_reason
from ops.knowledge_proposals
"""


class ProposalError(ValueError):
    """The proposal cannot be carried out; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One row of `ops.knowledge_proposals`."""

    proposal_id: str
    document_id: str
    kind: Literal["product", "competitor"]
    title: str
    body: str
    reason: str
    proposed_by: str
    proposed_at: datetime
    status: ProposalStatus
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None


@dataclass(frozen=True)
class ChangedPage:
    """The file a proposal would write; `before` is empty for a new page."""

    path: Path
    before: str
    after: str

    def diff(self, folder: Path) -> str:
        """The change as a unified diff; empty where the page says so already."""
        name = self.path.relative_to(folder).as_posix()
        return "".join(
            difflib.unified_diff(
                self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
            )
        )


def list_proposals(connection: psycopg.Connection, *, status: ProposalStatus | None = None) -> tuple[Proposal, ...]:
    """Oldest first: the order in which they should be decided."""
    with connection.cursor(row_factory=class_row(Proposal)) as cursor:
        where = "where %(status)s::text is null or status = %(status)s order by proposed_at, proposal_id"
        return tuple(cursor.execute(_SELECT + where, {"status": status}).fetchall())


def find_proposal(connection: psycopg.Connection, proposal_id: str) -> Proposal:
    """The proposal whose id begins so; locked, so that two people do not decide it twice.

    Raises:
        ProposalError: when none or several begin so.
    """
    with connection.cursor(row_factory=class_row(Proposal)) as cursor:
        found = cursor.execute(
            _SELECT + "where starts_with(proposal_id, %s) order by proposal_id limit 2 for update", [proposal_id]
        ).fetchall()
    if len(found) != 1:
        many = "Several proposals begin" if found else "No proposal begins"
        raise ProposalError(f"{many} with '{proposal_id}'. `call-coach knowledge proposals list` shows their ids.")
    return found[0]


def changed_page(proposal: Proposal, *, folder: Path = KNOWLEDGE_FOLDER) -> ChangedPage:
    """The page as it would stand: the one that has the document's id today, else a new file of its kind.

    Raises:
        ProposalError: when the id belongs to a page of another kind, or the new file's name is taken.
    """
    head = yaml.safe_dump(
        {"document_id": proposal.document_id, "kind": proposal.kind, "title": proposal.title},
        sort_keys=False,
        allow_unicode=True,
        width=1_000,
    )
    after = f"---\n{head}---\n\n{proposal.body.strip()}\n"
    for name, kind in FOLDERS.items():
        for path in sorted((folder / name).glob("*.md")):
            document, _ = read_document(path, expected_kind=kind)
            if document is not None and document.document_id == proposal.document_id:
                if kind != proposal.kind:
                    raise ProposalError(f"{proposal.document_id} is a {kind} page, not a {proposal.kind} page.")
                return ChangedPage(path, document.source_text, after)
    folder_name = next(name for name, kind in FOLDERS.items() if kind == proposal.kind)
    # only the last part, and only letters, digits and hyphens: a proposal never chooses a place outside its folder
    file_name = re.sub(r"[^a-z0-9]+", "-", proposal.document_id.removeprefix(f"{proposal.kind}-").lower()).strip("-")
    path = folder / folder_name / f"{file_name or 'page'}.md"
    if path.exists():
        raise ProposalError(
            f"{path.name} is there already and belongs to another page. Propose it under that page's id."
        )
    return ChangedPage(path, "", after)


def accept(
    connection: psycopg.Connection, proposal_id: str, *, decided_by: str, on: date, folder: Path = KNOWLEDGE_FOLDER
) -> ChangedPage:
    """Write the page if the whole folder stays sound with it; the file and the row change together.

    Raises:
        ProposalError: when it was decided before, changes nothing, or `check` finds an error in it.
    """
    with connection.transaction():
        proposal = _open_proposal(connection, proposal_id)
        page = changed_page(proposal, folder=folder)
        if page.before == page.after:
            raise ProposalError("The page says exactly this already. Reject the proposal with that reason.")
        errors = _errors_with(page, folder, on)
        if errors:
            raise ProposalError("\n".join(["The page cannot be taken as it is:", *errors]))
        _decide(connection, proposal, "accepted", decided_by, None)
        # written last: when it fails the row stays as it was
        whole = page.path.with_suffix(".md.new")
        whole.write_text(page.after, encoding="utf-8")
        whole.replace(page.path)
    return page


def reject(connection: psycopg.Connection, proposal_id: str, *, reason: str, decided_by: str) -> Proposal:
    """Turn a proposal down; whoever proposes the same again is told the reason.

    Raises:
        ProposalError: when it was decided before, or no reason is given.
    """
    if not reason.strip():
        raise ProposalError("Say why: the reason is what the proposer is told.")
    with connection.transaction():
        proposal = _open_proposal(connection, proposal_id)
        _decide(connection, proposal, "rejected", decided_by, reason.strip())
    return proposal


def _open_proposal(connection: psycopg.Connection, proposal_id: str) -> Proposal:
    proposal = find_proposal(connection, proposal_id)
    if proposal.status != "received":
        raise ProposalError(f"It was {proposal.status} by {proposal.decided_by} on {proposal.decided_at:%Y-%m-%d}.")
    return proposal


def _decide(
    connection: psycopg.Connection, proposal: Proposal, status: ProposalStatus, decided_by: str, reason: str | None
) -> None:
    connection.execute(
        "update ops.knowledge_proposals set status = %s, decided_by = %s, decided_at = now(), decision_reason = %s "
        "where proposal_id = %s",
        [status, decided_by, reason, proposal.proposal_id],
    )


def _errors_with(page: ChangedPage, folder: Path, on: date) -> list[str]:
    """What `check` would find wrong in a copy of the folder that holds the page."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "knowledge"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
        changed = copy / page.path.relative_to(folder)
        changed.parent.mkdir(exist_ok=True)
        changed.write_text(page.after, encoding="utf-8")
        return [str(finding) for finding in check(copy, on=on) if finding.level == "error"]
