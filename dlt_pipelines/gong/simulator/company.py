"""The seeded company: twelve weeks of sales calls at a firm that sells Prefect and Horizon, as Gong would serve them.

    company_words/*.yaml + (until, seed) -> build_company() -> users, calls, transcripts, and what was planted in them

Every call is written from what each rep does well and badly, so the truth per call and marker is known:
`Company.planted()`. Nothing here reads the rubrics; a test holds the two against each other. The content of a week is
the same on every day of that week, calls of today and later are left out.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from dlt_pipelines.gong.simulator.company_cast import (
    N_WEEKS,
    Account,
    Ids,
    Rep,
    Slot,
    cast_accounts,
    cast_people,
    schedule,
)
from dlt_pipelines.gong.simulator.company_dialogue import Dialogue
from dlt_pipelines.gong.simulator.company_phrases import load_phrases
from dlt_pipelines.gong.simulator.company_plot import Verdict, draw_plot, draw_truth
from dlt_pipelines.gong.simulator.company_records import (
    REVIEW_DELAY,
    WORKSPACE_ID,
    CallRecord,
    daily_stats,
    library_folders,
    manager_scores,
    scorecard,
    trackers,
)
from dlt_pipelines.gong.simulator.company_timing import Timing

# enough that human and machine can be compared per dimension
SHARE_OF_CALLS_REVIEWED = 0.6


@dataclass(frozen=True)
class Company:
    """A Gong tenant, and the truth behind it."""

    users: list[dict[str, Any]]
    # items of the extensive listing, by start
    calls: list[dict[str, Any]]
    # call id -> {"callId", "transcript"}; a call may be missing here
    transcripts: dict[str, dict[str, Any]]
    workspaces: list[dict[str, Any]]
    trackers: list[dict[str, Any]]
    scorecards: list[dict[str, Any]]
    answered_scorecards: list[dict[str, Any]]
    interaction_stats: list[dict[str, Any]]
    library_folders: list[dict[str, Any]]
    # what is special about a call: "short", "internal", "no transcript", "injection", ...
    remarks: Mapping[str, str]
    # call id -> marker id -> verdict
    truth: Mapping[str, Mapping[str, Verdict]] = field(repr=False)

    def planted(self, call_id: str | None = None) -> dict[tuple[str, str], Verdict]:
        """The truth per (call id, marker id), for one call or all; calls that cannot be scored have none."""
        chosen = self.truth if call_id is None else {call_id: self.truth.get(call_id, {})}
        return {(key, marker): verdict for key, markers in chosen.items() for marker, verdict in markers.items()}

    def special(self, remark: str) -> str:
        """The id of the call with this remark."""
        return next(call_id for call_id, known in self.remarks.items() if known == remark)


@dataclass(frozen=True)
class _Call:
    item: dict[str, Any]
    # None where Gong has no transcript of the call
    transcript: list[dict[str, Any]] | None
    # empty where nothing can be judged
    truth: Mapping[str, Verdict]


def build_company(*, until: date, seed: int = 7) -> Company:
    """Twelve weeks that end in the week of `until`; the same (until, seed) gives the same company."""
    phrases = load_phrases()
    monday = until - timedelta(days=until.weekday())
    rng = random.Random(f"company|{seed}|{monday.isoformat()}")
    ids = Ids(rng)
    users, reps = cast_people(phrases, ids, first_day=monday - timedelta(weeks=N_WEEKS))
    accounts = cast_accounts(phrases, ids, rng)
    calls: list[dict[str, Any]] = []
    transcripts: dict[str, dict[str, Any]] = {}
    truth: dict[str, Mapping[str, Verdict]] = {}
    remarks: dict[str, str] = {}
    answered: list[dict[str, Any]] = []
    for slot in schedule(reps, monday, rng):
        call_id = ids.new("8")
        # each call has its own dice, so that the days of a week agree on the calls they share
        call_rng = random.Random(f"call|{seed}|{call_id}")
        if slot.started.date() >= until:
            continue
        call = _write_call(rng=call_rng, call_id=call_id, slot=slot, reps=reps, accounts=accounts)
        calls.append(call.item)
        if call.transcript is not None:
            transcripts[call_id] = {"callId": call_id, "transcript": call.transcript}
        if slot.remark:
            remarks[call_id] = slot.remark
        if call.truth:
            truth[call_id] = call.truth
            is_reviewed = call_rng.random() < SHARE_OF_CALLS_REVIEWED
            if is_reviewed and (slot.started + REVIEW_DELAY).date() < until:
                answered.append(manager_scores(call.item, call.truth, rep=reps[slot.rep_index], rng=call_rng))
    calls.sort(key=lambda item: (item["metaData"]["started"], item["metaData"]["id"]))
    return Company(
        users=users,
        calls=calls,
        transcripts=transcripts,
        workspaces=[{"id": WORKSPACE_ID, "name": "Sales", "description": "All sales calls"}],
        trackers=trackers(),
        scorecards=[scorecard()],
        answered_scorecards=answered,
        interaction_stats=daily_stats(calls, users),
        library_folders=library_folders(),
        remarks=remarks,
        truth=truth,
    )


def _write_call(*, rng: random.Random, call_id: str, slot: Slot, reps: list[Rep], accounts: list[Account]) -> _Call:
    phrases = load_phrases()
    plot = draw_plot(rng=rng, call_id=call_id, slot=slot, reps=reps, accounts=accounts)
    if not (plot.is_internal or plot.is_short or plot.is_german):
        plot = replace(plot, truth=draw_truth(plot, rng=rng, phrases=phrases))
    dialogue = Dialogue(plot, rng=rng, phrases=phrases)
    dialogue.talk()
    transcript, end_ms = Timing(plot, dialogue, rng=rng).monologues()
    item = CallRecord(plot, rng=rng, subject=dialogue.speech.slots["thing"]).item(transcript, end_ms)
    if slot.remark == "no transcript":
        return _Call(item, None, {})
    # what nobody may read cannot be judged
    return _Call(item, transcript, {} if plot.is_private else plot.truth)
