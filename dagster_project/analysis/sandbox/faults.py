"""Faults on request: what can go wrong at the API, switched on per share of requests or for the next few.

A switch is {"kind": ..., "share": 0.1} or {"kind": ..., "times": 3}, with optional "after" (requests let through
first), "dimension" and "model" (only requests that ask it) and "retry_after" seconds. Which requests a share hits
follows from the request's own text and its number of tries, so a run meets the same faults every time.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

KINDS = (
    "rate_limit",
    "rate_limit_without_hint",
    "ramp_limit",
    "spend_limit",
    "contract_spend_limit",
    "own_spend_limit",
    "billing",
    "overloaded",
    "server_error",
    "timeout_error",
    "too_large",
    "too_long",
    "unauthorised",
    "forbidden",
    "no_such_model",
    "invalid",
    "no_system_role",
    "hang",
    "drop_connection",
    "not_json",
    "stream_error",
    "cut_stream",
    "refusal",
    "max_tokens",
    "context_exceeded",
    "empty",
    "broken_json",
    "wrong_schema",
    "wrong_case",
    "missing_marker",
    "unknown_marker",
    "wrong_quote",
    "wrong_side",
    "yes_without_evidence",
    "nul_bytes",
    "deep_json",
    "odd_usage",
    # the answer's text, or the message around it, with faults that differ from request to request
    "scrambled",
    "scrambled_message",
)


@dataclass
class Switch:
    kind: str
    share: float = 0.0
    times: int = 0
    after: int = 0
    dimension: str | None = None
    model: str | None = None
    retry_after: float = 1.0
    # a fault that passes: later tries of the same request go through
    passes: bool = True
    _seen: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; one of {', '.join(KINDS)}")


class Faults:
    def __init__(self, switches: list[dict[str, Any]] | None = None) -> None:
        self.switches: list[Switch] = []
        self._tries: dict[str, int] = {}
        self.set(switches or [])

    def set(self, switches: list[dict[str, Any]]) -> None:
        self.switches = [Switch(**switch) for switch in switches]
        self._tries = {}

    def pick(self, *, prompt_digest: str, questions: str, model: object) -> Switch | None:
        if not self.switches:
            return None
        n_try = self._tries.get(prompt_digest, 0)
        self._tries[prompt_digest] = n_try + 1
        for switch in self.switches:
            if switch.dimension is not None and f"# Questions: {switch.dimension}" not in questions:
                continue
            if switch.model not in (None, model):
                continue
            switch._seen += 1
            if switch._seen <= switch.after:
                continue
            if switch.times > 0:
                switch.times -= 1
                return switch
            if switch.share > 0 and (n_try == 0 or not switch.passes):
                seed = hashlib.sha256(f"{switch.kind}|{prompt_digest}".encode()).digest()
                if int.from_bytes(seed[:4], "big") / 2**32 < switch.share:
                    return switch
        return None
