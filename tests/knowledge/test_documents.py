import shutil
from pathlib import Path

import pytest

from knowledge.documents import (
    KNOWLEDGE_FOLDER,
    DocumentError,
    knowledge_version,
    load_documents,
    render_for_prompt,
)

PAGE = """---
document_id: product-own
kind: product
title: Own product
---

### own-first
It does one thing.
- date: 2026-11-01
- source: Own docs, https://docs.example/one
"""


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    (tmp_path / "products").mkdir()
    shutil.copy(KNOWLEDGE_FOLDER / "policy.md", tmp_path / "policy.md")
    (tmp_path / "products" / "own.md").write_text(PAGE, encoding="utf-8")
    return tmp_path


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        load_documents(folder)
    return [str(problem) for problem in caught.value.problems]


def test_product_pages_hold_25_statements_and_competitor_pages_10() -> None:
    for document in load_documents():
        least = {"policy": 0, "product": 25, "competitor": 10}[document.kind]
        assert len(document.statements) >= least, document.document_id


def test_every_statement_names_a_public_page() -> None:
    statements = [statement for document in load_documents() for statement in document.statements]
    assert all("https://" in statement.source for statement in statements)
    assert all(len(statement.text.split()) >= 6 for statement in statements)


def test_the_policy_comes_first() -> None:
    assert [document.kind for document in load_documents()][:2] == ["policy", "product"]


def test_own_products_need_nothing_but_their_pages(pages: Path) -> None:
    documents = load_documents(pages)
    assert [document.document_id for document in documents] == ["policy", "product-own"]
    assert documents[1].statements[0].id == "own-first"


def test_the_version_changes_with_any_page_and_not_with_the_order(pages: Path) -> None:
    documents = load_documents(pages)
    assert knowledge_version(documents) == knowledge_version(documents[::-1])
    page = pages / "products" / "own.md"
    page.write_text(PAGE.replace("one thing", "two things"), encoding="utf-8")
    assert knowledge_version(load_documents(pages)) != knowledge_version(documents)


def test_the_prompt_holds_ids_and_wrong_wordings_but_no_dates_or_links() -> None:
    prefect = next(document for document in load_documents() if document.document_id == "product-prefect")
    text = render_for_prompt(prefect)
    assert "[prefect-managed-limit]" in text
    assert 'often said wrongly: "there is no limit of any kind"' in text
    assert "https://" not in text
    assert "2026-" not in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("- date: 2026-11-01\n", "", "own.md: statement own-first: has no date. Add the line `- date: ...`"),
        ("2026-11-01", "1.11.26", "own.md: statement own-first: has the date '1.11.26'. Write it as YYYY-MM-DD"),
        ("- source: Own docs, https://docs.example/one\n", "", "own.md: statement own-first: has no source."),
        ("It does one thing.\n", "", "own.md: statement own-first: has no text. Write the statement under its heading"),
        ("### own-first", "### Own First", "own.md: statement Own First: the id is not lower-kebab-case."),
        ("- source", "- sauce: x\n- source", "own.md: statement own-first: holds the unknown entry 'sauce'."),
        ("kind: product", "kind: competitor", "own.md: front matter: says kind 'competitor'."),
        ("title: Own product\n", "", "own.md: front matter: has no `title`. Add `title: ...`"),
        ("---\ndocument_id", "document_id", "own.md: has no front matter."),
        (PAGE.split("---\n")[2], "Nothing yet.\n", "own.md: holds no statement."),
    ],
)
def test_a_bad_page_names_place_and_mend(pages: Path, old: str, new: str, message: str) -> None:
    page = pages / "products" / "own.md"
    page.write_text(PAGE.replace(old, new, 1), encoding="utf-8")
    assert any(text.startswith(message) for text in problems_of(pages))


def test_a_statement_id_used_twice_is_refused(pages: Path) -> None:
    other = PAGE.replace("product-own", "product-other").replace("Own product", "Other product")
    (pages / "products" / "other.md").write_text(other, encoding="utf-8")
    (text,) = problems_of(pages)
    assert "statement own-first: the id is already used in" in text


def test_a_missing_policy_is_said(pages: Path) -> None:
    (pages / "policy.md").unlink()
    assert problems_of(pages) == ["policy.md: is missing. Write the scoring policy into it"]
