"""Judge histories of the fault suite; knows nothing of how they came about. Prints tables as Markdown."""

import json
import string
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from rows import GROUPS, ROWS, Row

Event = dict[str, Any]
# how the driver notes a command that ended with a trace
UNHANDLED = 70
LETTERS = [*string.ascii_uppercase, *(f"A{letter}" for letter in string.ascii_uppercase)]
# requests a second, for all of a company's programs together
GONG_LIMIT = 3


@dataclass(frozen=True)
class Verdict:
    """One line of the table: what was done, what had to hold, and what was seen."""

    fault: str
    must_hold: str
    holds: bool
    figures: str
    scenario: str = ""


def judge(path: Path) -> list[Verdict]:
    """A verdict for every scenario that the newest part of the history holds."""
    events = _newest(path)
    reference = next((event for event in events if event["scenario"] == "baseline" and "marts" in event), None)
    verdicts = [
        Verdict(event["scenario"], "the driver itself works", False, event["error"])
        for event in events
        if event["event"] == "driver failed"
    ]
    if reference is None and {event["scenario"] for event in events} == {"stage", "rows"}:
        return verdicts
    if reference is None:
        return [*verdicts, Verdict("baseline", "there is one", False, "no undisturbed run was seen")]
    judges = {
        "baseline again": _second_run,
        "pipeline kills": _kills,
        "two of everything": _rivals,
        "postgres faults": _postgres,
        "Gong storms": _gong_storms,
        "Claude storms": _claude_storms,
        "API storms": _storms,
        "disk full": _disk,
        "memory limit": _memory,
        "webhook flood": _flood,
        "hostile calls": _hostile,
        "MCP abuse": _desk,
        "restores": _restores,
        "erasures": _erasures,
        "receiver kills": _receiver,
        "rebuilds": _rebuilds,
    }
    for scenario, judge_one in judges.items():
        seen = [event for event in events if event["scenario"] == scenario]
        if seen:
            verdicts.append(replace(judge_one(seen, reference), scenario=scenario))
    return verdicts


def rows(paths: Sequence[Path], verdicts: Sequence[Verdict]) -> str:
    """The promised faults one by one, each with what showed it; empty where the rows' tests were not run."""
    events = [event for path in paths for event in _newest(path)]
    tested = {event["number"]: event for event in events if event["scenario"] == "rows"}
    if not tested:
        return ""
    lines = ["| # | fault | injected | must hold | holds | measured |", "|---|---|---|---|---|---|"]
    lines += [_row_line(row, verdicts, tested[row.number]) for row in ROWS]
    return "\n".join(lines) + "\n"


def _row_line(row: Row, verdicts: Sequence[Verdict], tested: Event) -> str:
    shown, holds = _shown_by(row.scenarios, verdicts)
    is_missing = tested["unmatched"] or (row.tests and not tested.get("passed"))
    if tested.get("failed") or is_missing:
        holds = "NO"
    measured = [*shown, *tested["figures"]]
    if row.tests:
        counts = ", ".join(f"{tested[name]} {name}" for name in ("passed", "failed", "skipped") if tested.get(name))
        measured.append(f"tests: {counts or 'none'}" + "".join(f", not found: {name}" for name in tested["unmatched"]))
    return f"| {row.number} | {row.fault} | {row.injected} | {row.must_hold} | {holds} | {'; '.join(measured)} |"


def core(verdicts: Sequence[Verdict]) -> str:
    """The seven groups at the heart of it, and the lines of the table above that show each."""
    lines = ["| fault | must hold | holds | shown by |", "|---|---|---|---|"]
    for group in GROUPS:
        shown, holds = _shown_by(group.scenarios, verdicts)
        lines.append(f"| {group.fault} | {group.must_hold} | {holds} | {'; '.join(shown)} |")
    return "\n".join(lines) + "\n"


def _shown_by(scenarios: Sequence[str], verdicts: Sequence[Verdict]) -> tuple[list[str], str]:
    """The letters of these scenarios' verdicts, and whether all held: "yes", "NO" or "not run"."""
    mine = [(letter, v) for letter, v in zip(LETTERS, verdicts, strict=False) if v.scenario in scenarios]
    not_run = [name for name in scenarios if name not in {verdict.scenario for _, verdict in mine}]
    letters = ", ".join(letter for letter, _ in mine)
    shown = [*([f"{letters} above"] if letters else []), *(f"{name}: not run" for name in not_run)]
    if not all(verdict.holds for _, verdict in mine):
        return shown, "NO"
    return shown, "not run" if not_run else "yes"


def _newest(path: Path) -> list[Event]:
    """What happened since the stage was last set."""
    events = [json.loads(line) for line in path.read_text().splitlines()]
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
    stray = sum(event["left"]["locks"] + event["left"].get("processes", 0) for event in rounds)
    temporary = sum(event["left"]["temporary_folders"] for event in rounds)
    by_victim = {
        kind: sum(event["victim"].startswith(kind) for event in killed) for kind in ("group", "main process", "child")
    }
    by_phase = Counter(event.get("during", "unknown") for event in killed)
    holds = bool(rounds) and len(same) == len(rounds) and not (hands or hung or paid_twice or still_open or stray)
    bound = f", so a kill does harm in under {100 * 3 / len(killed):.1f} % of cases at 95 %" if killed and holds else ""
    return Verdict(
        "kill -9 at random moments over a whole run",
        "the next run ends well and the marts equal those of an undisturbed run",
        holds,
        f"{len(killed)} kills ({', '.join(f'{n} {kind}' for kind, n in by_victim.items())}; "
        f"{', '.join(f'{n} in {name}' for name, n in by_phase.most_common())}), {len(rounds)} rounds, "
        f"{len(same)} with equal marts{bound}; {second} needed a second try, {hung} hung, {hands} needed hands; "
        f"{paid_twice} answers recorded twice, {unrecorded} requests unrecorded, {still_open} left open, "
        f"{stray} locks or processes and {temporary} temporary folders left behind{_differences(rounds, reference)}",
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
        bool(seen) and same == len(seen) and not any(codes) and extra == 0 and twice == 0,
        f"{len(codes)} runs, exit codes {sorted(set(codes))}, {extra} extra requests, {twice} answers recorded twice, "
        f"{same} of {len(seen)} with equal marts, {max(event['seconds'] for event in seen)} s the longest"
        f"{_differences(seen, reference)}",
    )


def _postgres(events: list[Event], reference: Event) -> Verdict:
    seen = _observed(events)
    hurt = sum(event["event"] == "hurt" for event in events)
    disturbed = [event for event in events if event["event"] == "disturbed run ended"]
    hung = sum(event["code"] == 124 for event in disturbed)
    traces = sum(event["code"] == UNHANDLED for event in disturbed)
    same = sum(not _different(event, reference) for event in seen)
    return Verdict(
        "Postgres: connections cut, a backend killed, the server crashed",
        "a clean error or none, no corruption, the next run ends well",
        bool(seen) and same == len(seen) and not (hung or traces) and not any(event["code"] for event in seen),
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
        bool(seen) and same == len(seen) and not any(event["code"] for event in seen),
        f"{faults} faults of Claude met; exit codes of the stormy runs {[event['codes'] for event in seen]}; "
        f"states {sorted(states)}; {same} of {len(seen)} with equal marts{_differences(seen, reference)}",
    )


def _gong_storms(events: list[Event], reference: Event) -> Verdict:
    seen = _observed(events)
    same = sum(not _different(event, reference) for event in seen)
    # a storm that ended a run early must have said so
    unsaid = sum(3 in event["codes"] and not event["said"] for event in seen)
    crashes = sum(code not in (0, 3) for event in seen for code in event["codes"])
    calm = sum(event["served"] > 0 and not event["struck"] for event in seen)
    uncounted = sum(max(0, event["served"] - event["counted"]) for event in seen)
    fastest = max(event["most_in_a_second"] for event in seen)
    runs = "; ".join(
        f"{event['kind']}: {sum(event['struck'].values())} faults of {len(event['struck'])} kinds, "
        f"exit codes {event['codes']}"
        for event in seen
    )
    is_kept = not (unsaid or crashes or calm or uncounted) and fastest <= GONG_LIMIT
    return Verdict(
        "Gong: 429 for hours; storms of 429 and 500; hangs; cut and malformed answers; expired and repeated cursors; "
        "late and older calls; nobody there",
        "partial is said, the next run completes, the quota is kept, equal marts",
        bool(seen) and same == len(seen) and not any(event["code"] for event in seen) and is_kept,
        f"{runs}; {unsaid} partial runs unsaid; {sum(event['served'] for event in seen)} requests to Gong, "
        f"{fastest} within a second at most (allowed: {GONG_LIMIT}), {uncounted} not counted against the day's budget; "
        f"{same} of {len(seen)} with equal marts{_differences(seen, reference)}",
    )


NAMED_STATES = frozenset({"scored", "refused", "failed", "over_budget", "not_eligible"})


def _claude_storms(events: list[Event], reference: Event) -> Verdict:
    seen = _observed(events)
    limits = [event for event in seen if event["kind"] != "nonsense"]
    same = sum(not _different(event, reference) for event in limits)
    off = [abs(Decimal(event["ledger"]["cost_usd"]) - Decimal(event["billed_usd"])) for event in seen]
    billed = sum(Decimal(event["billed_usd"]) for event in seen)
    nameless = sum(set(event["ledger"]["states"]) - NAMED_STATES != set() for event in seen)
    missing = sum(event["n_questions"] - sum(event["ledger"]["states"].values()) for event in seen)
    faults = Counter(
        {kind.removeprefix("fault:"): n for event in seen for kind, n in event["served"].items() if "fault:" in kind}
    )
    holds = bool(limits) and same == len(limits) and max(off) < Decimal("0.01") and not nameless and not missing
    runs = "; ".join(f"{event['kind']}: exit codes {event['codes']}, states {event['states']}" for event in seen)
    return Verdict(
        "Claude: spend cap, 429 and 529 storms, cut streams, refusals, nonsense",
        "every question ends scored or in a named state; the ledger equals the bill to the cent",
        holds,
        f"{sum(faults.values())} faults of {len(faults)} kinds; {runs}; billed ${billed:.2f}, ledger off by "
        f"${max(off):.6f} at most; {missing} questions without a state; {same} of {len(limits)} with equal marts"
        f"{_differences(limits, reference)}",
    )


def _disk(events: list[Event], reference: Event) -> Verdict:
    if refused := [event for event in events if event["event"] == "not run"]:
        return Verdict("disk full", "clean error, resumes", False, f"not run: {refused[0]['reason']}")
    seen = _observed(events)
    filled = [event for event in events if event["event"] == "filled" and event["was_running"]]
    disturbed = [event for event in events if event["event"] == "disturbed run ended"]
    same = sum(not _different(event, reference) for event in seen)
    lost = sum(event["lost"] for event in seen)
    traces = sum(event["code"] == UNHANDLED for event in disturbed)
    hung = sum(event["code"] == 124 for event in disturbed)
    return Verdict(
        "the disk is full at a random moment of a run, and free again after it",
        "clean error, no corruption, resumes; no acknowledged event is lost",
        bool(seen) and same == len(seen) and not any(event["code"] for event in seen) and not (lost or hung or traces),
        f"{len(filled)} of {len(disturbed)} in mid-run, exit codes {[event['code'] for event in disturbed]}, "
        f"{hung} hung, {traces} showed a traceback, Postgres stayed up in "
        f"{sum(event['postgres_was_up'] for event in disturbed)}; {sum(e['acked'] for e in seen)} events acknowledged, "
        f"{sum(event['refused'] for event in seen)} told to come back, {lost} lost, "
        f"{sum(event['twice'] for event in seen)} twice; {same} of {len(seen)} with equal marts"
        f"{_differences(seen, reference)}",
    )


def _memory(events: list[Event], _: Event) -> Verdict:
    counted = events[-1]
    if counted["event"] == "not run":
        return Verdict("memory limit", "no process is killed for memory", False, f"not run: {counted['reason']}")
    calls, turns = counted["scored"]
    return Verdict(
        f"a run in {counted['limit'] / 2**20:.0f} MB, dbt included, with a call of {counted['hours']} hours",
        "no process is killed for memory, the call is scored",
        counted["code"] == 0 and counted["killed"] == 0 and calls > 0,
        f"exit code {counted['code']}, peak {counted['peak'] / 2**20:.0f} MB with the page cache, {counted['killed']} "
        f"killed, {calls} calls scored, {turns:,} turns in the longest, {counted['seconds']} s",
    )


def _flood(events: list[Event], _: Event) -> Verdict:
    counted = events[-1]
    clocks = counted["clocks"]
    holds = (
        counted["rows"] == counted["good"] // 20
        and counted["good_ok"] == counted["good"]
        and not (counted["forged_ok"] or counted["server_errors"] or clocks["wrong"])
    )
    return Verdict(
        "a flood of webhooks: copies, any order, forgeries, clocks that differ",
        "each event is stored once, every genuine delivery is taken and no forged one, the clock rule holds",
        holds,
        f"{counted['sent']:,} sent in {counted['seconds']} s, {counted['good_ok']:,} of {counted['good']:,} genuine "
        f"taken as {counted['rows']} rows, p99 {counted['good_p99_ms']} ms, {counted['forged_ok']} of "
        f"{counted['forged']:,} forged taken, {counted.get('again', 0)} sent again because the receiver was busy, "
        f"{counted['server_errors']} server errors, {clocks['wrong']} of "
        f"{clocks['tried']} clocks judged wrongly",
    )


def _hostile(events: list[Event], _: Event) -> Verdict:
    found = {event["event"]: event for event in events}
    ran, messages, pages = (found.get(name, {}) for name in ("ran", "messages read", "pages read"))
    holds = (
        ran.get("code") in (0, 3)
        and set(ran.get("unscored", {}).values()) <= NAMED_STATES
        and ran.get("moved") == 0
        and ran.get("verdicts", 0) > 0
        and messages.get("n_live") == 0
        and not messages.get("failures")
        and pages.get("bad") == 0
        and pages.get("with_attacks", 0) > 0
    )
    return Verdict(
        "hostile transcripts: orders, markup, odd characters, every script, a turn of 10 MB",
        "no crash, no verdict moved, nothing executed in page, mail or Slack",
        holds,
        f"{ran.get('attacks')} hostile turns, exit code {ran.get('code')}, {ran.get('moved')} of {ran.get('verdicts')} "
        f"verdicts moved with a judge that obeys, {len(ran.get('unscored', {}))} questions in another named state, "
        f"{ran.get('turns_flagged')} turns flagged; {messages.get('html')} "
        f"HTML, {messages.get('eml')} mails and {messages.get('slack')} Slack messages with {messages.get('n_live')} "
        f"live parts, attacks shown as text in {messages.get('with_attacks')}; {pages.get('pages', 'no')} pages in "
        f"Chromium, {pages.get('bad', '?')} bad, attacks shown as text on {pages.get('with_attacks')}",
    )


def _desk(events: list[Event], _: Event) -> Verdict:
    counted = events[-1]
    bad = sum(counted[name] for name in ("leaks", "too_long", "hidden", "connections", "writes"))
    return Verdict(
        "MCP abuse: SQL in every text, absurd arguments, 200 calls at once, callers who hang up",
        "bounded answers without SQL or hidden characters, nothing written, connections freed, well afterwards",
        bad == 0 and counted["is_alive"] and counted["well_afterwards"] and counted["answered_at_once"] > 0,
        f"{counted['asked']:,} abusive calls, {counted['refused']:,} refused, "
        f"{counted.get('limited', 0):,} told to slow down, {counted['leaks']} leaks, "
        f"{counted['too_long']} answers too long, {counted['hidden']} with hidden characters, {counted['writes']} rows "
        f"written, {counted['connections']} connections held; {counted['answered_at_once']} of {counted['at_once']} at "
        f"once answered, p95 {counted['p95_s']} s",
    )


def _restores(events: list[Event], reference: Event) -> Verdict:
    seen = _observed(events)
    same = sum(not _different(event, reference) for event in seen)
    runs = ", ".join(f"{event['kind']}: {event['served']} requests to Claude" for event in seen)
    return Verdict(
        "yesterday's database under today's working folder, and the reverse",
        "the next run brings it to today's marts",
        bool(seen) and same == len(seen) and not any(event["code"] for event in seen),
        f"{runs}; {same} of {len(seen)} with equal marts{_differences(seen, reference)}",
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


def markdown(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as a table, each with a letter."""
    lines = ["| | fault | must hold | holds | figures |", "|---|---|---|---|---|"]
    lines += [
        f"| {letter} | {verdict.fault} | {verdict.must_hold} | {'yes' if verdict.holds else 'NO'} | {verdict.figures} |"
        for letter, verdict in zip(LETTERS, verdicts, strict=False)
    ]
    return "\n".join(lines) + "\n"


def report(paths: Sequence[Path]) -> tuple[str, bool]:
    """All tables over one or several histories, and whether everything held."""
    verdicts = [verdict for path in paths for verdict in judge(path)]
    text = "\n".join(part for part in (markdown(verdicts), core(verdicts), rows(paths, verdicts)) if part)
    return text, all(verdict.holds for verdict in verdicts)


if __name__ == "__main__":
    printed, is_well = report([Path(name) for name in sys.argv[1:]])
    sys.stdout.write(printed)
    sys.exit(0 if is_well else 1)
