from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from knowledge.rubrics import ROLES, RUBRICS_FOLDER, Rubric, RubricError, load_rubrics

DIMENSIONS = ("discovery", "engagement", "objections", "product_knowledge")


@pytest.fixture
def rubric_folder(tmp_path: Path) -> Path:
    """One good rubric file to break."""
    text = (RUBRICS_FOLDER / "discovery.yaml").read_text(encoding="utf-8")
    (tmp_path / "discovery.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def rewrite(folder: Path, change: Callable[[dict], None]) -> None:
    path = folder / "discovery.yaml"
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(body)
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(RubricError) as caught:
        load_rubrics(folder)
    return [str(problem) for problem in caught.value.problems]


def test_the_four_rubrics_load_sorted_by_dimension() -> None:
    assert tuple(rubric.dimension for rubric in load_rubrics()) == DIMENSIONS


@pytest.mark.parametrize("rubric", load_rubrics(), ids=lambda rubric: rubric.dimension)
def test_a_rubric_is_complete(rubric: Rubric) -> None:
    assert 3 <= len(rubric.criteria) <= 5
    for role in ROLES:
        assert sum(criterion.weights[role] for criterion in rubric.criteria) == 100
    for criterion in rubric.criteria:
        assert criterion.source
        assert 3 <= len(criterion.markers) <= 5
        kinds = [marker.kind for marker in criterion.markers]
        # without a confirming marker nobody can reach level 5, without a positive one nobody leaves level 1
        assert "confirming" in kinds
        assert kinds.count("positive") + kinds.count("confirming") >= 2
    assert 12 <= len(rubric.markers) <= 18


def test_the_version_changes_with_what_claude_is_asked(rubric_folder: Path) -> None:
    before = load_rubrics(rubric_folder)[0].rubric_version
    path = rubric_folder / "discovery.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("what hurts", "what is hard"), encoding="utf-8")
    after = load_rubrics(rubric_folder)[0].rubric_version
    assert len(before) == len(after) == 12
    assert before != after


def test_new_weights_and_remarks_ask_nothing_anew(rubric_folder: Path) -> None:
    before = load_rubrics(rubric_folder)[0]
    path = rubric_folder / "discovery.yaml"
    text = path.read_text(encoding="utf-8").replace("AE: 35", "AE: 36", 1).replace("AE: 25", "AE: 24", 1)
    path.write_text(text + "# a remark\n", encoding="utf-8")
    after = load_rubrics(rubric_folder)[0]
    assert after.criteria[0].weights != before.criteria[0].weights
    assert after.rubric_version == before.rubric_version


def test_a_new_file_is_a_new_dimension(rubric_folder: Path) -> None:
    body = yaml.safe_load((rubric_folder / "discovery.yaml").read_text(encoding="utf-8"))
    body["dimension"] = "time_keeping"
    for criterion in body["criteria"]:
        criterion["criterion_id"] = "tk_" + criterion["criterion_id"]
        for marker in criterion["markers"]:
            marker["marker_id"] = "tk_" + marker["marker_id"]
    (rubric_folder / "time_keeping.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
    assert [rubric.dimension for rubric in load_rubrics(rubric_folder)] == ["discovery", "time_keeping"]


def test_weights_that_do_not_sum_to_a_hundred_name_role_sum_and_mend(rubric_folder: Path) -> None:
    rewrite(rubric_folder, lambda body: body["criteria"][0]["weights"].update(SE=31))
    assert problems_of(rubric_folder) == [
        "discovery.yaml: role SE: the weights sum to 101 (ds1_problem_depth 31, ds2_listens 25, ds3_decision 25, "
        "ds4_frame_advance 20). Make them sum to 100"
    ]


def test_a_missing_role_is_named(rubric_folder: Path) -> None:
    rewrite(rubric_folder, lambda body: body["criteria"][1]["weights"].pop("CSM"))
    texts = problems_of(rubric_folder)
    assert any("criterion ds2_listens: has no weight for CSM. Add `CSM: <0-100>`" in text for text in texts)


@pytest.mark.parametrize("key", ["anchor", "yes_example", "no_example", "question", "not_applicable_when"])
def test_a_missing_text_names_file_criterion_marker_and_mend(rubric_folder: Path, key: str) -> None:
    rewrite(rubric_folder, lambda body: body["criteria"][2]["markers"][1].pop(key))
    (text,) = problems_of(rubric_folder)
    assert text.startswith("discovery.yaml: criterion ds3_decision, marker ds3_asks_people: ")
    assert text.endswith(f"Add `{key}:`")


def test_an_empty_example_is_refused(rubric_folder: Path) -> None:
    rewrite(rubric_folder, lambda body: body["criteria"][0]["markers"][0].update(no_example="  "))
    (text,) = problems_of(rubric_folder)
    assert "marker ds1_asks_problem" in text
    assert "Write a text behind `no_example:`" in text


def test_a_misspelt_key_is_refused(rubric_folder: Path) -> None:
    rewrite(rubric_folder, lambda body: body["criteria"][0]["markers"][0].update(anker="x"))
    (text,) = problems_of(rubric_folder)
    assert "marker ds1_asks_problem" in text
    assert "Remove `anker` or correct its spelling" in text


def test_an_unknown_kind_lists_the_allowed_ones(rubric_folder: Path) -> None:
    rewrite(rubric_folder, lambda body: body["criteria"][0]["markers"][0].update(kind="good"))
    (text,) = problems_of(rubric_folder)
    assert "'positive', 'negative' or 'confirming'" in text


def test_an_id_used_twice_is_refused(rubric_folder: Path) -> None:
    rewrite(rubric_folder, lambda body: body["criteria"][1]["markers"][0].update(marker_id="ds1_asks_impact"))
    assert problems_of(rubric_folder) == [
        "discovery.yaml: marker ds1_asks_impact: the id stands 2 times. Give every one its own id"
    ]


def test_an_id_used_in_two_files_is_refused(rubric_folder: Path) -> None:
    text = (rubric_folder / "discovery.yaml").read_text(encoding="utf-8")
    other = text.replace("dimension: discovery", "dimension: other")
    (rubric_folder / "other.yaml").write_text(other, encoding="utf-8")
    texts = problems_of(rubric_folder)
    assert (
        "other.yaml: marker ds1_asks_impact: the id is already used in discovery.yaml. Rename one of the two" in texts
    )


def test_confirmation_by_the_rep_is_refused(rubric_folder: Path) -> None:
    rewrite(rubric_folder, lambda body: body["criteria"][0]["markers"][3].update(evidence_side="rep"))
    (text,) = problems_of(rubric_folder)
    assert "marker ds1_customer_quantifies: is confirming" in text


def test_a_file_name_that_differs_from_the_dimension_is_refused(rubric_folder: Path) -> None:
    (rubric_folder / "discovery.yaml").rename(rubric_folder / "discovry.yaml")
    (text,) = problems_of(rubric_folder)
    assert text == "discovry.yaml: holds the dimension 'discovery'. Name the file discovery.yaml or rename it"


def test_unreadable_yaml_names_the_line(rubric_folder: Path) -> None:
    path = rubric_folder / "discovery.yaml"
    path.write_text("dimension: discovery\ntitle: A: B\n", encoding="utf-8")
    (text,) = problems_of(rubric_folder)
    assert text.startswith("discovery.yaml: line 2: is not readable YAML")


def test_a_key_that_stands_twice_is_refused(rubric_folder: Path) -> None:
    path = rubric_folder / "discovery.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "title: Again\n", encoding="utf-8")
    (text,) = problems_of(rubric_folder)
    assert "the key 'title' stands twice" in text


def test_binary_and_empty_files_are_refused_with_a_mend(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "two.yaml").write_text("", encoding="utf-8")
    texts = problems_of(tmp_path)
    assert any(text.startswith("one.yaml: cannot be read") and "UTF-8" in text for text in texts)
    assert any(text.startswith("two.yaml: holds no mapping") for text in texts)


def test_an_empty_folder_says_what_is_missing(tmp_path: Path) -> None:
    (text,) = problems_of(tmp_path)
    assert "no rubric file here. Put at least one <dimension>.yaml into it" in text


def test_every_problem_is_reported_not_only_the_first(rubric_folder: Path) -> None:
    def change(body: dict) -> None:
        body["criteria"][0]["markers"][0].pop("anchor")
        body["criteria"][1]["markers"][0].pop("yes_example")

    rewrite(rubric_folder, change)
    assert len(problems_of(rubric_folder)) == 2
