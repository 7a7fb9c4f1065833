"""Titles and questions of criteria and markers, from the rubric files."""

from functools import cache

from knowledge.rubrics import Criterion, Marker, load_rubrics


@cache
def _criteria() -> dict[str, Criterion]:
    return {criterion.criterion_id: criterion for rubric in load_rubrics() for criterion in rubric.criteria}


@cache
def _markers() -> dict[str, Marker]:
    return {marker.marker_id: marker for criterion in _criteria().values() for marker in criterion.markers}


def criterion_title(criterion_id: str | None) -> str:
    """The criterion's title, or its id where the rubric no longer holds it."""
    found = _criteria().get(criterion_id or "")
    return found.title if found else (criterion_id or "").replace("_", " ")


def marker_question(marker_id: str | None) -> str:
    """The marker's question, or its id where the rubric no longer holds it."""
    found = _markers().get(marker_id or "")
    return found.question if found else (marker_id or "").replace("_", " ")


def marker_anchor(marker_id: str | None) -> str:
    """What a yes looks like, or nothing where the rubric no longer holds the marker."""
    found = _markers().get(marker_id or "")
    return found.anchor if found else ""
