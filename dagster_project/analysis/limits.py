"""What a model allows and how large a chunk may therefore be; which versions a dimension is asked under."""

from dataclasses import dataclass
from datetime import UTC, datetime

from dagster_project.analysis.knowledge_base import BRIEF, KnowledgeBase
from dagster_project.analysis.prompts import (
    OPERATOR_CHANNEL_MODELS,
    brief_version,
    prompt_version,
    questions_text,
    system_text,
)
from dagster_project.analysis.redaction import REDACTOR_VERSION
from dagster_project.analysis.settings import AnalysisSettings
from dagster_project.analysis.tokens import claude_tokens

# current Claude tokenizers count up to 1.7 times what cl100k counts on spoken English
CLAUDE_PER_CL100K = 1.7
# settings that ask for more thinking than the scoring needs are possible, but not the default
DEFAULT_EFFORT = "medium"


class SettingsError(ValueError):
    """The settings ask for something the model does not offer."""


@dataclass(frozen=True, slots=True)
class Question:
    """Everything besides the transcript that decides what an answer is an answer to."""

    model: str
    effort: str | None
    thinking: str | None
    is_sandbox: bool
    is_operator_channel: bool
    knowledge_version: str
    prompt_version: str
    redactor_version: str
    rubric_versions: dict[str, str]


def question_of(*, settings: AnalysisSettings, knowledge: KnowledgeBase) -> Question:
    model = knowledge.models.model(settings.model)
    effort, thinking = settings.effort, settings.thinking
    if effort is None and model.efforts:
        effort = DEFAULT_EFFORT
    if thinking is None and model.thinking_modes and model.thinking_modes[0] != "budget":
        thinking = model.thinking_modes[0]
    if effort is not None and effort not in model.efforts:
        raise SettingsError(
            f"{model.id} has no effort {effort!r}; set CALL_COACH_EFFORT to one of "
            f"{', '.join(model.efforts) or 'nothing'}"
        )
    if thinking is not None and thinking not in model.thinking_modes:
        raise SettingsError(
            f"{model.id} has no thinking mode {thinking!r}; set CALL_COACH_THINKING to one of "
            f"{', '.join(model.thinking_modes)}"
        )
    return Question(
        model=model.id,
        effort=effort,
        thinking=thinking,
        is_sandbox=model.is_sandbox,
        is_operator_channel=model.id in OPERATOR_CHANNEL_MODELS,
        knowledge_version=knowledge.version,
        prompt_version=prompt_version(),
        redactor_version=REDACTOR_VERSION,
        rubric_versions=versions_by_dimension(knowledge),
    )


def fallback_of(*, settings: AnalysisSettings, knowledge: KnowledgeBase) -> Question | None:
    """The same question to the model that is asked once where the first declines to answer, if there is one."""
    name = knowledge.models.model(settings.model).refusal_fallback
    if name is None:
        return None
    # effort and thinking were chosen for the other model
    elsewhere = settings.model_copy(update={"model": name, "effort": None, "thinking": None})
    return question_of(settings=elsewhere, knowledge=knowledge)


def versions_by_dimension(knowledge: KnowledgeBase) -> dict[str, str]:
    versions = {rubric.dimension: rubric.rubric_version for rubric in knowledge.rubrics}
    return {**versions, BRIEF: brief_version()}


def whole_call_limit(*, settings: AnalysisSettings, knowledge: KnowledgeBase) -> int:
    """Tokens by cl100k up to which a call stays whole: what the window and the price band hold together.

    Cutting costs a third more and can part an objection from its answer, so within a 1M window nothing is cut.
    """
    model = knowledge.models.model(settings.model)
    longest = max(claude_tokens(len(questions_text([name], knowledge))) for name in knowledge.dimensions)
    static = claude_tokens(len(system_text(knowledge))) + longest
    # twice: an answer that was cut off is asked for again with double the room
    window = model.context_window - static - 2 * settings.max_output_tokens
    today = datetime.now(UTC).date()
    band = knowledge.models.price(model.id, today, model.context_window)
    if band.prompt_tokens_above:
        window = min(window, band.prompt_tokens_above - static)
    limit = int(window / CLAUDE_PER_CL100K)
    if limit < 1_000:
        raise SettingsError(
            f"{model.id} leaves {window} tokens for a transcript beside {static} tokens of instructions and knowledge; "
            "shorten the knowledge pages or choose a model with a larger window"
        )
    return limit if settings.whole_call_tokens is None else min(limit, settings.whole_call_tokens)
