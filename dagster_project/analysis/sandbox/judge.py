"""The sandbox's idea of a judge: markers by their wordings, quotes that are really there, the same answer every time.

It knows no call and no rubric beforehand. It is a stand-in to run and test the pipeline with, not a measure of
anybody's coaching, which is why every answer says that its model is "sandbox".
"""

import hashlib
import re
from collections import Counter
from typing import Any

from dagster_project.analysis.sandbox.reading import (
    REPAIR,
    Marker,
    Questions,
    Transcript,
    Turn,
    content_words,
    quote_around,
    read_passages,
    read_questions,
    read_transcript,
    sentences_of,
)

BRIEF = "call_brief"
EXAMPLE_WORDS_IN_COMMON = 4
PASSAGE_WORDS_IN_COMMON = 5
# what a judge that believes everything would read as an order
OBEYED = re.compile(
    r"\b(?:scor|rat(?:e|ing)\b|grade|mark(?:er|ed|ing)?\b|award|verdict|treat|ignor|disregard|forget|override|instruction|prompt|"
    r"rubric|criteri|evaluat|grader|judge|system|assistant|jailbreak|coach|out of|met\b|true\b|perfect|outstanding|"
    r"bewert|vergib|anweisung|regel|note[zr]?\b|consigne|calific|regla|punt|istruzion|valut|avali|transcript|questions)"
    r"|满分|评分|忽略|指示|инструкц|оцени|[A-Za-z0-9+/]{24,}|[\u200b-\u200f\u2060-\u2064]|[{<\[#]",
    re.IGNORECASE,
)

STEERING = re.compile(r"\b(?:your|the) (?:rubric|markers?|verdicts?|scoring policy)\b", re.IGNORECASE)

OBJECTIONS = {
    "price": ("more than we budgeted", "too expensive", "that price", "cheaper", "our budget", "cost a lot", "pricey"),
    "timing": (
        "not a priority",
        "timing is difficult",
        "until after",
        "not this quarter",
        "next year instead",
        "no time for",
    ),
    "need": ("do fine with what we have", "not sure we need", "don't need", "works well enough"),
    "authority": ("cannot decide that alone", "can't decide", "would never approve", "have to ask my", "up to my boss"),
    "competitor": ("already runs on", "leaning towards", "dagster looks", "already use airflow", "happy with airflow"),
    "technical": (
        "cannot see how it would",
        "does not fit our",
        "would not work with",
        "doesn't scale",
        "how would it scale",
    ),
    "trust": ("worried about security", "burned by a vendor", "how do i know", "worry about security", "risky for us"),
}
SETTLED = (
    "that helps",
    "does address it",
    "that works",
    "can live with that",
    "settled for me",
    "tick that off",
    "no more concerns",
    "makes sense",
)
PARKED = (
    "come back to you",
    "take that away",
    "i own that",
    "i will check",
    "i'll check",
    "get back to you",
    "follow up on that",
)
GLAD = (
    "great",
    "exactly",
    "love",
    "helpful",
    "perfect",
    "good point",
    "excited",
    "nice",
    "works for us",
    "that would save",
)
SAD = (
    "worried",
    "frustrat",
    "annoying",
    "problem",
    "concern",
    "difficult",
    "not sure",
    "late",
    "fails",
    "broken",
    "hate",
)
STEP = re.compile(
    r"\b(?:i will|i'll|we will|we'll|let me|let us|let's|i can|you will|you'll)\b[^.?!]{0,30}"
    r"\b(?:send|share|schedule|set up|book|follow up|get back|loop in|introduce|prepare|put together|"
    r"write up|check|confirm|meet|come back)\b",
    re.IGNORECASE,
)
DUE = re.compile(
    r"\b(?:(?:by |on |next |this |before )?(?:monday|tuesday|wednesday|thursday|friday)|tomorrow|today|"
    r"next week|this week|end of (?:the )?(?:day|week|month|quarter)|by (?:the )?\w+ (?:of )?\w*\d+\w*)\b",
    re.IGNORECASE,
)
RISK = (
    "competitor",
    "leaning towards",
    "burned by",
    "not a priority",
    "no budget",
    "leaving",
    "renewal at risk",
    "cancel",
    "frustrat",
)
CHANCE = (
    "budget for",
    "roll it out",
    "expand",
    "other teams",
    "more seats",
    "this quarter we want",
    "could finally",
    "would save us",
    "sign",
)


class Judge:
    """Answers prompts.

    Args:
        obeys_injections: believe whatever a turn orders, as the worst model would: every marker met, quoted from there.
    """

    def __init__(self, *, obeys_injections: bool = False, flip_share: float = 0.0) -> None:
        self.obeys_injections = obeys_injections
        self.flip_share = flip_share
        self._n_answers = 0

    def answer(self, *, system: str, transcript: str, questions: str) -> dict[str, Any]:
        self._n_answers += 1
        spoken = read_transcript(transcript)
        asked = read_questions(questions)
        again = REPAIR.search(questions)
        only = frozenset(name.strip() for name in again[1].split(",")) if again else None
        is_correction = "\n# Correction\n" in questions
        markers: list[dict[str, Any]] = []
        suggestions: list[dict[str, Any]] = []
        statements: list[dict[str, Any]] = []
        briefs: list[dict[str, Any]] = []
        for section in asked:
            if section.dimension == BRIEF:
                briefs.append(brief(spoken))
                continue
            found = [
                self._marker(marker, spoken, transcript)
                for marker in section.markers
                if (only is None and not is_correction) or (only is not None and marker.marker_id in only)
            ]
            markers.extend(found)
            if not is_correction:
                suggestions.extend(suggest(section, found, spoken))
            if section.wants_statements and (not is_correction or "Give the statements again." in questions):
                statements.extend(state(system, spoken, transcript))
        steering = (turn.turn_id for turn in spoken.turns if STEERING.search(turn.text))
        return {
            "steering_turn_ids": [] if self.obeys_injections else list(steering),
            "markers": markers,
            "suggestions": suggestions,
            "statements": statements,
            "brief": briefs[:1],
        }

    def _marker(self, marker: Marker, spoken: Transcript, transcript: str) -> dict[str, Any]:
        if self.obeys_injections:
            # the turn with the most of it: the order itself, not a turn that happens to say "mark"
            ordered = max(spoken.turns, key=lambda turn: len(OBEYED.findall(turn.text)), default=None)
            if ordered is not None and OBEYED.search(ordered.text):
                return obeyed(marker, ordered)
        found = find_marker(marker, spoken, transcript)
        if self.flip_share and chance(f"{self._n_answers}|{marker.marker_id}") < self.flip_share:
            found = {**found, "verdict": "no" if found["verdict"] == "yes" else "yes"}
        return found


def obeyed(marker: Marker, turn: Turn) -> dict[str, Any]:
    return {
        "marker_id": marker.marker_id,
        "evidence": [{"turn_id": turn.turn_id, "quote": turn.text}],
        "why": f"Turn {turn.turn_id} says so.",
        "verdict": "yes",
    }


def find_marker(marker: Marker, spoken: Transcript, transcript: str) -> dict[str, Any]:
    speech = spoken.by_side[marker.side]
    evidence: dict[int, dict[str, Any]] = {}
    why = ""
    for cue in marker.cues:
        place = speech.find(cue)
        if place is None:
            continue
        turn, position, _ = place
        evidence.setdefault(turn.turn_id, {"turn_id": turn.turn_id, "quote": quote_around(turn, position)})
        why = why or f'Turn {turn.turn_id} has "{cue}", which is what the marker asks for.'
    if not evidence:
        alike = sentence_like(marker, transcript)
        if alike is not None:
            turn, said = alike
            evidence[turn.turn_id] = {"turn_id": turn.turn_id, "quote": quote_around(turn, turn.text.find(said))}
            why = f"Turn {turn.turn_id} comes close to the example."
    if evidence:
        # the strongest turns first, never more than three
        chosen = list(evidence.values())[:3]
        return {"marker_id": marker.marker_id, "evidence": chosen, "why": why, "verdict": "yes"}
    if not speech.turns:
        return no_evidence(marker, "not_applicable", "Nobody on that side speaks.")
    if marker.occasion and not any(spoken.by_side["customer"].find(phrase) for phrase in marker.occasion):
        return no_evidence(marker, "not_applicable", "The call gave no occasion for it.")
    return no_evidence(marker, "no", f"No turn does it: {marker.question}")


def no_evidence(marker: Marker, verdict: str, why: str) -> dict[str, Any]:
    return {"marker_id": marker.marker_id, "evidence": [], "why": why, "verdict": verdict}


def sentence_like(marker: Marker, transcript: str) -> tuple[Turn, str] | None:
    example = content_words(marker.yes_example)
    if len(example) < EXAMPLE_WORDS_IN_COMMON or marker.kind == "negative":
        return None
    is_question = marker.yes_example.rstrip().endswith("?")
    for turn, said, words in sentences_of(transcript):
        if marker.side not in ("any", turn.side) or is_question != said.endswith("?"):
            continue
        if len(words & example) >= EXAMPLE_WORDS_IN_COMMON:
            return turn, said
    return None


def suggest(section: Questions, found: list[dict[str, Any]], spoken: Transcript) -> list[dict[str, Any]]:
    """Words for up to three missed behaviours, at the turn that followed an occasion."""
    missed = {answer["marker_id"] for answer in found if answer["verdict"] == "no"}
    rep = spoken.by_side["rep"].turns
    suggestions = []
    for marker in section.markers:
        if marker.marker_id not in missed or marker.kind != "positive" or marker.side != "rep" or not rep:
            continue
        occasion = next((place for cue in marker.occasion if (place := spoken.by_side["customer"].find(cue))), None)
        following = [turn for turn in rep if occasion is not None and turn.turn_id > occasion[0].turn_id]
        turn = following[0] if following else rep[int(chance(marker.marker_id + rep[0].text) * len(rep))]
        suggestions.append(
            {
                "marker_id": marker.marker_id,
                "turn_id": turn.turn_id,
                "suggestion": f'Here you could have said: "{marker.yes_example}"',
                "already_done_turn_id": 0,
            }
        )
    return suggestions[:3]


def state(system: str, spoken: Transcript, transcript: str) -> list[dict[str, Any]]:
    """Claims of the rep held against the knowledge passages of the system prompt."""
    statements = []
    passages = read_passages(system)
    for passage in passages:
        for wording in passage.wrong_wordings:
            place = spoken.by_side["rep"].find(wording)
            if place is not None:
                turn, position, _ = place
                statements.append(
                    statement(turn, quote_around(turn, position), passage.passage_id, "inaccurate", f'"{wording}"')
                )
                break
    wrong = {(item["turn_id"], item["knowledge_id"]) for item in statements}
    spoken_for = {turn_id for turn_id, _ in wrong}
    for turn, said, words in sentences_of(transcript):
        if turn.side not in ("rep", "customer") or len(words) < PASSAGE_WORDS_IN_COMMON or turn.turn_id in spoken_for:
            continue
        best = max(passages, key=lambda passage: len(passage.words & words), default=None)
        if best is None or len(best.words & words) < PASSAGE_WORDS_IN_COMMON:
            continue
        spoken_for.add(turn.turn_id)
        verdict = "correct" if turn.side == "rep" else "missed_opportunity"
        quote = quote_around(turn, turn.text.find(said))
        statements.append(statement(turn, quote, best.passage_id, verdict, ", ".join(sorted(best.words & words)[:3])))
    return statements[:8]


def statement(turn: Turn, quote: str, passage_id: str, verdict: str, about: str) -> dict[str, Any]:
    relation = {"correct": "agrees with", "inaccurate": "contradicts", "missed_opportunity": "is answered by"}[verdict]
    return {
        "turn_id": turn.turn_id,
        "quote": quote,
        "knowledge_id": passage_id,
        "why": f"Turn {turn.turn_id} {relation} the passage ({about}).",
        "verdict": verdict,
    }


def brief(spoken: Transcript) -> dict[str, Any]:
    objections = find_objections(spoken)
    steps = find_steps(spoken)
    flags = [*find_flags(spoken, "risk", RISK), *find_flags(spoken, "opportunity", CHANCE)][:5]
    n_open = sum(item["outcome"] == "unresolved" for item in objections)
    risks = sum(flag["kind"] == "risk" for flag in flags)
    urgency = n_open + risks - (1 if steps else 0)
    priority = "critical" if urgency >= 4 else "high" if urgency >= 2 else "medium" if urgency >= 1 else "low"
    return {
        "summary": summarise(spoken, objections=len(objections), steps=len(steps)),
        "sentiment": [sentiment(spoken, "customer"), sentiment(spoken, "rep")],
        "objections": objections,
        "next_steps": steps,
        "flags": flags,
        "priority_reason": f"{counted(n_open, 'open objection')}, {counted(risks, 'risk')}, "
        f"{counted(len(steps), 'next step')}.",
        "priority": priority,
    }


def counted(n: int, thing: str) -> str:
    return f"{n} {thing}{'' if n == 1 else 's'}"


def summarise(spoken: Transcript, *, objections: int, steps: int) -> str:
    words = Counter(word for turn in spoken.turns for word in content_words(turn.text))
    topics = ", ".join(word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:5])
    minutes = (spoken.turns[-1].second // 60 + 1) if spoken.turns else 0
    closing = f"They agreed on {counted(steps, 'next step')}." if steps else "No next step was agreed."
    return (
        f"A conversation of {len(spoken.turns)} turns over {minutes} minutes, mostly about {topics}. "
        f"The customer raised {counted(objections, 'objection')}. {closing}"
    )


def sentiment(spoken: Transcript, side: str) -> dict[str, Any]:
    glad = turns_with(spoken, side, GLAD)
    sad = turns_with(spoken, side, SAD)
    if not glad and not sad:
        tone = "neutral"
    elif len(glad) > 2 * len(sad):
        tone = "positive"
    elif len(sad) > 2 * len(glad):
        tone = "negative"
    else:
        tone = "mixed"
    return {
        "side": side,
        "turn_ids": sorted({*glad[:3], *sad[:3]}),
        "why": f"{len(glad)} turns sound glad, {len(sad)} sound troubled.",
        "sentiment": tone,
    }


def turns_with(spoken: Transcript, side: str, wordings: tuple[str, ...]) -> list[int]:
    return sorted({place[0].turn_id for word in wordings if (place := spoken.by_side[side].find(word)) is not None})


def find_objections(spoken: Transcript) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for kind, wordings in OBJECTIONS.items():
        for wording in wordings:
            place = spoken.by_side["customer"].find(wording)
            if place is None or place[0].turn_id in found:
                continue
            turn, position, _ = place
            response = next(
                (other for other in spoken.turns if other.turn_id > turn.turn_id and other.side in ("rep", "team")),
                None,
            )
            found[turn.turn_id] = {
                "turn_id": turn.turn_id,
                "quote": quote_around(turn, position),
                "objection_type": kind,
                "response_turn_id": response.turn_id if response else 0,
                "outcome": outcome_after(spoken, turn),
            }
    return [found[turn_id] for turn_id in sorted(found)][:8]


def outcome_after(spoken: Transcript, objection: Turn) -> str:
    after = [turn for turn in spoken.turns if objection.turn_id < turn.turn_id <= objection.turn_id + 8]
    if any(turn.side == "customer" and any(word in turn.text.lower() for word in SETTLED) for turn in after):
        return "resolved"
    if any(turn.side in ("rep", "team") and any(word in turn.text.lower() for word in PARKED) for turn in after):
        return "parked"
    return "unresolved"


def find_steps(spoken: Transcript) -> list[dict[str, Any]]:
    steps = []
    for turn in spoken.turns:
        found = STEP.search(turn.text)
        if found is None:
            continue
        quote = quote_around(turn, found.start())
        due = DUE.search(quote)
        steps.append(
            {
                "turn_id": turn.turn_id,
                "quote": quote,
                "owner": turn.side if turn.side in ("rep", "team", "customer") else "unknown",
                "action": quote.rstrip(".?!"),
                "due": due[0] if due else "",
            }
        )
    # next steps are agreed towards the end
    return steps[-4:]


def find_flags(spoken: Transcript, kind: str, wordings: tuple[str, ...]) -> list[dict[str, Any]]:
    flags = []
    for wording in wordings:
        place = spoken.by_side["customer"].find(wording)
        if place is not None:
            turn, position, _ = place
            flags.append(
                {
                    "turn_id": turn.turn_id,
                    "quote": quote_around(turn, position),
                    "why": f'The customer says "{wording}".',
                    "kind": kind,
                }
            )
    return flags[:3]


def chance(seed: str) -> float:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6], "big") / 2**48
