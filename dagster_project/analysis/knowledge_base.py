"""Everything of `knowledge/` that one scoring run uses, loaded once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from knowledge.documents import Document, knowledge_version, load_documents
from knowledge.models import ModelCatalogue, load_models
from knowledge.rubrics import Marker, Rubric, load_rubrics

# summary, objections and next steps: asked like a dimension, never scored
BRIEF = "call_brief"


@dataclass(frozen=True)
class KnowledgeBase:
    rubrics: tuple[Rubric, ...]
    documents: tuple[Document, ...]
    models: ModelCatalogue

    @cached_property
    def version(self) -> str:
        return knowledge_version(self.documents)

    @property
    def dimensions(self) -> tuple[str, ...]:
        return (*(rubric.dimension for rubric in self.rubrics), BRIEF)

    def rubric(self, dimension: str) -> Rubric:
        for rubric in self.rubrics:
            if rubric.dimension == dimension:
                return rubric
        raise KeyError(
            f"there is no dimension {dimension!r}; the rubrics have {', '.join(self.dimensions)}. "
            "A dimension is one file in knowledge/rubrics."
        )

    def markers(self, dimensions: Sequence[str]) -> dict[str, tuple[str, str, Marker]]:
        """marker_id -> (dimension, criterion_id, marker)."""
        return {
            marker.marker_id: (name, criterion.criterion_id, marker)
            for name in dimensions
            if name != BRIEF
            for criterion in self.rubric(name).criteria
            for marker in criterion.markers
        }


def load_knowledge_base() -> KnowledgeBase:
    return KnowledgeBase(rubrics=load_rubrics(), documents=load_documents(), models=load_models())
