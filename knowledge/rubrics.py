"""Rubrics: what good looks like, one YAML file per scored dimension.

    knowledge/rubrics/*.yaml -> load_rubrics() -> prompts, levels in dbt, pages

A file is refused as a whole with every problem it has, each naming the file, the criterion, the marker and the mend.
`call-coach knowledge check` runs the same rules plus those of `knowledge.check`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

RUBRICS_FOLDER = Path(__file__).parent / "rubrics"
ROLES = ("AE", "SE", "CSM")
IDENTIFIER = re.compile(r"^[a-z][a-z0-9_]*$")

Role = Literal["AE", "SE", "CSM"]
EvidenceSide = Literal["rep", "customer", "any"]
MarkerKind = Literal["positive", "negative", "confirming"]


class Marker(BaseModel):
    """One observable behaviour, answered yes, no or not applicable with quotes."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    marker_id: str
    question: str = Field(min_length=1)
    anchor: str = Field(min_length=1)
    yes_example: str = Field(min_length=1)
    no_example: str = Field(min_length=1)
    not_applicable_when: str = Field(min_length=1)
    evidence_side: EvidenceSide
    kind: MarkerKind
    # short phrases that often signal the behaviour: a hint for the reader, never a rule for the verdict
    cues: tuple[str, ...] = Field(min_length=1)
    # phrases of the customer that give the occasion; empty when every call gives it
    opportunity_cues: tuple[str, ...] = ()


class Criterion(BaseModel):
    """A group of markers that becomes one level from 1 to 5."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    criterion_id: str
    title: str = Field(min_length=1)
    source: str = Field(min_length=1)
    weights: dict[Role, int]
    markers: tuple[Marker, ...] = Field(min_length=1)


class Rubric(BaseModel):
    """A scored dimension; its version is the hash of the file's text."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    dimension: str
    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    rubric_version: str
    source_text: str = Field(repr=False)
    criteria: tuple[Criterion, ...] = Field(min_length=1)

    @property
    def markers(self) -> tuple[Marker, ...]:
        return tuple(marker for criterion in self.criteria for marker in criterion.markers)


@dataclass(frozen=True)
class RubricProblem:
    """One thing wrong in a rubric file and how to mend it."""

    file: str
    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.where}" if self.where else self.file
        return f"{place}: {self.what}. {self.mend}"


class RubricError(ValueError):
    """The rubrics cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: tuple[RubricProblem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


# the C parser where PyYAML was built with it: ten times as fast, and every start of the MCP server reads the rubrics
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeyLoader(_SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; a rubric must not lose a criterion that way."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key, count in Counter(map(str, keys)).items():
            if count > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def load_rubrics(folder: Path | None = None) -> tuple[Rubric, ...]:
    """Every rubric of the folder, sorted by dimension.

    Raises:
        RubricError: with all problems of all files.
    """
    folder = folder or RUBRICS_FOLDER
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise RubricError(
            (RubricProblem(str(folder), "", "no rubric file here", "Put at least one <dimension>.yaml into it"),)
        )
    rubrics: list[Rubric] = []
    problems: list[RubricProblem] = []
    for path in files:
        rubric, found = read_rubric(path)
        problems += found
        if rubric is not None:
            rubrics.append(rubric)
    problems += _problems_across(rubrics)
    if problems:
        raise RubricError(tuple(problems))
    return tuple(sorted(rubrics, key=lambda rubric: rubric.dimension))


def read_rubric(path: Path) -> tuple[Rubric | None, list[RubricProblem]]:
    """One file as a rubric, or None with the reasons."""
    try:
        source_text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return None, [RubricProblem(path.name, "", f"cannot be read ({error})", "Save it as UTF-8 text")]
    try:
        body = yaml.load(source_text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader with one more check
    except yaml.YAMLError as error:
        return None, [_yaml_problem(path.name, error)]
    if not isinstance(body, dict):
        return None, [
            RubricProblem(path.name, "", "holds no mapping", "Start it with `dimension:`, `title:`, `question:`")
        ]
    try:
        rubric = Rubric.model_validate({**body, "rubric_version": "", "source_text": source_text})
    except ValidationError as error:
        return None, [_shape_problem(path.name, body, detail) for detail in error.errors()]
    problems = _problems_within(path, rubric)
    return (None if problems else rubric.model_copy(update={"rubric_version": _version(rubric)})), problems


def _version(rubric: Rubric) -> str:
    """12 hex digits of everything Claude is asked; weights are applied in the warehouse and change no answer."""
    criteria = {"__all__": {"weights"}}
    asked = rubric.model_dump(mode="json", exclude={"rubric_version": True, "source_text": True, "criteria": criteria})
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def _yaml_problem(file: str, error: yaml.YAMLError) -> RubricProblem:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}" if mark is not None else ""
    reason = getattr(error, "problem", None) or str(error)
    return RubricProblem(
        file, where, f"is not readable YAML ({reason})", "Quote texts that hold a colon and check the indentation"
    )


def _shape_problem(file: str, body: dict[str, Any], detail: Any) -> RubricProblem:
    location = list(detail["loc"])
    mends = {
        "missing": f"Add `{location[-1]}:`",
        "extra_forbidden": f"Remove `{location[-1]}` or correct its spelling",
        "string_too_short": f"Write a text behind `{location[-1]}:`",
        "too_short": f"Give `{location[-1]}` at least one entry",
        "literal_error": f"Use {detail.get('ctx', {}).get('expected', 'an allowed value')}",
    }
    return RubricProblem(
        file,
        _place(body, location),
        f"`{'.'.join(str(part) for part in location)}`: {detail['msg'].lower()}",
        mends.get(detail["type"], "Correct the value"),
    )


def _place(body: dict[str, Any], location: list[Any]) -> str:
    """Turn a path such as criteria.1.markers.0.anchor into the ids a person looks for."""
    names: list[str] = []
    node: Any = body
    for part in location:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(node, dict):
            if "criterion_id" in node:
                names.append(f"criterion {node['criterion_id']}")
            elif "marker_id" in node:
                names.append(f"marker {node['marker_id']}")
            elif isinstance(part, int):
                names.append(f"entry {part + 1}")
    return ", ".join(names)


def _problems_within(path: Path, rubric: Rubric) -> list[RubricProblem]:
    problems: list[RubricProblem] = []

    def add(where: str, what: str, mend: str) -> None:
        problems.append(RubricProblem(path.name, where, what, mend))

    if rubric.dimension != path.stem:
        add("", f"holds the dimension '{rubric.dimension}'", f"Name the file {rubric.dimension}.yaml or rename it")
    if rubric.dimension == "call_brief":
        add("", "'call_brief' is taken by the brief, which is not scored", "Choose another dimension")
    for role in ROLES:
        total = sum(criterion.weights.get(role, 0) for criterion in rubric.criteria)  # type: ignore[call-overload]
        if total != 100:
            parts = ", ".join(
                f"{criterion.criterion_id} {criterion.weights.get(role, 0)}"  # type: ignore[call-overload]
                for criterion in rubric.criteria
            )
            add(f"role {role}", f"the weights sum to {total} ({parts})", "Make them sum to 100")
    for criterion in rubric.criteria:
        place = f"criterion {criterion.criterion_id}"
        if not IDENTIFIER.match(criterion.criterion_id):
            add(place, "the id is not lower_snake_case", "Use letters, digits and underscores only")
        for role in ROLES:
            weight = criterion.weights.get(role)  # type: ignore[call-overload]
            if weight is None:
                add(place, f"has no weight for {role}", f"Add `{role}: <0-100>` to its weights")
            elif weight < 0:
                add(place, f"has the weight {weight} for {role}", "Use 0 or more")
        if all(marker.kind == "negative" for marker in criterion.markers):
            add(place, "has only negative markers, so no level can be earned", "Add a positive marker")
        for marker in criterion.markers:
            if not IDENTIFIER.match(marker.marker_id):
                add(
                    f"{place}, marker {marker.marker_id}",
                    "the id is not lower_snake_case",
                    "Use letters, digits and underscores only",
                )
            if marker.kind == "confirming" and marker.evidence_side != "customer":
                add(
                    f"{place}, marker {marker.marker_id}",
                    f"is confirming, but its evidence_side is '{marker.evidence_side}'",
                    "Set evidence_side: customer; only the customer can confirm",
                )
    for name, ids in (
        ("criterion", [criterion.criterion_id for criterion in rubric.criteria]),
        ("marker", [marker.marker_id for marker in rubric.markers]),
    ):
        for identifier, count in Counter(ids).items():
            if count > 1:
                add(f"{name} {identifier}", f"the id stands {count} times", "Give every one its own id")
    return problems


def _problems_across(rubrics: list[Rubric]) -> list[RubricProblem]:
    """Ids are unique over all files: findings are joined by marker id alone."""
    problems: list[RubricProblem] = []
    seen: dict[tuple[str, str], str] = {}
    for rubric in rubrics:
        ids = {("criterion", criterion.criterion_id) for criterion in rubric.criteria}
        ids |= {("marker", marker.marker_id) for marker in rubric.markers}
        for kind, identifier in sorted(ids):
            other = seen.setdefault((kind, identifier), rubric.dimension)
            if other != rubric.dimension:
                problems.append(
                    RubricProblem(
                        f"{rubric.dimension}.yaml",
                        f"{kind} {identifier}",
                        f"the id is already used in {other}.yaml",
                        "Rename one of the two",
                    )
                )
    return problems
