import shutil
from datetime import date
from pathlib import Path

import pytest

from knowledge.check import KNOWLEDGE_FOLDER, check, inventory
from knowledge.documents import load_documents

DAY = date(2026, 11, 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "knowledge"
    shutil.copytree(KNOWLEDGE_FOLDER, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return copy


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_knowledge_folder_has_no_error_and_no_weak_marker() -> None:
    findings = check(on=DAY)
    assert [str(finding) for finding in findings if finding.file != "models.yaml"] == []


def test_a_model_about_to_retire_is_named() -> None:
    assert any("claude-sonnet-4-5: retires on 2026-11-30" in str(finding) for finding in check(on=DAY))


def test_errors_of_all_files_are_found_in_one_go(folder: Path) -> None:
    change(folder / "rubrics" / "discovery.yaml", "AE: 35", "AE: 36")
    change(folder / "products" / "prefect.md", "- date: ", "- day: ")
    change(folder / "models.yaml", "input: 2,", "input: -2,")
    errors = [finding for finding in check(folder) if finding.level == "error"]
    assert {finding.file for finding in errors} == {"discovery.yaml", "prefect.md", "models.yaml"}


def test_a_cue_of_two_markers_is_a_warning(folder: Path) -> None:
    change(
        folder / "rubrics" / "discovery.yaml",
        "cues: [what will you judge",
        "cues: [where does it hurt, what will you judge",
    )
    texts = [str(finding) for finding in check(folder)]
    assert any("ds1_asks_problem, ds3_asks_criteria: share the cue 'where does it hurt'" in text for text in texts)


def test_an_example_that_contradicts_its_cues_is_a_warning(folder: Path) -> None:
    change(folder / "rubrics" / "discovery.yaml", "How many people are on your data team?", "So where does it hurt?")
    change(
        folder / "rubrics" / "discovery.yaml", "What is the hardest part of a normal Monday", "What is hard on a Monday"
    )
    texts = [str(finding) for finding in check(folder)]
    assert any("marker ds1_asks_problem: the no_example holds the cue" in text for text in texts)
    assert any("marker ds1_asks_problem: the yes_example holds none of the cues" in text for text in texts)


def test_a_cue_of_one_word_is_a_warning(folder: Path) -> None:
    change(folder / "rubrics" / "discovery.yaml", "cues: [what will you judge", "cues: [judge, what will you judge")
    assert any("the cue 'judge' is a single word" in str(finding) for finding in check(folder))


def test_a_statement_nobody_has_read_for_a_year_is_a_warning(folder: Path) -> None:
    change(folder / "products" / "prefect.md", "- date: 2026-11-20", "- date: 2025-11-01")
    texts = [str(finding) for finding in check(folder, on=DAY)]
    assert any("was last read on 2025-11-01. Read its source again and renew the date" in text for text in texts)


def test_a_sound_folder_says_what_it_holds() -> None:
    rubrics, statements, models = inventory()
    assert rubrics.startswith("4 rubrics with 16 criteria and ")
    assert "each with its source; last read between 2026-" in statements
    assert "the newest is in force since 2026-" in models


def test_every_statement_names_a_public_page() -> None:
    statements = [statement for document in load_documents() for statement in document.statements]
    assert len(statements) > 90
    assert [statement.id for statement in statements if "https://" not in statement.source] == []
