import io
import json

import pytest
from rich.console import Console

from dagster_project.analysis.evaluation import (
    Label,
    LabelError,
    Pair,
    agreement,
    evaluate,
    kappa,
    read_labels,
    read_scorecards,
)
from dagster_project.operations.screens import evaluation_screen


def test_kappa_matches_values_worked_out_by_hand():
    # 20 of 25 + 15 of 25 agree: observed 0.7, by chance 0.5
    table = {("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}
    assert kappa(table, scale=("no", "yes"), is_quadratic=False) == pytest.approx(0.4)
    assert kappa(table, scale=("no", "yes"), is_quadratic=True) == pytest.approx(0.4)
    # off by one counts a sixteenth of off by four on a scale of five
    near = {("1", "2"): 1, ("5", "4"): 1, ("1", "1"): 4, ("5", "5"): 4}
    far = {("1", "5"): 1, ("5", "1"): 1, ("1", "1"): 4, ("5", "5"): 4}
    scale = ("1", "2", "3", "4", "5")
    assert kappa(near, scale=scale, is_quadratic=True) > 0.97
    assert kappa(far, scale=scale, is_quadratic=True) == pytest.approx(0.6)


def test_kappa_of_a_constant_is_undefined_or_zero():
    assert kappa({("3", "3"): 10}, scale=("1", "2", "3"), is_quadratic=True) is None
    assert kappa({("3", "3"): 8, ("2", "3"): 2}, scale=("1", "2", "3"), is_quadratic=True) == 0


def test_the_constant_answer_stands_beside_the_agreement_and_no_claim_is_made_of_it():
    pairs = [Pair(f"call-{n}", "discovery", "level", "3" if n % 10 else "5", "3") for n in range(100)]
    found = agreement(pairs, dimension="discovery", kind="level", human=[], seed=1)
    assert found.exact == found.constant_exact == 0.9
    assert found.kappa == 0
    assert found.signed_error == pytest.approx(-0.2)
    assert found.claim == "no claim: kappa is 0.00; no item has two human labels"


def test_a_claim_needs_bound_kappa_and_people_who_do_not_agree_better():
    pairs = [Pair(f"call-{n}", "discovery", "level", level, level) for n, level in enumerate("12345" * 40)]
    good = agreement(pairs, dimension="discovery", kind="level", human=[("1", "1"), ("2", "3")], seed=1)
    assert good.claim == "at least 80 % agreement"
    few = agreement(
        pairs[:150] + [Pair("c", "d", "level", "1", "2")] * 50, dimension="d", kind="level", human=[], seed=1
    )
    assert few.claim.startswith("no claim: the lower bound is")


def test_intervals_draw_calls_and_not_labels():
    within = [Pair(f"call-{n % 5}", "d", "verdict", "yes", "yes" if n % 5 else "no") for n in range(500)]
    across = [Pair(f"call-{n}", "d", "verdict", "yes", "yes" if n % 5 else "no") for n in range(500)]
    clustered = agreement(within, dimension="d", kind="verdict", human=[], seed=1).exact_interval
    independent = agreement(across, dimension="d", kind="verdict", human=[], seed=1).exact_interval
    assert clustered.high - clustered.low > 4 * (independent.high - independent.low)


async def test_labels_are_compared_with_what_stands(analysis):
    calls = [
        analysis.warehouse.add_call(
            (("R", f"What is the hardest part of a normal Monday for team {n}?"), ("C", "The failed loads, mostly."))
        )
        for n in range(3)
    ]
    analysis.chunk()
    await analysis.score(dimensions=("discovery",))
    labels = [
        *(Label(call_id, "ds1_asks_problem", "verdict", "yes", "ann") for call_id in calls),
        *(Label(call_id, "ds1_asks_problem", "verdict", "yes", "bob") for call_id in calls[:2]),
        Label(calls[0], "ds1_asks_impact", "verdict", "yes", "ann"),
        Label(calls[0], "unknown_marker", "verdict", "yes", "ann"),
    ]
    found = evaluate(database_url=analysis.warehouse.database_url, labels=labels)
    (discovery,) = found.agreements
    assert (discovery.n_labels, discovery.n_calls) == (6, 3)
    assert discovery.exact == pytest.approx(5 / 6)
    assert discovery.signed_error == pytest.approx(-1 / 6)
    assert (discovery.human_human_exact, discovery.n_human_pairs) == (1.0, 2)
    assert found.unmatched == {"the machine has no answer for it": 1}
    assert found.is_sandbox
    assert (found.flip_rate, found.n_repeats) == (None, 0)


async def test_the_flip_rate_comes_from_answers_given_twice(analysis):
    call_id = analysis.warehouse.add_call()
    analysis.chunk()
    await analysis.score(dimensions=("discovery",))
    await analysis.score(dimensions=("discovery",), force=True)
    labels = [Label(call_id, "ds1_asks_problem", "verdict", "yes", "ann")]
    assert evaluate(database_url=analysis.warehouse.database_url, labels=labels).flip_rate == 0
    analysis.sandbox.control(behaviour={"flip_share": 0.9})
    await analysis.score(dimensions=("discovery",), force=True)
    again = evaluate(database_url=analysis.warehouse.database_url, labels=labels)
    assert again.n_repeats == 32
    assert 0 < again.flip_rate < 0.9


async def test_gongs_answered_scorecards_are_labels_of_the_reviewer(analysis):
    """The marts as dbt builds them are not part of this suite: two tables with the columns that are read stand in."""
    call_id = analysis.warehouse.add_call()
    url = analysis.warehouse.database_url
    analysis.warehouse.connection.execute("drop schema if exists marts cascade")
    with pytest.raises(LabelError, match="load them from Gong and build the marts first"):
        read_scorecards(url)
    analysis.warehouse.connection.execute(
        """
        create schema marts;
        create table marts.fct_manager_scores (
            call_id text, criterion_id text, human_level integer, reviewer_id text
        );
        create table marts.fct_criterion_scores (
            call_id text, dimension text, criterion_id text, level numeric, is_current boolean
        );
        """
    )
    with pytest.raises(LabelError, match="no answered scorecard belongs to a loaded call"):
        read_scorecards(url)
    for criterion_id, human, machine in (("a", 4, 4), ("b", 3, 4), ("c", 2, None), ("d", 5, 5)):
        analysis.warehouse.rows(
            "insert into marts.fct_manager_scores values (%s, %s, %s, 'ann')", call_id, criterion_id, human
        )
        analysis.warehouse.rows(
            "insert into marts.fct_criterion_scores values (%s, 'discovery', %s, %s, true)",
            call_id,
            criterion_id,
            machine,
        )
    found = evaluate(database_url=url, labels=read_scorecards(url))
    (discovery,) = found.agreements
    assert (discovery.n_labels, discovery.exact, discovery.signed_error) == (3, 2 / 3, 1 / 3)
    assert discovery.commonest_disagreement == ("3", "4", 1)
    assert found.unmatched == {"the machine found no opportunity, the label has a level": 1}
    shown = Console(width=200, record=True, file=io.StringIO())
    shown.print(evaluation_screen(found))
    text = shown.export_text()
    assert "67% equal" in text
    assert "The machine is kinder by 0.33 levels on average." in text
    assert "people say '3' where the machine says '4' (1 times)" in text
    assert "No claim: the lower bound is" in text
    analysis.warehouse.connection.execute("drop schema marts cascade")


def test_labels_are_read_from_csv_and_json(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        "call_id,labeller,marker_id,verdict,criterion_id,level\n1,ann,m1,Yes,,\n1,ann,,,c1,4.0\n1,bob,m1,n/a,,\n"
    )
    listed = tmp_path / "labels.json"
    listed.write_text(
        json.dumps(
            [
                {"call_id": "1", "labeller": "ann", "marker_id": "m1", "verdict": "yes"},
                {"call_id": "1", "labeller": "ann", "criterion_id": "c1", "level": 4},
                {"call_id": "1", "labeller": "bob", "marker_id": "m1", "verdict": "not_applicable"},
            ]
        )
    )
    assert read_labels(table) == read_labels(listed)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("call_id,marker_id,verdict\n1,m1,maybe\n", "label 1: the verdict 'maybe' is none of"),
        ("call_id,criterion_id,level\n1,c1,6\n", "the level '6' is not 1 to 5"),
        ("call_id,level\n1,3\n", "neither marker_id nor criterion_id"),
        ("marker_id,verdict\nm1,yes\n", "call_id is missing"),
        ("call_id,marker_id,verdict\n", "holds no label"),
    ],
)
def test_a_wrong_label_is_named(tmp_path, text, says):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(LabelError, match=says):
        read_labels(path)
