"""Answers that look like answers and are not: for proving that none of them is stored as a score."""

import re
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
