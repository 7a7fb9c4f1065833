"""`call-coach knowledge check`: everything that is wrong or weak in the knowledge folder.

An error stops the pipeline, a warning makes scores weaker: a cue that two markers share, an example that contradicts
its own cues, a statement older than a year, a model about to retire.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from knowledge.documents import Document, DocumentError, load_documents
from knowledge.metrics import MetricError, load_metrics
from knowledge.models import ModelError, load_models
from knowledge.rubrics import Rubric, RubricError, load_rubrics

KNOWLEDGE_FOLDER = Path(__file__).parent
STATEMENT_AGE_LIMIT = timedelta(days=365)
RETIREMENT_NOTICE = timedelta(days=60)
MIN_CUE_WORDS = 2


@dataclass(frozen=True)
class Finding:
    """One thing to mend, with the place and the mend."""

    level: Literal["error", "warning"]
    file: str
    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.where}" if self.where else self.file
        return f"{self.level}: {place}: {self.what}. {self.mend}"


def check(folder: Path | None = None, *, on: date | None = None) -> list[Finding]:
    """Every finding of the folder, errors first; `on` is the day ages are measured from (default: no age check)."""
    folder = folder or KNOWLEDGE_FOLDER
    findings: list[Finding] = []
    try:
        for rubric in load_rubrics(folder / "rubrics"):
            findings += _weak_markers(rubric)
    except RubricError as error:
        findings += [Finding("error", p.file, p.where, p.what, p.mend) for p in error.problems]
    try:
        for document in load_documents(folder):
            findings += _weak_statements(document, on)
    except DocumentError as error:
        findings += [Finding("error", p.file, p.where, p.what, p.mend) for p in error.problems]
    try:
        for model in load_models(folder / "models.yaml").models:
            if on is not None and model.retires_on is not None and model.retires_on - on <= RETIREMENT_NOTICE:
                findings.append(
                    Finding(
                        "warning",
                        "models.yaml",
                        model.id,
                        f"retires on {model.retires_on}",
                        "Move anything that still names it to a newer model",
                    )
                )
    except ModelError as error:
        findings.append(Finding("error", "models.yaml", "", str(error), "Correct the entry"))
    try:
        load_metrics(folder / "metrics.yaml")
    except MetricError as error:
        findings.append(Finding("error", "metrics.yaml", "", str(error), "Correct the entry"))
    return sorted(findings, key=lambda finding: (finding.level != "error", finding.file, finding.where, finding.what))


def inventory(folder: Path | None = None) -> list[str]:
    """What a sound folder holds, in lines for people."""
    folder = folder or KNOWLEDGE_FOLDER
    rubrics = load_rubrics(folder / "rubrics")
    criteria = [criterion for rubric in rubrics for criterion in rubric.criteria]
    documents = load_documents(folder)
    statements = [statement for document in documents for statement in document.statements]
    models = load_models(folder / "models.yaml").models
    priced = [price.valid_from for model in models for price in model.prices]
    read = sorted(statement.date for statement in statements)
    return [
        f"{len(rubrics)} rubrics with {len(criteria)} criteria and {sum(len(c.markers) for c in criteria)} markers",
        f"{len(statements)} statements on {sum(bool(document.statements) for document in documents)} pages, each with "
        f"its source" + (f"; last read between {read[0]} and {read[-1]}" if read else ""),
        f"{len(models)} models with {len(priced)} prices; the newest is in force since {max(priced)}",
    ]


def fold(text: str) -> str:
    """Lower case, straight quotes, single spaces: the form in which cues are compared."""
    return re.sub(r"\s+", " ", text.lower().replace("’", "'").replace("‘", "'")).strip()


def _weak_markers(rubric: Rubric) -> list[Finding]:
    findings: list[Finding] = []
    file = f"{rubric.dimension}.yaml"
    owners: dict[str, set[str]] = defaultdict(set)

    def warn(where: str, what: str, mend: str) -> None:
        findings.append(Finding("warning", file, where, what, mend))

    for criterion in rubric.criteria:
        if not any(marker.kind == "confirming" for marker in criterion.markers):
            warn(
                f"criterion {criterion.criterion_id}",
                "has no confirming marker, so level 5 is out of reach",
                "Add one",
            )
        for marker in criterion.markers:
            where = f"criterion {criterion.criterion_id}, marker {marker.marker_id}"
            for cue in marker.cues:
                owners[fold(cue)].add(marker.marker_id)
                if cue != fold(cue):
                    warn(where, f"the cue '{cue}' is not in lower case with single spaces", "Write it so")
                if len(cue.split()) < MIN_CUE_WORDS:
                    warn(where, f"the cue '{cue}' is a single word and fires too often", "Use a phrase")
            if not any(fold(cue) in fold(marker.yes_example) for cue in marker.cues):
                warn(where, "the yes_example holds none of the cues", "Use one of them in it or add its phrase")
            for cue in marker.cues:
                if fold(cue) in fold(marker.no_example):
                    warn(where, f"the no_example holds the cue '{cue}'", "Change one of the two")
    for cue, markers in owners.items():
        for other, other_markers in owners.items():
            if cue in other and (markers | other_markers) != markers:
                warn(
                    "markers " + ", ".join(sorted(markers | other_markers)),
                    f"the cue '{cue}' also lies in '{other}' of another marker",
                    "Make them distinct",
                )
        if len(markers) > 1:
            warn("markers " + ", ".join(sorted(markers)), f"share the cue '{cue}'", "Make them distinct")
    return findings


def _weak_statements(document: Document, on: date | None) -> list[Finding]:
    if on is None:
        return []
    return [
        Finding(
            "warning",
            document.document_id,
            f"statement {statement.id}",
            f"was last read on {statement.date}",
            "Read its source again and renew the date",
        )
        for statement in document.statements
        if on - statement.date > STATEMENT_AGE_LIMIT
    ]
