"""Judge a history of the fault suite; knows nothing of how it came about. Prints a table as Markdown."""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One line of the table: what was done, what had to hold, and what was seen."""

    fault: str
    must_hold: str
    holds: bool
    figures: str


def judge(path: Path) -> list[Verdict]:
    """A verdict for every scenario that the newest part of the history holds."""
    events = _newest([json.loads(line) for line in path.read_text().splitlines()])
    reference = next((event for event in events if event["scenario"] == "baseline" and "marts" in event), None)
    verdicts = [
        Verdict(event["scenario"], "the driver itself works", False, event["error"])
        for event in events
        if event["event"] == "driver failed"
    ]
    if reference is None:
        return [*verdicts, Verdict("baseline", "there is one", False, "no undisturbed run was seen")]
    judges = {
        "baseline again": _second_run,
        "pipeline kills": _kills,
        "two of everything": _rivals,
        "postgres faults": _postgres,
        "API storms": _storms,
        "erasures": _erasures,
        "receiver kills": _receiver,
        "rebuilds": _rebuilds,
    }
    for scenario, judge_one in judges.items():
        seen = [event for event in events if event["scenario"] == scenario]
        if seen:
            verdicts.append(judge_one(seen, reference))
    return verdicts


def _newest(events: list[Event]) -> list[Event]:
    starts = [index for index, event in enumerate(events) if event["scenario"] == "stage"]
    return events[starts[-1] :] if starts else events


def _observed(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if event["event"] == "observed"]


def _different(event: Event, reference: Event) -> list[str]:
    return sorted(
        table
        for table in reference["marts"].keys() | event["marts"].keys()
        if reference["marts"].get(table) != event["marts"].get(table)
    )


def _differences(events: list[Event], reference: Event) -> str:
    differing = sorted({table for event in events for table in _different(event, reference)})
    return f"; differing: {', '.join(differing)}" if differing else ""


def _second_run(events: list[Event], reference: Event) -> Verdict:
    (again,) = _observed(events)
    new = again["ledger"]["attempts"] - reference["ledger"]["attempts"]
    holds = not _different(again, reference) and new == 0 and again["code"] == 0
    return Verdict(
        "an undisturbed run, repeated",
        "nothing is asked again, no mart changes",
        holds,
        f"{len(reference['marts'])} marts, {reference['ledger']['answered']} answers, {new} new requests, "
        f"{reference['seconds']} s and {again['seconds']} s{_differences([again], reference)}",
    )


def _kills(events: list[Event], reference: Event) -> Verdict:
    killed = [event for event in events if event["event"] == "killed"]
    rounds = _observed(events)
    same = [event for event in rounds if not _different(event, reference)]
    hands = sum(event["code"] != 0 for event in rounds)
    second = sum(bool(event.get("second_try")) for event in rounds)
    hung = sum(event["event"] == "hung" for event in events)
    paid_twice = sum(event["ledger"]["paid_twice"] for event in rounds)
    still_open = sum(event["ledger"]["open"] for event in rounds)
    unrecorded = sum(max(0, event["served"] - event["ledger"]["attempts"]) for event in rounds)
    stray = sum(event["left"]["locks"] for event in rounds)
    temporary = sum(event["left"]["temporary_folders"] for event in rounds)
    by_victim = {
        kind: sum(event["victim"].startswith(kind) for event in killed) for kind in ("group", "main process", "child")
    }
    holds = bool(rounds) and len(same) == len(rounds) and not (hands or hung or paid_twice or still_open or stray)
    bound = f", so a kill does harm in under {100 * 3 / len(killed):.1f} % of cases at 95 %" if killed and holds else ""
    return Verdict(
        "kill -9 at random moments over a whole run",
        "the next run ends well and the marts equal those of an undisturbed run",
        holds,
        f"{len(killed)} kills ({', '.join(f'{n} {kind}' for kind, n in by_victim.items())}), {len(rounds)} rounds, "
        f"{len(same)} with equal marts{bound}; {second} needed a second try, {hung} hung, {hands} needed hands; "
        f"{paid_twice} answers recorded twice, {unrecorded} requests unrecorded, {still_open} left open, "
        f"{stray} locks and {temporary} temporary folders left behind{_differences(rounds, reference)}",
    )


def _rivals(events: list[Event], reference: Event) -> Verdict:
    seen = _observed(events)
    codes = [code for event in seen for code in event["codes"]]
    extra = sum(event["served"] - reference["served"] for event in seen)
    twice = sum(event["ledger"]["paid_twice"] for event in seen)
    same = sum(not _different(event, reference) for event in seen)
    return Verdict(
        "three runs of the same weeks at once",
        "all end well, nothing is asked twice, no deadlock, equal marts",
        same == len(seen) and not any(codes) and extra == 0 and twice == 0,
        f"{len(codes)} runs, exit codes {sorted(set(codes))}, {extra} extra requests, {twice} answers recorded twice, "
        f"{same} of {len(seen)} with equal marts, {max(event['seconds'] for event in seen)} s the longest"
        f"{_differences(seen, reference)}",
    )


def _postgres(events: list[Event], reference: Event) -> Verdict:
    seen = _observed(events)
    hurt = sum(event["event"] == "hurt" for event in events)
    disturbed = [event for event in events if event["event"] == "disturbed run ended"]
    hung = sum(event["code"] == 124 for event in disturbed)
    traces = sum("Traceback" in event["log"] for event in disturbed)
    same = sum(not _different(event, reference) for event in seen)
    return Verdict(
        "Postgres: connections cut, a backend killed, the server crashed",
        "a clean error or none, no corruption, the next run ends well",
        same == len(seen) and not hung and not any(event["code"] for event in seen),
        f"{hurt} blows in {len(disturbed)} runs, {sum(not event['code'] for event in disturbed)} of them well all the "
        f"same; {hung} hung, {traces} showed a traceback; {same} of {len(seen)} with equal marts after the next run"
        f"{_differences(seen, reference)}",
    )


def _storms(events: list[Event], reference: Event) -> Verdict:
    seen = _observed(events)
    same = sum(not _different(event, reference) for event in seen)
    faults = sum(n for event in seen for kind, n in event["served"].items() if kind.startswith("fault:"))
    states = {state for event in seen for state in event["ledger"]["states"]}
    return Verdict(
        "Gong and Claude misbehave at once",
        "partial is said, the run after ends well, every call is scored or in a named state, equal marts",
        same == len(seen) and not any(event["code"] for event in seen),
        f"{faults} faults of Claude met; exit codes of the stormy runs {[event['codes'] for event in seen]}; "
        f"states {sorted(states)}; {same} of {len(seen)} with equal marts{_differences(seen, reference)}",
    )


def _erasures(events: list[Event], _: Event) -> Verdict:
    searched = [event for event in events if event["event"] == "searched"]
    hits = sum(event["hits"] for event in searched)
    controls = sum(event["others"] > 0 for event in searched)
    return Verdict(
        "a call is erased while it is loaded and scored",
        "it is in no byte of a full dump after the next run, and stays away when Gong is asked again",
        hits == 0 and controls == len(searched) and bool(searched),
        f"{len(searched)} erasures, {hits} lines left; a call that was not erased was found in {controls} of the dumps",
    )


def _receiver(events: list[Event], _: Event) -> Verdict:
    (counted,) = [event for event in events if event["event"] == "counted"]
    return Verdict(
        "the webhook receiver is killed under load",
        "what it acknowledged is in the inbox once; a forged event is never acknowledged",
        counted["lost"] == 0 and counted["twice"] == 0 and counted["forged_ok"] == 0 and counted["acked"] > 0,
        f"{counted['kills']} kills, {counted['sent']:,} sent, {counted['acked']:,} acknowledged, "
        f"{counted['lost']} lost, {counted['twice']} twice, {counted['forged_ok']} forged ones taken",
    )


def _rebuilds(events: list[Event], _: Event) -> Verdict:
    (counted,) = [event for event in events if event["event"] == "counted"]
    bad = (
        counted["foreign"] + counted["nameless"] + counted["empty"] + counted["n_errors"] + len(counted["unprotected"])
    )
    return Verdict(
        "every mart rebuilt from nothing under readers",
        "a rep sees their own rows and nothing else, nobody without a name sees a row, no table is missing",
        bad == 0 and not any(counted["codes"]) and counted["reads"] > 0,
        f"{counted['builds']} builds, {counted['reads']:,} reads, {counted['foreign']} with foreign rows, "
        f"{counted['nameless']} without a viewer that saw rows, {counted['empty']} empty, "
        f"{counted['n_errors']} errors, {len(counted['unprotected'])} marts unprotected afterwards",
    )


def markdown(verdicts: list[Verdict]) -> str:
    """The verdicts as a table."""
    lines = ["| fault | must hold | holds | figures |", "|---|---|---|---|"]
    lines += [
        f"| {verdict.fault} | {verdict.must_hold} | {'yes' if verdict.holds else 'NO'} | {verdict.figures} |"
        for verdict in verdicts
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    found = judge(Path(sys.argv[1]))
    sys.stdout.write(markdown(found))
    sys.exit(0 if all(verdict.holds for verdict in found) else 1)
