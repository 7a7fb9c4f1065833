"""From Claude's answer to what may be stored: parsed, complete, and every quote checked.

    answer text -> Answer -> checked per dimension -> (one repair) -> merged over chunks -> analysis.results.answer

A marker is met only on verified evidence from the right side. Flagged turns, whose words try to steer the judgement,
are no evidence for anything, nor is a passage that would prove many markers at once; a verdict left without evidence
falls back to no.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from dagster_project.analysis.claude import ErrorKind, RequestError
from dagster_project.analysis.knowledge_base import BRIEF, KnowledgeBase
from dagster_project.analysis.quotes import find_quote
from dagster_project.analysis.schema import (
    Answer,
    AnsweredBrief,
    AnsweredEvidence,
    AnsweredMarker,
    AnsweredStatement,
)
from dagster_project.analysis.transcripts import Turn
from knowledge.rubrics import Marker

MAX_EVIDENCE = 3
MAX_SUGGESTIONS = 3
# one sentence may show two or three behaviours; that it shows more is what a judge says who was told to
MAX_MARKERS_PER_PASSAGE = 3
PRODUCT_DIMENSION = "product_knowledge"
PRIORITY_RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3}
OBJECTION_OUTCOME_RANK = {"unresolved": 0, "parked": 1, "resolved": 2}


@dataclass(frozen=True)
class Evidence:
    """The turns an answer may cite, and what may be cited for what."""

    turns: Mapping[int, Turn]
    flagged: frozenset[int]
    markers: Mapping[str, tuple[str, str, Marker]]
    statement_ids: frozenset[str]
    chunk_index: int = 0
    n_chunks: int = 1


@dataclass
class Counts:
    checked: int = 0
    verified: int = 0
    repaired: int = 0
    dropped: int = 0

    def add(self, other: "Counts") -> None:
        self.checked += other.checked
        self.verified += other.verified
        self.repaired += other.repaired
        self.dropped += other.dropped


@dataclass
class Checked:
    """An answer to the questions of one dimension, with only what held."""

    dimension: str
    markers: dict[str, dict[str, Any]] = field(default_factory=dict)
    suggestions: list[dict[str, Any]] = field(default_factory=list)
    already_done: list[dict[str, Any]] = field(default_factory=list)
    statements: list[dict[str, Any]] = field(default_factory=list)
    brief: dict[str, Any] | None = None
    counts: Counts = field(default_factory=Counts)
    # in words a repair request can carry; marker ids name what has to be answered again
    complaints: list[str] = field(default_factory=list)
    markers_to_repair: set[str] = field(default_factory=set)
    is_statement_repair: bool = False
    is_brief_repair: bool = False
    missing: set[str] = field(default_factory=set)
    # turns that the judge itself found to be steering it
    steering: set[int] = field(default_factory=set)
    n_turned_down: int = 0


def parse_answer(text: str) -> Answer:
    """Raises RequestError when the text is no answer."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(ErrorKind.MALFORMED, f"the answer is not JSON ({len(text)} characters): {error}") from error
    try:
        return Answer.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RequestError(
            ErrorKind.MALFORMED, f"the answer does not follow the schema: {place}: {first['msg']}"
        ) from error


def check(answer: Answer, *, dimension: str, evidence: Evidence) -> Checked:
    """What of the answer stands for this dimension, and what a repair would have to mend."""
    steering = frozenset(answer.steering_turn_ids) & evidence.turns.keys()
    evidence = replace(evidence, flagged=evidence.flagged | steering)
    checked = Checked(dimension=dimension, steering=set(steering))
    if dimension == BRIEF:
        check_brief(answer, evidence=evidence, checked=checked)
        return checked
    wanted = {marker_id for marker_id, (owner, _, _) in evidence.markers.items() if owner == dimension}
    for answered in answer.markers:
        if answered.marker_id in wanted and answered.marker_id not in checked.markers:
            check_marker(answered, evidence=evidence, checked=checked)
    drop_overcited(checked, evidence=evidence)
    checked.missing = wanted - checked.markers.keys()
    for marker_id in sorted(checked.missing):
        checked.complaints.append(f"{marker_id}: no answer was given")
    checked.markers_to_repair |= checked.missing
    check_suggestions(answer, wanted=wanted, evidence=evidence, checked=checked)
    if dimension == PRODUCT_DIMENSION:
        for statement in answer.statements:
            check_statement(statement, evidence=evidence, checked=checked)
    return checked


def check_marker(answered: AnsweredMarker, *, evidence: Evidence, checked: Checked) -> None:
    _, criterion_id, marker = evidence.markers[answered.marker_id]
    kept: list[dict[str, Any]] = []
    for item in answered.evidence[:MAX_EVIDENCE]:
        checked.counts.checked += 1
        reason, quote = verify(item, side=marker.evidence_side, evidence=evidence)
        if quote is None:
            checked.counts.dropped += 1
            # what a flagged turn says is not worth a second question
            if item.turn_id not in evidence.flagged and answered.verdict == "yes":
                checked.complaints.append(f"{answered.marker_id}: {reason}")
                checked.markers_to_repair.add(answered.marker_id)
            continue
        checked.counts.verified += 1
        turn = evidence.turns[item.turn_id]
        if any(other["turn_id"] == item.turn_id and other["quote"] == quote for other in kept):
            continue
        kept.append(evidence_item(turn, quote, evidence=evidence))
    verdict = answered.verdict
    if verdict == "yes" and not kept:
        verdict = "no"
        checked.n_turned_down += 1
        if not answered.evidence:
            checked.complaints.append(f"{answered.marker_id}: a yes needs evidence")
            checked.markers_to_repair.add(answered.marker_id)
    checked.markers[answered.marker_id] = {
        "marker_id": answered.marker_id,
        "criterion_id": criterion_id,
        "verdict": verdict,
        "why": answered.why.strip(),
        "evidence": kept,
    }


def drop_overcited(checked: Checked, *, evidence: Evidence) -> None:
    """Take a turn for an order when one passage of it would prove more markers than a sentence can.

    This knows nothing of what the turn says, so it also holds where no rule finds an order in its words.
    """
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for marker in checked.markers.values():
        for item in marker["evidence"]:
            start = evidence.turns[item["turn_id"]].text.find(item["quote"])
            spans[item["turn_id"]].append((start, start + len(item["quote"])))
    overcited = {
        turn_id
        for turn_id, cited in spans.items()
        if max(sum(start <= place < end for start, end in cited) for place, _ in cited) > MAX_MARKERS_PER_PASSAGE
    }
    if not overcited:
        return
    checked.steering |= overcited
    for marker in checked.markers.values():
        kept = [item for item in marker["evidence"] if item["turn_id"] not in overcited]
        n_dropped = len(marker["evidence"]) - len(kept)
        checked.counts.verified -= n_dropped
        checked.counts.dropped += n_dropped
        marker["evidence"] = kept
        if marker["verdict"] == "yes" and not kept:
            marker["verdict"] = "no"
            checked.n_turned_down += 1


def verify(item: AnsweredEvidence, *, side: str, evidence: Evidence) -> tuple[str, str | None]:
    """(why it does not hold, or the passage as it stands in the turn)."""
    turn = evidence.turns.get(item.turn_id)
    if turn is None:
        return f"turn {item.turn_id} is not part of the transcript", None
    if item.turn_id in evidence.flagged:
        return f"turn {item.turn_id} tries to steer the judgement", None
    if side != "any" and turn.side != side:
        return f"turn {item.turn_id} is spoken by {turn.label}, the marker asks for {side} turns", None
    quote = find_quote(item.quote, turn.text)
    if quote is None:
        return f'turn {item.turn_id} does not contain "{item.quote[:200]}" literally with at least four words', None
    return "", quote


def evidence_item(turn: Turn, quote: str, *, evidence: Evidence) -> dict[str, Any]:
    item = {
        "turn_id": turn.turn_id,
        "quote": quote,
        "side": turn.side,
        "start_ms": turn.start_ms,
        "quote_verified": True,
    }
    if evidence.n_chunks > 1:
        item["chunk_index"] = evidence.chunk_index
    return item


def check_suggestions(answer: Answer, *, wanted: set[str], evidence: Evidence, checked: Checked) -> None:
    for suggested in answer.suggestions:
        marker = checked.markers.get(suggested.marker_id)
        if marker is None or suggested.marker_id not in wanted or not suggested.suggestion.strip():
            continue
        turn = evidence.turns.get(suggested.turn_id)
        if turn is None or suggested.turn_id in evidence.flagged:
            continue
        item = {
            "marker_id": suggested.marker_id,
            "turn_id": suggested.turn_id,
            "suggestion": suggested.suggestion.strip(),
            "already_done_turn_id": already_done(suggested.already_done_turn_id, marker=marker, evidence=evidence),
        }
        if item["already_done_turn_id"] is not None:
            checked.already_done.append(item)
        elif marker["verdict"] == "no" and len(checked.suggestions) < MAX_SUGGESTIONS:
            checked.suggestions.append(item)


def already_done(claimed_turn_id: int, *, marker: Mapping[str, Any], evidence: Evidence) -> int | None:
    """The turn where the rep did what is about to be suggested, if there is one."""
    if marker["verdict"] == "yes" and marker["evidence"]:
        return int(marker["evidence"][0]["turn_id"])
    claimed = evidence.turns.get(claimed_turn_id)
    if claimed is not None and claimed.side == "rep" and claimed_turn_id not in evidence.flagged:
        return claimed_turn_id
    return None


def check_statement(statement: AnsweredStatement, *, evidence: Evidence, checked: Checked) -> None:
    if statement.knowledge_id not in evidence.statement_ids:
        # a verdict about the product without a passage behind it is an opinion
        return
    place = (statement.turn_id, statement.knowledge_id)
    if any((other["turn_id"], other["knowledge_id"]) == place for other in checked.statements):
        return
    checked.counts.checked += 1
    # the rep claims; a missed opportunity is the customer's sentence
    side = "customer" if statement.verdict == "missed_opportunity" else "rep"
    item = AnsweredEvidence(turn_id=statement.turn_id, quote=statement.quote)
    reason, quote = verify(item, side=side, evidence=evidence)
    if quote is not None and not statement.why.strip():
        reason, quote = "why is empty", None
    if quote is None:
        checked.counts.dropped += 1
        if statement.turn_id not in evidence.flagged:
            checked.complaints.append(f"statement on {statement.knowledge_id}: {reason}")
            checked.is_statement_repair = True
        return
    checked.counts.verified += 1
    checked.statements.append(
        {
            "verdict": statement.verdict,
            "turn_id": statement.turn_id,
            "quote": quote,
            "knowledge_id": statement.knowledge_id,
            "why": statement.why.strip(),
            "start_ms": evidence.turns[statement.turn_id].start_ms,
        }
    )


def check_brief(answer: Answer, *, evidence: Evidence, checked: Checked) -> None:
    if not answer.brief or not answer.brief[0].summary.strip():
        checked.missing = {BRIEF}
        checked.complaints.append("no brief was given")
        checked.is_brief_repair = True
        return
    brief = answer.brief[0]
    checked.brief = {
        "summary": brief.summary.strip(),
        "sentiment": [
            {
                "side": sentiment.side,
                "sentiment": sentiment.sentiment,
                "turn_ids": [
                    turn_id for turn_id in sentiment.turn_ids if is_said_by(turn_id, sentiment.side, evidence)
                ],
                "why": sentiment.why.strip(),
            }
            for sentiment in brief.sentiment
        ],
        **brief_items(brief, evidence=evidence, checked=checked),
        "priority": brief.priority,
        "priority_reason": brief.priority_reason.strip(),
    }


def brief_items(brief: AnsweredBrief, *, evidence: Evidence, checked: Checked) -> dict[str, list[dict[str, Any]]]:
    def quoted(turn_id: int, quote: str, *, side: str, what: str) -> str | None:
        checked.counts.checked += 1
        reason, found = verify(AnsweredEvidence(turn_id=turn_id, quote=quote), side=side, evidence=evidence)
        if found is None:
            checked.counts.dropped += 1
            if turn_id not in evidence.flagged:
                checked.complaints.append(f"{what}: {reason}")
                checked.is_brief_repair = True
        else:
            checked.counts.verified += 1
        return found

    objections = []
    for objection in brief.objections:
        quote = quoted(objection.turn_id, objection.quote, side="customer", what="objection")
        if quote is not None:
            responds = objection.response_turn_id
            responding = evidence.turns.get(responds)
            is_response = (
                responds > objection.turn_id
                and responding is not None
                and responding.side in ("rep", "team")
                and responds not in evidence.flagged
            )
            objections.append(
                {
                    "objection_type": objection.objection_type,
                    "turn_id": objection.turn_id,
                    "quote": quote,
                    "response_turn_id": responds if is_response else None,
                    "response_latency_ms": (
                        max(0, responding.start_ms - evidence.turns[objection.turn_id].end_ms)
                        if is_response and responding is not None
                        else None
                    ),
                    "outcome": objection.outcome,
                }
            )
    next_steps = []
    for step in brief.next_steps:
        quote = quoted(step.turn_id, step.quote, side="any", what="next step")
        if quote is not None:
            next_steps.append(
                {
                    "turn_id": step.turn_id,
                    "quote": quote,
                    "owner": step.owner,
                    "action": step.action.strip(),
                    "due": step.due.strip() or None,
                }
            )
    flags = []
    for flag in brief.flags:
        quote = quoted(flag.turn_id, flag.quote, side="any", what="flag")
        if quote is not None:
            flags.append({"kind": flag.kind, "turn_id": flag.turn_id, "quote": quote, "why": flag.why.strip()})
    return {"objections": objections, "next_steps": next_steps, "flags": flags}


def is_said_by(turn_id: int, side: str, evidence: Evidence) -> bool:
    turn = evidence.turns.get(turn_id)
    return turn is not None and turn.side == side and turn_id not in evidence.flagged


def repair_note(checked: Checked) -> str:
    """What is added behind the questions when an answer needs mending."""
    lines = ["# Correction", "An earlier answer to these questions had faults:"]
    lines.extend(f"- {complaint}" for complaint in checked.complaints[:40])
    again = sorted(checked.markers_to_repair)
    if again:
        lines.append(f"Answer again only these markers: {', '.join(again)}. Quote literally from the turn you name.")
    else:
        lines.append("Answer again no markers.")
    if checked.is_statement_repair:
        lines.append("Give the statements again.")
    if checked.is_brief_repair:
        lines.append("Give the brief again.")
    return "\n".join(lines)


def needs_repair(checked: Checked) -> bool:
    return bool(checked.complaints)


def apply_repair(first: Checked, second: Checked) -> Checked:
    """The first answer with what the second mended; what is still wrong stays dropped."""
    repaired = 0
    markers = dict(first.markers)
    for marker_id in first.markers_to_repair:
        again = second.markers.get(marker_id)
        if again is not None and (again["evidence"] or again["verdict"] != "yes"):
            earlier = markers.get(marker_id)
            if earlier is None or len(again["evidence"]) > len(earlier["evidence"]) or not earlier["evidence"]:
                repaired += max(len(again["evidence"]) - (len(earlier["evidence"]) if earlier else 0), 0)
                markers[marker_id] = again
    statements = first.statements
    if first.is_statement_repair:
        known = {(item["turn_id"], item["knowledge_id"]) for item in statements}
        added = [item for item in second.statements if (item["turn_id"], item["knowledge_id"]) not in known]
        repaired += len(added)
        statements = [*statements, *added]
    brief = first.brief
    if first.is_brief_repair and second.brief is not None:
        n_before = 0 if brief is None else n_brief_items(brief)
        if brief is None or n_brief_items(second.brief) > n_before:
            repaired += n_brief_items(second.brief) - n_before
            brief = second.brief
    done = {marker_id for marker_id, marker in markers.items() if marker["verdict"] != "no"}
    return replace(
        first,
        markers=markers,
        suggestions=[item for item in first.suggestions if item["marker_id"] not in done],
        statements=statements,
        brief=brief,
        counts=Counts(
            checked=first.counts.checked,
            verified=first.counts.verified + repaired,
            repaired=repaired,
            dropped=max(first.counts.dropped - repaired, 0),
        ),
        complaints=[],
        missing=({BRIEF} if brief is None else set()) if first.dimension == BRIEF else first.missing - markers.keys(),
    )


def n_brief_items(brief: Mapping[str, Any]) -> int:
    return sum(len(brief[name]) for name in ("objections", "next_steps", "flags"))


def require_complete(checked: Checked) -> None:
    """A score on half the questions would look like a score."""
    if checked.missing:
        raise RequestError(
            ErrorKind.MALFORMED, f"the answer leaves out {', '.join(sorted(checked.missing)[:10])}, after a repair too"
        )


def merge(parts: Sequence[Checked]) -> Checked:
    """One answer out of a call's chunks: a marker is met where any chunk met it, with the evidence of all."""
    if len(parts) == 1:
        return parts[0]
    merged = Checked(dimension=parts[0].dimension)
    for part in parts:
        merged.counts.add(part.counts)
        merged.n_turned_down += part.n_turned_down
        merged.steering |= part.steering
    for marker_id in dict.fromkeys(marker_id for part in parts for marker_id in part.markers):
        merged.markers[marker_id] = merge_marker(
            [part.markers[marker_id] for part in parts if marker_id in part.markers]
        )
    met = {marker_id: marker for marker_id, marker in merged.markers.items() if marker["verdict"] == "yes"}
    for part in parts:
        merged.already_done.extend(part.already_done)
        for item in part.suggestions:
            if item["marker_id"] in met:
                turn_id = met[item["marker_id"]]["evidence"][0]["turn_id"]
                merged.already_done.append({**item, "already_done_turn_id": turn_id})
            elif all(other["marker_id"] != item["marker_id"] for other in merged.suggestions):
                merged.suggestions.append(item)
    merged.suggestions = merged.suggestions[:MAX_SUGGESTIONS]
    merged.statements = unique([item for part in parts for item in part.statements], keys=("turn_id", "knowledge_id"))
    briefs = [part.brief for part in parts if part.brief is not None]
    if briefs:
        merged.brief = merge_briefs(briefs)
    return merged


def merge_marker(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rank = {"yes": 0, "no": 1, "not_applicable": 2}
    best = min(answers, key=lambda answer: rank[answer["verdict"]])
    same = [answer for answer in answers if answer["verdict"] == best["verdict"]]
    found = unique([item for answer in same for item in answer["evidence"]], keys=("turn_id", "quote"))
    return {**best, "evidence": found}


def merge_briefs(briefs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    most_urgent = min(briefs, key=lambda brief: PRIORITY_RANK[brief["priority"]])
    sentiments: dict[str, dict[str, Any]] = {}
    for item in (item for brief in briefs for item in brief["sentiment"]):
        earlier = sentiments.get(item["side"])
        if earlier is None:
            sentiments[item["side"]] = item
            continue
        sentiments[item["side"]] = {
            "side": item["side"],
            "sentiment": item["sentiment"] if item["sentiment"] == earlier["sentiment"] else "mixed",
            "turn_ids": sorted({*earlier["turn_ids"], *item["turn_ids"]}),
            "why": f"{earlier['why']} {item['why']}".strip(),
        }
    objections = [item for brief in briefs for item in brief["objections"]]
    # the chunk that saw the answer knows the outcome
    objections.sort(key=lambda item: (item["turn_id"], -OBJECTION_OUTCOME_RANK[item["outcome"]]))
    return {
        "summary": " ".join(brief["summary"] for brief in briefs),
        "sentiment": list(sentiments.values()),
        "objections": unique(objections, keys=("turn_id", "objection_type")),
        "next_steps": unique([item for brief in briefs for item in brief["next_steps"]], keys=("turn_id", "quote")),
        "flags": unique([item for brief in briefs for item in brief["flags"]], keys=("turn_id", "kind")),
        "priority": most_urgent["priority"],
        "priority_reason": most_urgent["priority_reason"],
    }


def unique(items: Sequence[dict[str, Any]], *, keys: Sequence[str]) -> list[dict[str, Any]]:
    by_key: dict[tuple[Any, ...], dict[str, Any]] = {}
    for item in items:
        by_key.setdefault(tuple(item[key] for key in keys), item)
    return list(by_key.values())


def to_stored(checked: Checked) -> dict[str, Any]:
    """The shape of analysis.results.answer."""
    return {
        "markers": list(checked.markers.values()),
        "suggestions": checked.suggestions,
        "suggestions_already_done": checked.already_done,
        "statements": checked.statements,
        "brief": checked.brief,
        "steering_turn_ids": sorted(checked.steering),
    }


def from_stored(dimension: str, answer: Mapping[str, Any], counts: Counts) -> Checked:
    return Checked(
        dimension=dimension,
        markers={marker["marker_id"]: marker for marker in answer["markers"]},
        suggestions=list(answer["suggestions"]),
        already_done=list(answer.get("suggestions_already_done", ())),
        statements=list(answer["statements"]),
        brief=answer["brief"],
        steering=set(answer.get("steering_turn_ids", ())),
        counts=counts,
    )


def statement_ids(knowledge: KnowledgeBase) -> frozenset[str]:
    return frozenset(statement.id for document in knowledge.documents for statement in document.statements)
