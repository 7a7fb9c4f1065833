"""From a stored proposal to a page in the folder, or to a reason why not."""

import shutil
from datetime import date
from pathlib import Path

import psycopg
import pytest

from knowledge.documents import KNOWLEDGE_FOLDER, load_documents
from knowledge.proposals import ProposalError, accept, changed_page, find_proposal, list_proposals, reject

ON = date(2026, 11, 20)
STATEMENT = """# Example

### example-runs-nightly
It can run every night.
- date: 2026-11-20
- source: Example docs, https://docs.example.test
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "knowledge"
    shutil.copytree(KNOWLEDGE_FOLDER, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return copy


@pytest.fixture
def connection(database_url: str) -> psycopg.Connection:
    return psycopg.connect(database_url, autocommit=True)


def proposed(
    connection: psycopg.Connection,
    *,
    document_id: str = "product-example",
    kind: str = "product",
    title: str = "Example: a page",
    body: str = STATEMENT,
) -> str:
    row = connection.execute(
        "insert into ops.knowledge_proposals (document_id, kind, title, body, reason, proposed_by) "
        "values (%s, %s, %s, %s, 'stated in the release notes', 'robin') returning proposal_id",
        [document_id, kind, title, body],
    ).fetchone()
    assert row
    return str(row[0])


def test_an_accepted_page_stands_in_the_folder_and_is_read_like_any_other(
    connection: psycopg.Connection, folder: Path
) -> None:
    proposal_id = proposed(connection)
    page = accept(connection, proposal_id[:8], decided_by="eagle", on=ON, folder=folder)
    assert page.path == folder / "products" / "example.md"
    assert page.diff(folder).startswith("--- a/products/example.md\n+++ b/products/example.md\n")
    found = {document.document_id: document for document in load_documents(folder)}["product-example"]
    assert (found.title, [statement.id for statement in found.statements]) == (
        "Example: a page",
        ["example-runs-nightly"],
    )
    (decided,) = list_proposals(connection)
    assert (decided.status, decided.decided_by) == ("accepted", "eagle")
    with pytest.raises(ProposalError, match="accepted by eagle"):
        reject(connection, proposal_id, reason="too late", decided_by="eagle")


def test_a_known_page_is_changed_in_its_place(connection: psycopg.Connection, folder: Path) -> None:
    proposal_id = proposed(connection, document_id="product-prefect", title="Prefect")
    page = changed_page(find_proposal(connection, proposal_id), folder=folder)
    assert page.path == folder / "products" / "prefect.md"
    assert "-### prefect-python-functions" in page.diff(folder)
    assert "+### example-runs-nightly" in page.diff(folder)


def test_a_page_that_check_would_refuse_is_not_written(connection: psycopg.Connection, folder: Path) -> None:
    proposal_id = proposed(connection, body="The product can do everything, says the customer.")
    with pytest.raises(ProposalError, match="holds no statement"):
        accept(connection, proposal_id, decided_by="eagle", on=ON, folder=folder)
    assert not (folder / "products" / "example.md").exists()
    assert list_proposals(connection)[0].status == "received"


def test_a_page_that_repeats_a_statement_of_another_is_not_written(
    connection: psycopg.Connection, folder: Path
) -> None:
    body = STATEMENT.replace("example-runs-nightly", "prefect-python-functions")
    proposal_id = proposed(connection, body=body)
    with pytest.raises(ProposalError, match="prefect-python-functions"):
        accept(connection, proposal_id, decided_by="eagle", on=ON, folder=folder)


@pytest.mark.parametrize("document_id", ["../../etc/passwd", "product-../../x", "a/../../../b", "policy"])
def test_a_proposal_never_chooses_a_place_outside_its_folder(
    document_id: str, connection: psycopg.Connection, folder: Path
) -> None:
    proposal = find_proposal(connection, proposed(connection, document_id=document_id))
    assert changed_page(proposal, folder=folder).path.parent == folder / "products"


def test_a_page_does_not_change_its_kind_nor_take_the_file_of_another(
    connection: psycopg.Connection, folder: Path
) -> None:
    other_kind = proposed(connection, document_id="product-prefect", kind="competitor")
    other_page = proposed(connection, document_id="prefect")
    with pytest.raises(ProposalError, match="is a product page"):
        accept(connection, other_kind, decided_by="eagle", on=ON, folder=folder)
    with pytest.raises(ProposalError, match="belongs to another page"):
        accept(connection, other_page, decided_by="eagle", on=ON, folder=folder)


def test_a_rejection_needs_a_reason_and_an_id_that_says_which(connection: psycopg.Connection) -> None:
    proposal_id = proposed(connection)
    proposed(connection, document_id="product-other")
    with pytest.raises(ProposalError, match="Say why"):
        reject(connection, proposal_id, reason=" ", decided_by="eagle")
    with pytest.raises(ProposalError, match="Several proposals begin"):
        reject(connection, "", reason="no", decided_by="eagle")
    with pytest.raises(ProposalError, match="No proposal begins"):
        reject(connection, "none", reason="no", decided_by="eagle")
    reject(connection, proposal_id, reason="It ships in March.", decided_by="eagle")
    assert [(found.status, found.decision_reason) for found in list_proposals(connection, status="rejected")] == [
        ("rejected", "It ships in March.")
    ]
