import json
import statistics
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest

from dlt_pipelines.gong.simulator.company import Company, build_company
from dlt_pipelines.gong.simulator.company_phrases import load_phrases
from dlt_pipelines.gong.simulator.company_plot import CONFIRMING, NEGATIVE
from dlt_pipelines.gong.simulator.company_records import earned_level
from knowledge.check import fold
from knowledge.rubrics import Marker, Rubric, load_rubrics

FRIDAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def company() -> Company:
    return build_company(until=FRIDAY)


@pytest.fixture(scope="module")
def rubrics() -> tuple[Rubric, ...]:
    return load_rubrics()


def spoken_turns(company: Company, call_id: str) -> list[tuple[str, str]]:
    """(side, folded text) per turn: consecutive sentences of one speaker by start time."""
    call = next(item for item in company.calls if item["metaData"]["id"] == call_id)
    parties = {party["speakerId"]: party for party in call["parties"] if party["speakerId"]}
    sentences = []
    latest = 0
    for monologue in company.transcripts[call_id]["transcript"]:
        for sentence in monologue["sentences"]:
            start = sentence.get("start", latest)
            latest = max(latest, start)
            sentences.append((start, len(sentences), monologue["speakerId"], sentence["text"]))
    turns: list[tuple[str, list[str]]] = []
    for _, _, speaker, text in sorted(sentences):
        if turns and turns[-1][0] == speaker:
            turns[-1][1].append(text)
        else:
            turns.append((speaker, [text]))
    sides = {}
    for speaker, party in parties.items():
        is_rep = party.get("userId") == call["metaData"]["primaryUserId"]
        sides[speaker] = "rep" if is_rep else {"Internal": "team", "External": "customer"}[party["affiliation"]]
    return [(sides.get(speaker, "unknown"), fold(" ".join(texts))) for speaker, texts in turns]


def recovered(spoken: dict[str, str], marker: Marker) -> str:
    """The simplest reader there is: a cue on the right side is a yes, no occasion is a not applicable."""
    if any(fold(cue) in spoken[marker.evidence_side] for cue in marker.cues):
        return "yes"
    occasion = any(fold(cue) in spoken["customer"] for cue in marker.opportunity_cues)
    return "no" if occasion or not marker.opportunity_cues else "not_applicable"


def test_every_planted_behaviour_is_found_by_its_cues_and_nothing_else_is(
    company: Company, rubrics: tuple[Rubric, ...]
) -> None:
    markers = {marker.marker_id: marker for rubric in rubrics for marker in rubric.markers}
    wrong: Counter[tuple[str, str, str]] = Counter()
    for call_id in {call_id for call_id, _ in company.planted()}:
        turns = spoken_turns(company, call_id)
        # one turn a line: a cue must not be found across two turns
        spoken = {side: "\n".join(text for said_by, text in turns if said_by == side) for side in ("rep", "customer")}
        for (_, marker_id), verdict in company.planted(call_id).items():
            answer = recovered(spoken, markers[marker_id])
            if answer != verdict:
                wrong[(marker_id, verdict, answer)] += 1
    assert not wrong


def test_the_planted_markers_are_those_of_the_rubrics(rubrics: tuple[Rubric, ...]) -> None:
    banks = load_phrases().markers
    assert {rubric.dimension: {marker.marker_id for marker in rubric.markers} for rubric in rubrics} == {
        dimension: set(bank) for dimension, bank in banks.items()
    }
    kinds = {marker.marker_id: marker.kind for rubric in rubrics for marker in rubric.markers}
    assert {marker for marker, kind in kinds.items() if kind == "negative"} == NEGATIVE
    assert {marker for marker, kind in kinds.items() if kind == "confirming"} == CONFIRMING


def test_every_planted_sentence_holds_a_cue_of_its_marker_and_of_no_other(rubrics: tuple[Rubric, ...]) -> None:
    cues = {marker.marker_id: marker.cues for rubric in rubrics for marker in rubric.markers}
    problems = []
    for marker_id, sentences in load_phrases().by_marker.items():
        for sentence in sentences:
            hits = {other for other, phrases in cues.items() if any(fold(cue) in fold(sentence) for cue in phrases)}
            if hits != {marker_id}:
                problems.append((marker_id, sentence, sorted(hits)))
    assert not problems


def test_ordinary_talk_holds_no_cue(company: Company, rubrics: tuple[Rubric, ...]) -> None:
    phrases = load_phrases()
    lines = [line for bank in phrases.talk.values() for line in bank]
    lines += [
        line for topic in phrases.topics.values() for bank in topic.values() if isinstance(bank, list) for line in bank
    ]
    # every call talks about jobs and pipelines; only what some calls lack must not be said by accident
    sometimes = {marker for (_, marker), verdict in company.planted().items() if verdict == "not_applicable"}
    cues = {cue for rubric in rubrics for marker in rubric.markers for cue in marker.cues}
    cues |= {
        cue
        for rubric in rubrics
        for marker in rubric.markers
        for cue in marker.opportunity_cues
        if marker.marker_id in sometimes
    }
    folded = {fold(cue) for cue in cues}
    assert not [(line, cue) for line in map(fold, lines) for cue in folded if cue in line]


def test_the_same_day_and_seed_give_the_same_company(company: Company) -> None:
    again = build_company(until=FRIDAY)
    assert json.dumps(again.calls) == json.dumps(company.calls)
    assert json.dumps(again.transcripts) == json.dumps(company.transcripts)
    assert build_company(until=FRIDAY, seed=8).calls != company.calls


def test_days_of_one_week_agree_on_the_calls_they_share(company: Company) -> None:
    wednesday = build_company(until=FRIDAY - timedelta(days=2))
    known = {item["metaData"]["id"]: item for item in company.calls}
    assert len(wednesday.calls) < len(company.calls)
    assert all(known[item["metaData"]["id"]] == item for item in wednesday.calls)
    assert all(company.transcripts[call_id] == item for call_id, item in wednesday.transcripts.items())


@pytest.mark.parametrize("until", [date(2026, 11, 16), date(2026, 11, 20), date(2027, 1, 3), date(2028, 2, 29)])
def test_calls_lie_in_the_twelve_weeks_and_never_in_the_future(until: date) -> None:
    company = build_company(until=until)
    monday = until - timedelta(days=until.weekday())
    first = datetime.combine(monday - timedelta(weeks=11), datetime.min.time(), tzinfo=UTC)
    last = datetime.combine(until, datetime.min.time(), tzinfo=UTC)
    starts = [datetime.fromisoformat(item["metaData"]["started"]) for item in company.calls]
    assert all(first <= started < last for started in starts)
    assert starts == sorted(starts)
    assert 100 <= len(starts) <= 130
    reviews = [datetime.fromisoformat(answered["reviewTime"]) for answered in company.answered_scorecards]
    assert max(reviews) < last


def test_calls_are_as_long_as_real_ones(company: Company) -> None:
    words, sentences, minutes = [], [], []
    for item in company.calls:
        call_id = item["metaData"]["id"]
        if not company.planted(call_id):
            continue
        texts = [s["text"] for m in company.transcripts[call_id]["transcript"] for s in m["sentences"]]
        words.append(sum(len(text.split()) for text in texts))
        sentences.append(len(texts))
        minutes.append(item["metaData"]["duration"] / 60)
    assert 3800 <= statistics.mean(words) <= 4800
    assert 17 <= min(minutes) < max(minutes) <= 46
    assert 240 <= min(sentences) < max(sentences) <= 850
    assert 130 <= sum(words) / sum(minutes) <= 175


def test_most_reps_have_enough_scored_calls_and_two_have_few(company: Company) -> None:
    rep_of = {item["metaData"]["id"]: item["metaData"]["primaryUserId"] for item in company.calls}
    with_objection: Counter[str] = Counter()
    for call_id in {call_id for call_id, _ in company.planted()}:
        truth = company.planted(call_id)
        with_objection[rep_of[call_id]] += truth[(call_id, "oh1_argues")] != "not_applicable"
    counts = sorted(with_objection.values())
    assert counts[1] < 5
    assert all(count >= 8 for count in counts[2:])


def test_one_rep_improves_and_one_declines(company: Company) -> None:
    names = {user["id"]: user["firstName"] for user in company.users}
    shares: dict[str, list[float]] = defaultdict(list)
    for item in company.calls:
        call_id = item["metaData"]["id"]
        met = [
            verdict == "yes"
            for (_, marker_id), verdict in company.planted(call_id).items()
            if marker_id not in NEGATIVE and verdict != "not_applicable"
        ]
        if met:
            shares[names[item["metaData"]["primaryUserId"]]].append(sum(met) / len(met))
    change = {
        name: statistics.mean(values[len(values) // 2 :]) - statistics.mean(values[: len(values) // 2])
        for name, values in shares.items()
        if len(values) >= 8
    }
    assert max(change, key=lambda name: change[name]) == "Edda"
    assert min(change, key=lambda name: change[name]) == "Hugo"
    assert change["Edda"] > 0.15
    assert change["Hugo"] < -0.15


def test_the_awkward_calls_are_there(company: Company) -> None:
    by_id = {item["metaData"]["id"]: item for item in company.calls}
    assert by_id[company.special("short")]["metaData"]["duration"] < 300
    internal = by_id[company.special("internal")]
    assert internal["metaData"]["scope"] == "Internal"
    assert {party["affiliation"] for party in internal["parties"]} == {"Internal"}
    heard = {m["speakerId"] for m in company.transcripts[company.special("internal")]["transcript"]}
    assert heard == {party["speakerId"] for party in internal["parties"]}
    assert company.special("no transcript") not in company.transcripts
    assert by_id[company.special("german")]["metaData"]["language"] == "deu"
    # long enough that only the language keeps it from being scored
    assert by_id[company.special("german")]["metaData"]["duration"] > 300
    assert [item["metaData"]["id"] for item in company.calls if item["metaData"]["isPrivate"]] == [
        company.special("private")
    ]
    for remark in ("short", "internal", "no transcript", "german", "private"):
        assert company.planted(company.special(remark)) == {}
    false_claim = company.special("false claim")
    assert company.planted(false_claim)[(false_claim, "pk1_false_claim")] == "yes"
    injection = company.transcripts[company.special("injection")]["transcript"]
    assert any("ignore all previous instructions" in s["text"] for m in injection for s in m["sentences"])
    timeless = company.transcripts[company.special("times missing")]["transcript"]
    assert any(len(s) < 3 for m in timeless for s in m["sentences"])
    stranger = company.special("unknown speaker")
    known = {party["speakerId"] for party in by_id[stranger]["parties"]}
    assert any(m["speakerId"] not in known for m in company.transcripts[stranger]["transcript"])
    assert any(party["speakerId"] is None for item in company.calls for party in item["parties"])
    assert any(
        len([party for party in item["parties"] if party["affiliation"] == "Internal"]) > 1 for item in company.calls
    )
    assert any(not item["context"] for item in company.calls)


def test_people_talk_over_each_other_as_in_real_meetings(company: Company) -> None:
    out_of_order = 0
    for transcript in company.transcripts.values():
        starts = [s["start"] for m in transcript["transcript"] for s in m["sentences"] if "start" in s]
        out_of_order += starts != sorted(starts)
    assert out_of_order > len(company.transcripts) / 2


def test_ids_are_numeric_text_of_nineteen_digits_and_unique(company: Company) -> None:
    users = [user["id"] for user in company.users]
    calls = [item["metaData"]["id"] for item in company.calls]
    assert len(set(users + calls)) == len(users) + len(calls)
    assert all(identifier.isdigit() and len(identifier) == 19 for identifier in users + calls)
    managers = {user["managerId"] for user in company.users if user["managerId"]}
    assert managers <= set(users)
    assert set(company.transcripts) <= set(calls)
    assert {item["userId"] for item in company.interaction_stats} <= set(users)
    assert {item["callId"] for item in company.answered_scorecards} <= set(calls)


def test_managers_score_what_was_earned_most_of_the_time(company: Company, rubrics: tuple[Rubric, ...]) -> None:
    titles = {criterion.criterion_id[:3]: criterion.title for rubric in rubrics for criterion in rubric.criteria}
    assert load_phrases().scorecard == titles
    questions = {question["questionId"]: question["questionText"] for question in company.scorecards[0]["questions"]}
    differences = []
    for answered in company.answered_scorecards:
        truth = {marker: verdict for (_, marker), verdict in company.planted(answered["callId"]).items()}
        for answer in answered["answers"]:
            prefix = next(key for key, title in titles.items() if title == questions[answer["questionId"]])
            level = earned_level({marker: v for marker, v in truth.items() if marker.startswith(prefix)})
            assert (level is None) == answer["notApplicable"] == (answer["score"] is None)
            if level is not None:
                differences.append(abs(level - answer["score"]))
    assert len(company.answered_scorecards) >= 60
    assert max(differences) == 1
    assert 0.65 <= differences.count(0) / len(differences) <= 0.9
