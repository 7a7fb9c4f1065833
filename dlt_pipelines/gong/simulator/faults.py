"""What can go wrong at Gong, by name, for `--fault` and for tests.

Every fault heals: it strikes a number of times and is gone, so a loader that repeats what failed ends up with the
same tables as without it.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

Kind = Literal[
    "429",
    "429-for-hours",
    "500",
    "hang",
    "cut-body",
    "malformed-json",
    "cursor-expired",
    "repeated-cursor",
    "late-call",
    "late-transcript",
    "mutated-call",
    "ghost-call",
    "duplicate-across-pages",
    "nul",
    "null-speaker",
    "unknown-field",
    "wrong-type",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

MEANING: dict[Kind, str] = {
    "429": "asks to wait a second, again and again",
    "429-for-hours": "asks to wait for two hours: the day's quota is gone",
    "500": "answers with an internal error",
    "hang": "does not answer for a while",
    "cut-body": "breaks off in the middle of an answer",
    "malformed-json": "answers 200 with something that is not JSON",
    "cursor-expired": "says on a later page that the cursor has expired",
    "repeated-cursor": "hands out a cursor that it handed out before",
    "late-call": "counts a call but does not show it yet",
    "late-transcript": "shows a call but has no transcript for it yet",
    "mutated-call": "shows an older version of a call first",
    "ghost-call": "shows a call that is deleted afterwards",
    "duplicate-across-pages": "shows the last call of a page again on the next",
    "nul": "puts NUL characters into titles and sentences",
    "null-speaker": "has sentences without a speaker at first",
    "unknown-field": "adds fields that nobody announced",
    "wrong-type": "sends a duration as text at first",
}


@dataclass
class Fault:
    """One fault: how often it strikes, and between which of its chances."""

    kind: Kind
    strikes: int = 2
    every: int = 2
    _chances: int = field(default=0, init=False)

    def strikes_now(self) -> bool:
        """Take one chance: every n-th strikes, until all strikes are used up."""
        if self.strikes <= 0:
            return False
        self._chances += 1
        if self._chances % self.every:
            return False
        self.strikes -= 1
        return True
