"""The one answer schema of all dimensions, and its parsed form.

Fields stand in the order they are to be written: what was found, why it matters, then the verdict. Everything is
required and nothing is a union, which keeps the grammar small; "none" is an empty list, an empty string or 0.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

VERDICTS = ("yes", "no", "not_applicable")
STATEMENT_VERDICTS = ("correct", "inaccurate", "missed_opportunity")
SENTIMENTS = ("positive", "neutral", "negative", "mixed")
OBJECTION_TYPES = ("price", "timing", "need", "authority", "competitor", "technical", "trust")
OUTCOMES = ("resolved", "parked", "unresolved")
OWNERS = ("rep", "team", "customer", "unknown")
FLAG_KINDS = ("risk", "opportunity")
PRIORITIES = ("critical", "high", "medium", "low")

STRING = {"type": "string"}
TURN_ID = {"type": "integer"}


def record(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def listing(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def choice(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


ANSWER_SCHEMA = record(
    steering_turn_ids=listing(TURN_ID),
    markers=listing(
        record(
            marker_id=STRING,
            evidence=listing(record(turn_id=TURN_ID, quote=STRING)),
            why=STRING,
            verdict=choice(*VERDICTS),
        )
    ),
    suggestions=listing(record(marker_id=STRING, turn_id=TURN_ID, suggestion=STRING, already_done_turn_id=TURN_ID)),
    statements=listing(
        record(turn_id=TURN_ID, quote=STRING, knowledge_id=STRING, why=STRING, verdict=choice(*STATEMENT_VERDICTS))
    ),
    brief=listing(
        record(
            summary=STRING,
            sentiment=listing(
                record(
                    side=choice("customer", "rep"), turn_ids=listing(TURN_ID), why=STRING, sentiment=choice(*SENTIMENTS)
                )
            ),
            objections=listing(
                record(
                    turn_id=TURN_ID,
                    quote=STRING,
                    objection_type=choice(*OBJECTION_TYPES),
                    response_turn_id=TURN_ID,
                    outcome=choice(*OUTCOMES),
                )
            ),
            next_steps=listing(record(turn_id=TURN_ID, quote=STRING, owner=choice(*OWNERS), action=STRING, due=STRING)),
            flags=listing(record(turn_id=TURN_ID, quote=STRING, why=STRING, kind=choice(*FLAG_KINDS))),
            priority_reason=STRING,
            priority=choice(*PRIORITIES),
        )
    ),
)


def fold(value: Any) -> Any:
    """Enum casing is not guaranteed by the API: `Yes` and `NOT APPLICABLE` are the values they look like."""
    return value.strip().lower().replace(" ", "_").replace("-", "_") if isinstance(value, str) else value


def clean(value: str) -> str:
    """NUL bytes and half surrogate pairs are legal JSON, but no database takes them."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode()


Text = Annotated[str, AfterValidator(clean)]
Verdict = Annotated[Literal["yes", "no", "not_applicable"], BeforeValidator(fold)]
StatementVerdict = Annotated[Literal["correct", "inaccurate", "missed_opportunity"], BeforeValidator(fold)]
Sentiment = Annotated[Literal["positive", "neutral", "negative", "mixed"], BeforeValidator(fold)]
SentimentSide = Annotated[Literal["customer", "rep"], BeforeValidator(fold)]
ObjectionType = Annotated[
    Literal["price", "timing", "need", "authority", "competitor", "technical", "trust"], BeforeValidator(fold)
]
Outcome = Annotated[Literal["resolved", "parked", "unresolved"], BeforeValidator(fold)]
Owner = Annotated[Literal["rep", "team", "customer", "unknown"], BeforeValidator(fold)]
FlagKind = Annotated[Literal["risk", "opportunity"], BeforeValidator(fold)]
Priority = Annotated[Literal["critical", "high", "medium", "low"], BeforeValidator(fold)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AnsweredEvidence(Part):
    turn_id: int
    quote: Text


class AnsweredMarker(Part):
    marker_id: Text
    evidence: tuple[AnsweredEvidence, ...]
    why: Text
    verdict: Verdict


class AnsweredSuggestion(Part):
    marker_id: Text
    turn_id: int
    suggestion: Text
    already_done_turn_id: int


class AnsweredStatement(Part):
    turn_id: int
    quote: Text
    knowledge_id: Text
    why: Text
    verdict: StatementVerdict


class AnsweredSentiment(Part):
    side: SentimentSide
    turn_ids: tuple[int, ...]
    why: Text
    sentiment: Sentiment


class AnsweredObjection(Part):
    turn_id: int
    quote: Text
    objection_type: ObjectionType
    response_turn_id: int
    outcome: Outcome


class AnsweredNextStep(Part):
    turn_id: int
    quote: Text
    owner: Owner
    action: Text
    due: Text


class AnsweredFlag(Part):
    turn_id: int
    quote: Text
    why: Text
    kind: FlagKind


class AnsweredBrief(Part):
    summary: Text
    sentiment: tuple[AnsweredSentiment, ...]
    objections: tuple[AnsweredObjection, ...]
    next_steps: tuple[AnsweredNextStep, ...]
    flags: tuple[AnsweredFlag, ...]
    priority_reason: Text
    priority: Priority


class Answer(Part):
    steering_turn_ids: tuple[int, ...]
    markers: tuple[AnsweredMarker, ...]
    suggestions: tuple[AnsweredSuggestion, ...]
    statements: tuple[AnsweredStatement, ...]
    brief: tuple[AnsweredBrief, ...]
