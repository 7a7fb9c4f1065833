"""What happens in a call of the seeded company, before a word is said: who is there and who shows which behaviour."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dlt_pipelines.gong.simulator.company_cast import Account, Rep, Slot
from dlt_pipelines.gong.simulator.company_phrases import Phrases

CALL_TYPES = {
    "AE": ("Discovery", "Demo", "Proposal review", "Negotiation"),
    "SE": ("Technical deep dive", "Demo", "Architecture review"),
    "CSM": ("Quarterly review", "Onboarding", "Adoption check-in", "Renewal"),
}
NEGATIVE = frozenset(
    {
        "ds2_ignores_cue", "ds4_vague_close", "pk1_false_claim", "pk2_feature_tour", "pk4_runs_rival_down",
        "oh1_argues", "oh2_instant_rebuttal", "oh4_drops", "en1_talks_over", "en2_lectures", "en4_dismissive",
    }
)  # fmt: skip
# said by the customer, and more likely where the rep earned it
CONFIRMING = frozenset(
    {
        "ds1_customer_quantifies", "ds2_customer_deepens", "ds3_customer_confirms", "ds4_customer_commits",
        "pk1_customer_accepts", "pk2_customer_restates_value", "pk3_success_test", "pk4_customer_accepts_proof",
        "oh1_customer_agrees", "oh2_root_found", "oh3_customer_satisfied", "oh4_customer_settled",
        "en1_customer_story", "en2_customer_steers", "en3_customer_volunteers", "en3_customer_tries",
        "en4_quiet_speaks",
    }
)  # fmt: skip

Verdict = Literal["yes", "no", "not_applicable"]


@dataclass(frozen=True)
class Plot:
    """The facts of one call; `truth` is what a perfect reader would find."""

    call_id: str
    slot: Slot
    rep: Rep
    account: Account
    call_type: str
    colleague: Rep | None
    # contacts who speak; the second one only when drawn in
    speakers: tuple[dict[str, str], ...]
    # contacts who are there and say nothing
    silent: tuple[dict[str, str], ...]
    has_competitor: bool
    has_objection: bool
    has_niche_question: bool
    # 0 to 1; low engagement shows in the airtime too: longer speeches, shorter answers, less patience
    engagement: float
    truth: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def is_internal(self) -> bool:
        return self.slot.remark == "internal"

    @property
    def is_short(self) -> bool:
        return self.slot.remark == "short"

    @property
    def is_german(self) -> bool:
        return self.slot.remark == "german"

    @property
    def is_private(self) -> bool:
        return self.slot.remark == "private"

    def has_occasion(self, marker_id: str) -> bool:
        """Whether the call gives a reason to show the behaviour at all."""
        if marker_id.startswith("oh"):
            return self.has_objection
        if marker_id == "pk1_admits_unknown":
            return self.has_niche_question
        if marker_id in ("pk4_fair_comparison", "pk4_runs_rival_down"):
            return self.has_competitor
        if marker_id in ("en4_draws_in", "en4_quiet_speaks"):
            return len(self.speakers) > 1
        return True


def draw_plot(*, rng: random.Random, call_id: str, slot: Slot, reps: list[Rep], accounts: list[Account]) -> Plot:
    """Who meets whom about what."""
    rep = reps[slot.rep_index]
    # neighbours share accounts, as people in a team do
    account = accounts[(slot.rep_index * 2 + rng.randrange(4)) % len(accounts)]
    call_type = rng.choice(CALL_TYPES[rep.role])
    engineers = [
        other
        for other in reps
        if other.role == "SE" and other is not rep and other.user["managerId"] == rep.user["managerId"]
    ]
    colleague = None
    if slot.remark == "internal" or (engineers and rep.role == "AE" and rng.random() < 0.35):
        colleague = engineers[0]
    n_speakers = min(len(account.contacts), rng.choices((1, 2, 3), weights=(45, 40, 15))[0])
    others = account.contacts[n_speakers:][:1]
    return Plot(
        call_id=call_id,
        slot=slot,
        rep=rep,
        account=account,
        call_type=call_type,
        colleague=colleague,
        speakers=account.contacts[:n_speakers],
        silent=others if rng.random() < 0.25 else (),
        has_competitor=account.competitor is not None and rng.random() < 0.7,
        has_objection=rng.random() < 0.9,
        has_niche_question=rng.random() < 0.4,
        engagement=rep.chance("engagement", "", slot.progress),
    )


def draw_truth(plot: Plot, *, rng: random.Random, phrases: Phrases) -> dict[str, Verdict]:
    """Every behaviour: positives first, then whether the customer confirms them, negatives last."""
    truth: dict[str, Verdict] = {}
    for dimension, markers in phrases.markers.items():
        met: dict[str, list[bool]] = {}
        for marker_id in markers:
            if marker_id in NEGATIVE or marker_id in CONFIRMING:
                continue
            truth[marker_id] = "not_applicable"
            if plot.has_occasion(marker_id):
                is_met = rng.random() < plot.rep.chance(dimension, marker_id, plot.slot.progress)
                met.setdefault(marker_id[:3], []).append(is_met)
                truth[marker_id] = "yes" if is_met else "no"
        for marker_id in markers:
            earned = met.get(marker_id[:3], [])
            share = sum(earned) / len(earned) if earned else 0.0
            if marker_id in CONFIRMING:
                chance = 0.06 + 0.72 * share
            elif marker_id in NEGATIVE:
                skill = plot.rep.chance(dimension, marker_id, plot.slot.progress)
                chance = max(0.0, 0.34 - 0.5 * skill) * (1.2 - share)
            else:
                continue
            truth[marker_id] = "not_applicable"
            if plot.has_occasion(marker_id):
                truth[marker_id] = "yes" if rng.random() < chance else "no"
    if plot.slot.remark == "false claim":
        truth["pk1_false_claim"] = "yes"
    return truth


def confirms(beat: str, before: str) -> bool:
    """Whether the customer answers with `beat` what the rep did just before."""
    return beat in CONFIRMING and beat[:3] == before[:3]
