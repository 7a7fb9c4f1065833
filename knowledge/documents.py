"""Documents: the scoring policy, product pages and competitor pages.

    knowledge/policy.md, products/*.md, competitors/*.md -> load_documents() -> prompt, pages

A page is Markdown with front matter. A statement is a level-three heading that holds its id, a text, and a list with
its date, its source and, where it helps, how it is often said wrongly:

    ### prefect-python-functions
    A flow is a Python function with a decorator.
    - date: 2026-11-20
    - source: Prefect docs, Flows, https://docs.prefect.io/v3/concepts/flows
    - often said wrongly: flows are written in YAML
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import yaml

KNOWLEDGE_FOLDER = Path(__file__).parent
FOLDERS: dict[str, str] = {"products": "product", "competitors": "competitor"}
STATEMENT_ID = re.compile(r"^[a-z][a-z0-9-]*$")

DocumentKind = Literal["policy", "product", "competitor"]


@dataclass(frozen=True)
class Statement:
    """One checkable sentence about a product, with its date and public source."""

    id: str
    text: str
    date: date
    source: str
    often_said_wrongly: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """A page of the knowledge base; its version is the hash of the file's text."""

    document_id: str
    kind: DocumentKind
    title: str
    document_version: str
    statements: tuple[Statement, ...]
    # the page without its front matter
    text: str
    source_text: str


@dataclass(frozen=True)
class DocumentProblem:
    """One thing wrong in a page and how to mend it."""

    file: str
    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.where}" if self.where else self.file
        return f"{place}: {self.what}. {self.mend}"


class DocumentError(ValueError):
    """The pages cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: tuple[DocumentProblem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def load_documents(folder: Path | None = None) -> tuple[Document, ...]:
    """The policy first, then product pages, then competitor pages, each by id.

    Raises:
        DocumentError: with all problems of all pages.
    """
    folder = folder or KNOWLEDGE_FOLDER
    problems: list[DocumentProblem] = []
    documents: list[Document] = []
    policy = folder / "policy.md"
    if not policy.exists():
        problems.append(DocumentProblem("policy.md", "", "is missing", "Write the scoring policy into it"))
    pages: list[tuple[Path, str]] = [(policy, "policy")] if policy.exists() else []
    for name, kind in FOLDERS.items():
        pages += [(path, kind) for path in sorted((folder / name).glob("*.md"))]
    for path, kind in pages:
        document, found = read_document(path, expected_kind=kind)
        problems += found
        if document is not None:
            documents.append(document)
    problems += _problems_across(documents)
    if problems:
        raise DocumentError(tuple(problems))
    order = {"policy": 0, "product": 1, "competitor": 2}
    return tuple(sorted(documents, key=lambda document: (order[document.kind], document.document_id)))


def knowledge_version(documents: Sequence[Document]) -> str:
    """One version for the whole knowledge base: it changes with any page, not with their order."""
    lines = sorted(f"{document.document_id} {document.document_version}" for document in documents)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def render_for_prompt(document: Document) -> str:
    """The page as a model reads it: ids and texts; dates and sources stay behind, they change no verdict."""
    if not document.statements:
        return document.text.strip()
    lines = [f"# {document.title}"]
    for statement in document.statements:
        wrong = "".join(f' (often said wrongly: "{phrase}")' for phrase in statement.often_said_wrongly)
        lines.append(f"[{statement.id}] {statement.text}{wrong}")
    return "\n".join(lines)


def read_document(path: Path, *, expected_kind: str) -> tuple[Document | None, list[DocumentProblem]]:
    """One page, or None with the reasons."""
    name = path.name
    try:
        source_text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return None, [DocumentProblem(name, "", f"cannot be read ({error})", "Save it as UTF-8 text")]
    parts = re.split(r"^---\s*$", source_text, maxsplit=2, flags=re.MULTILINE)
    if len(parts) != 3 or parts[0].strip():
        return None, [
            DocumentProblem(name, "", "has no front matter", "Start it with `---`, document_id, kind, title, `---`")
        ]
    try:
        head = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        return None, [
            DocumentProblem(name, "front matter", f"is not readable YAML ({error})", "Quote texts with colons")
        ]
    if not isinstance(head, dict):
        return None, [DocumentProblem(name, "front matter", "holds no mapping", "Write `document_id: ...` lines")]
    problems = [
        DocumentProblem(name, "front matter", f"has no `{key}`", f"Add `{key}: ...`")
        for key in ("document_id", "kind", "title")
        if not str(head.get(key) or "").strip()
    ]
    if not problems and head["kind"] != expected_kind:
        problems.append(
            DocumentProblem(
                name, "front matter", f"says kind '{head['kind']}'", f"Pages in this place are of kind {expected_kind}"
            )
        )
    statements, found = _read_statements(name, parts[2])
    problems += found
    if expected_kind != "policy" and not statements and not found:
        problems.append(
            DocumentProblem(name, "", "holds no statement", "Add at least one `### <id>` with text, date and source")
        )
    if problems:
        return None, problems
    return (
        Document(
            document_id=str(head["document_id"]),
            kind=head["kind"],
            title=str(head["title"]),
            document_version=hashlib.sha256(source_text.encode()).hexdigest()[:12],
            statements=tuple(statements),
            text=parts[2].strip() + "\n",
            source_text=source_text,
        ),
        [],
    )


def _read_statements(file: str, text: str) -> tuple[list[Statement], list[DocumentProblem]]:
    statements: list[Statement] = []
    problems: list[DocumentProblem] = []
    blocks = re.split(r"^### +", text, flags=re.MULTILINE)[1:]
    for block in blocks:
        heading, _, body = block.partition("\n")
        identifier = heading.strip()
        # a level-two heading ends the statement before it
        body = re.split(r"^## ", body, maxsplit=1, flags=re.MULTILINE)[0]
        where = f"statement {identifier}"
        lines = [line.strip() for line in body.splitlines() if line.strip()]
        fields = [line[2:].partition(":") for line in lines if line.startswith("- ")]
        values: dict[str, list[str]] = {}
        for key, _, value in fields:
            values.setdefault(key.strip(), []).append(value.strip())
        sentence = " ".join(line for line in lines if not line.startswith("- "))
        if not STATEMENT_ID.match(identifier):
            problems.append(
                DocumentProblem(file, where, "the id is not lower-kebab-case", "Use letters, digits and hyphens only")
            )
        if not sentence:
            problems.append(DocumentProblem(file, where, "has no text", "Write the statement under its heading"))
        problems += [
            DocumentProblem(file, where, f"has no {key}", f"Add the line `- {key}: ...`")
            for key in ("date", "source")
            if not "".join(values.get(key, []))
        ]
        problems += [
            DocumentProblem(file, where, f"holds the unknown entry '{key}'", "Use date, source or often said wrongly")
            for key in values
            if key not in ("date", "source", "often said wrongly")
        ]
        day: date | None = None
        if values.get("date"):
            try:
                day = date.fromisoformat(values["date"][0])
            except ValueError:
                problems.append(
                    DocumentProblem(file, where, f"has the date '{values['date'][0]}'", "Write it as YYYY-MM-DD")
                )
        if sentence and day is not None and values.get("source"):
            statements.append(
                Statement(
                    id=identifier,
                    text=sentence,
                    date=day,
                    source=values["source"][0],
                    often_said_wrongly=tuple(values.get("often said wrongly", ())),
                )
            )
    return statements, problems


def _problems_across(documents: list[Document]) -> list[DocumentProblem]:
    problems: list[DocumentProblem] = []
    pages: dict[str, str] = {}
    statements: dict[str, str] = {}
    for document in documents:
        other = pages.setdefault(document.document_id, document.title)
        if other != document.title:
            problems.append(
                DocumentProblem(
                    document.title,
                    "front matter",
                    f"shares the id '{document.document_id}' with '{other}'",
                    "Rename one",
                )
            )
        for statement in document.statements:
            if statement.id in statements:
                problems.append(
                    DocumentProblem(
                        document.document_id,
                        f"statement {statement.id}",
                        f"the id is already used in {statements[statement.id]}",
                        "Rename one of the two: findings name a statement by its id alone",
                    )
                )
            statements[statement.id] = document.document_id
    return problems
