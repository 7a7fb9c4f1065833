"""Answers that look like answers and are not: for proving that none of them is stored as a score."""

import copy
import json
import random
import re
from collections.abc import Callable
from typing import Any

TURN_ID = re.compile(r"^\[(\d+)\|[^|]*\|([A-Z]+)", re.MULTILINE)


def answered_wrongly(kind: str, answer: dict[str, Any], transcript: str) -> dict[str, Any]:
    """The answer with one fault in its content."""
    markers = answer["markers"]
    met = [marker for marker in markers if marker["verdict"] == "yes"]
    match kind:
        case "missing_marker":
            return {**answer, "markers": markers[1:]}
        case "unknown_marker":
            stranger = {"marker_id": "zz_unknown", "evidence": [], "why": "", "verdict": "yes"}
            return {**answer, "markers": [*markers, stranger]}
        case "wrong_case":
            return {**answer, "markers": [{**m, "verdict": m["verdict"].upper().replace("_", " ")} for m in markers]}
        case "wrong_quote":
            for marker in met:
                for item in marker["evidence"]:
                    item["quote"] = f"{item['quote']} and then some words nobody said"
        case "wrong_side":
            sides: dict[str, int] = {}
            for turn_id, label in TURN_ID.findall(transcript):
                sides.setdefault(label, int(turn_id))
            for marker in met:
                for item in marker["evidence"]:
                    item["turn_id"] = sides.get("CUSTOMER", 1) if item["turn_id"] != sides.get("CUSTOMER") else 1
        case "yes_without_evidence":
            return {**answer, "markers": [{**m, "verdict": "yes", "evidence": []} for m in markers]}
        case "nul_bytes":
            return {**answer, "markers": [{**m, "why": "a\x00b\ud800c"} for m in markers]}
    return answer


def spoil(kind: str | None, text: str) -> tuple[str, str]:
    """(text, stop reason) of an answer with a fault in its form."""
    match kind:
        case "refusal":
            return "", "refusal"
        case "max_tokens":
            return text[: len(text) // 2], "max_tokens"
        case "context_exceeded":
            return text[: len(text) // 2], "model_context_window_exceeded"
        case "empty":
            return "", "end_turn"
        case "broken_json":
            return text[: len(text) // 2] + '"]', "end_turn"
        case "wrong_schema":
            return '{"markers": {"all": "yes"}, "score": 100}', "end_turn"
        case "deep_json":
            return "[" * 100_000 + "]" * 100_000, "end_turn"
        case _:
            return text, "end_turn"


# what a field may hold instead of what belongs there
JUNK: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**30,
    1e308,
    0.5,
    "",
    " ",
    "yes",
    "\x00\ud800",
    "\u202eevil",
    "9" * 5_000,
    [],
    [[]],
    {},
    {"verdict": "yes"},
    [None, "a", {"turn_id": 1}],
)


def scrambled(body: Any, rng: random.Random) -> Any:
    """A copy of a JSON value with one to four faults, anywhere in it."""
    body = copy.deepcopy(body)
    for _ in range(rng.randint(1, 4)):
        places = list(places_of(body))
        if not places:
            return rng.choice(JUNK)
        holder, key = rng.choice(places)
        match rng.randrange(8):
            case 0:
                del holder[key]
            case 1:
                holder[key] = copy.deepcopy(rng.choice(JUNK))
            case 2:
                holder[key] = [holder[key]]
            case 3 if isinstance(holder, dict):
                holder[f"{key}s"] = holder.pop(key)
            case 4 if isinstance(holder, list):
                holder.extend([holder[key]] * 50)
            case _:
                # of the right type and in the wrong place: what only the checks of the content can find
                like = [place for place in places if type(place[0][place[1]]) is type(holder[key])]
                other, other_key = rng.choice(like)
                holder[key] = copy.deepcopy(other[other_key])
    return body


def places_of(body: Any) -> list[tuple[Any, Any]]:
    """Every (holder, key or index) of a JSON value, breadth first."""
    found: list[tuple[Any, Any]] = []
    waiting = [body]
    for value in waiting:
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        found.extend((value, key) for key in keys)
        waiting.extend(value[key] for key in keys if isinstance(value[key], dict | list))
    return found


TEXT_FAULTS: tuple[Callable[[str, random.Random], str], ...] = (
    lambda text, rng: text[: rng.randrange(len(text) + 1)],
    lambda text, rng: text[rng.randrange(len(text) + 1) :],
    lambda text, rng: f"Here is the answer you asked for:\n{text}",
    lambda text, rng: f"```json\n{text}\n```",
    lambda text, rng: json.dumps(text),
    lambda text, rng: text + text,
    lambda text, rng: text.replace('"', "'"),
    lambda text, rng: text.replace(":", rng.choice(["", "=", "::", ": NaN,"]), 3),
    lambda text, rng: "".join(rng.sample(text, k=min(len(text), 2_000))),
    lambda text, rng: "\ufeff" + text,
)


def scrambled_text(text: str, seed: int) -> str:
    """An answer's text with faults in its JSON, or in what stands in for JSON; the same for the same seed."""
    rng = random.Random(seed)
    if rng.random() < 0.3:
        return rng.choice(TEXT_FAULTS)(text, rng)
    return json.dumps(scrambled(json.loads(text), rng), ensure_ascii=True)
