"""Every query function as every role, and the same numbers as plain SQL."""

import contextlib
import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from streamlit_app.queries import (
    calls,
    coaching_queue,
    costs,
    follow_ups,
    freshness,
    knowledge_proposals,
    leaderboard,
    marks,
    moments,
    people,
    reviews,
    scores,
    search,
    skills,
    statements,
    talking,
    trust,
    words,
)
from streamlit_app.queries.database import Database, UnreadableValueError
from streamlit_app.queries.viewer import Viewer
from streamlit_app.queries.words import NoWordsError

ROOT = Path(__file__).parents[2]
# the rows of each question, and which rep a row speaks of
QUESTIONS: dict[str, Callable[[Database, Viewer], Any]] = {
    "list_reps": lambda database, viewer: people.list_reps(database, viewer),
    "standings": lambda database, viewer: scores.standings(database, viewer),
    "skills": lambda database, viewer: skills.skills(database, viewer),
    "list_moments": lambda database, viewer: moments.list_moments(database, viewer, limit=5_000),
    "latest_calls": lambda database, viewer: calls.latest_calls(database, viewer, limit=5_000),
    "list_objections": lambda database, viewer: follow_ups.list_objections(database, viewer, limit=5_000),
    "list_next_steps": lambda database, viewer: follow_ups.list_next_steps(database, viewer, limit=5_000),
    "rhythms": lambda database, viewer: follow_ups.rhythms(database, viewer),
    "leaderboard": lambda database, viewer: leaderboard.leaderboard(database, viewer),
    "coaching_queue": lambda database, viewer: coaching_queue.coaching_queue(database, viewer, limit=5_000),
    "list_statements": lambda database, viewer: statements.list_statements(database, viewer, limit=5_000),
    "search_calls": lambda database, viewer: search.search_calls(database, viewer, text="price", limit=5_000),
}
# asked by the tests below: about one call, one rep, or about nobody in particular
OTHER_QUESTIONS = {
    "freshness",
    "list_teams",
    "find_rep",
    "dimension_means",
    "dimension_weeks",
    "rep_trend",
    "rep_scored_calls",
    "call_head",
    "call_turns",
    "call_scores",
    "call_criteria",
    "call_findings",
    "call_participants",
    "call_brief",
    "call_flags",
    "talk_shares",
    "weekly_reviews",
    "review_weeks",
    "costs",
    "agreement",
    "judge_quality",
    "pipeline_health",
    "moment_reviews",
    "review_moment",
    "mark_moment",
    "list_requests",
    "request_call_analysis",
    "request_week_analysis",
    "propose_knowledge",
    "sample_statements",
    "usual_rhythm",
}
ROLES = ("rep", "manager", "other_manager", "leader", "admin")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_answers_with_the_reps_its_viewer_may_see_and_no_other(
    question: str, role: str, desk: Database, viewers: dict[str, Viewer], visible: dict[str, set[str]]
) -> None:
    answer = QUESTIONS[question](desk, viewers[role])
    assert {row.rep_id for row in answer} == visible[role]


def test_no_question_of_the_query_layer_is_left_unasked() -> None:
    folder = Path(people.__file__).parent
    modules = [importlib.import_module(f"streamlit_app.queries.{path.stem}") for path in folder.glob("[a-z]*.py")]
    asked = {
        name
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and list(inspect.signature(function).parameters)[:2] == ["database", "viewer"]
        and not name.startswith("_")
    }
    assert asked == {*QUESTIONS, *OTHER_QUESTIONS}


def test_the_query_layer_imports_neither_framework() -> None:
    modules = [f"streamlit_app.queries.{path.stem}" for path in Path(people.__file__).parent.glob("[a-z]*.py")]
    check = f"import sys, {', '.join(modules)}; print(*{{'streamlit', 'fastmcp', 'pandas'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


@pytest.mark.parametrize("role", ROLES)
def test_sums_over_people_hold_the_viewers_people_only(
    role: str, desk: Database, desk_url: str, viewers: dict[str, Viewer], visible: dict[str, set[str]]
) -> None:
    viewer, seen = viewers[role], list(visible[role])
    with psycopg.connect(desk_url) as connection:
        weeks = connection.execute(
            "select count(score) from marts.fct_scores where rep_id = any(%s)", (seen,)
        ).fetchone()
        spent = connection.execute(
            "select round(sum(cost_usd), 4)::float from marts.fct_llm_requests where rep_id = any(%s)", (seen,)
        ).fetchone()
    assert sum(row.n_calls for row in scores.dimension_weeks(desk, viewer)) == weeks[0]
    assert {team.team_id for team in people.list_teams(desk, viewer)} == {
        rep.team_id for rep in people.list_reps(desk, viewer)
    }
    (total,) = costs.costs(desk, viewer, since=date(2020, 1, 1), until=date(2100, 1, 1))
    assert total.cost_usd == spent[0]
    assert trust.judge_quality(desk, viewer)
    assert trust.pipeline_health(desk, viewer)


@pytest.mark.parametrize("role", ROLES)
def test_a_review_is_read_by_whom_it_is_about_and_by_those_above(
    role: str, desk: Database, viewers: dict[str, Viewer], visible: dict[str, set[str]]
) -> None:
    weeks = reviews.review_weeks(desk, viewers[role])
    assert [week.week_start for week in weeks] == sorted((week.week_start for week in weeks), reverse=True)
    found = [row for week in weeks for row in reviews.weekly_reviews(desk, viewers[role], week.week_start)]
    assert sum(week.n_reviews for week in weeks) == len(found)
    teams = {"rep": set(), "manager": {"robin"}, "other_manager": {"martin"}}.get(role, {"robin", "martin"})
    assert {row.recipient_id for row in found if row.kind == "rep"} == visible[role]
    assert {row.recipient_id for row in found if row.kind == "team"} == teams
    assert {row.recipient_id for row in found if row.kind == "leadership"} == (
        {"eagle"} if viewers[role].sees_everyone else set()
    )


def test_opinions_are_counted_for_those_who_may_see_the_moment(own_desk: Database, viewers: dict[str, Viewer]) -> None:
    robin = Viewer(viewer_id="robin", name="Robin Sample", role="manager", can_write=True)
    moment = moments.list_moments(own_desk, robin, limit=1).rows[0]
    marks.review_moment(own_desk, robin, moment.evidence_id, verdict="agree")
    assert [row.n_agree for row in trust.agreement(own_desk, viewers["admin"])] == [1]
    assert not trust.agreement(own_desk, viewers["other_manager"])


def test_a_mark_of_a_minute_ago_moves_the_moment(own_desk: Database) -> None:
    robin = Viewer(viewer_id="robin", name="Robin Sample", role="manager", can_write=True)
    martin = Viewer(viewer_id="martin", name="Martin Sample", role="manager", can_write=True)
    first = coaching_queue.coaching_queue(own_desk, robin).rows[0]
    with pytest.raises(marks.NoSuchMomentError):
        marks.mark_moment(own_desk, martin, first.moment_id, mark="done")
    marks.mark_moment(
        own_desk, robin, first.moment_id, mark="snoozed", snoozed_until=date(2099, 1, 1), note="After the launch."
    )
    assert coaching_queue.coaching_queue(own_desk, robin).rows[0].moment_id != first.moment_id
    (snoozed,) = coaching_queue.coaching_queue(own_desk, robin, state="snoozed")
    assert (snoozed.moment_id, snoozed.note, snoozed.marked_by) == (first.moment_id, "After the launch.", "robin")
    marks.mark_moment(own_desk, robin, first.moment_id, mark="open")
    assert coaching_queue.coaching_queue(own_desk, robin).rows[0].moment_id == first.moment_id


def test_a_snoozed_moment_comes_back_on_its_day(own_desk: Database) -> None:
    robin = Viewer(viewer_id="robin", name="Robin Sample", role="manager", can_write=True)
    first = coaching_queue.coaching_queue(own_desk, robin).rows[0]
    today = datetime.now(UTC).date()
    for days, state in ((1, "snoozed"), (0, "open")):
        until = today + timedelta(days=days)
        marks.mark_moment(own_desk, robin, first.moment_id, mark="snoozed", snoozed_until=until)
        found = coaching_queue.coaching_queue(own_desk, robin, state=None, limit=500)
        assert [row.state for row in found if row.moment_id == first.moment_id] == [state]


@pytest.mark.parametrize("role", ROLES)
def test_another_viewers_call_is_as_absent_as_one_that_does_not_exist(
    role: str, desk: Database, viewers: dict[str, Viewer], visible: dict[str, set[str]]
) -> None:
    viewer = viewers[role]
    for rep_id in ("wren", "finch", "dove", "crane", "swift"):
        call_id = f"call-{rep_id}-05-0"
        parts = (
            calls.call_turns(desk, viewer, call_id),
            calls.call_scores(desk, viewer, call_id),
            calls.call_criteria(desk, viewer, call_id),
            calls.call_findings(desk, viewer, call_id),
            moments.list_moments(desk, viewer, call_id=call_id),
            follow_ups.call_participants(desk, viewer, call_id),
            follow_ups.list_objections(desk, viewer, call_id=call_id),
            follow_ups.list_next_steps(desk, viewer, call_id=call_id),
            follow_ups.call_flags(desk, viewer, call_id),
            statements.list_statements(desk, viewer, call_id=call_id),
            follow_ups.talk_shares(desk, viewer, rep_id),
            scores.rep_scored_calls(desk, viewer, rep_id),
            scores.rep_trend(desk, viewer, rep_id),
        )
        if rep_id in visible[role]:
            assert calls.call_head(desk, viewer, call_id).rep_id == rep_id
            assert all(parts)
        else:
            with pytest.raises(calls.NoSuchCallError) as hidden:
                calls.call_head(desk, viewer, call_id)
            assert str(hidden.value) == str(calls.NoSuchCallError(call_id))
            assert not any(parts)
            assert follow_ups.call_brief(desk, viewer, call_id) is None


@pytest.mark.parametrize("role", ROLES)
def test_statements_are_counted_and_usual_rhythms_taken_from_the_viewers_calls_only(
    role: str, desk: Database, desk_url: str, viewers: dict[str, Viewer], visible: dict[str, set[str]]
) -> None:
    found = statements.sample_statements(desk, viewers[role], per_verdict=2)
    usual = talking.usual_rhythm(desk, viewers[role])
    reps = list(visible[role])
    with psycopg.connect(desk_url) as connection:
        expected = connection.execute(
            "select count(distinct call_id), count(*) filter (where verdict = 'correct'), "
            "count(*) filter (where verdict = 'inaccurate'), count(*) filter (where verdict = 'missed_opportunity') "
            "from marts.fct_statements where rep_id = any(%s)",
            [reps],
        ).fetchone()
        quartiles = connection.execute(
            "select count(*), percentile_cont(array[0.25, 0.75]) within group (order by longest_monologue_s) "
            "from marts.fct_call_participants join marts.fct_calls using (call_id) where side = 'rep' "
            "and fct_calls.rep_id = any(%s) "
            "and fct_calls.started_at >= (select max(started_at)::date - 89 from marts.fct_scores)",
            [reps],
        ).fetchone()
    counts = {row.verdict: row.n_with_verdict for row in found}
    counted = tuple(counts.get(verdict, 0) for verdict in ("correct", "inaccurate", "missed_opportunity"))
    assert (found.rows[0].n_calls, *counted) == expected
    assert {row.rep_id for row in found} <= visible[role]
    assert len(found) == 6
    assert (usual.n_calls, [usual.longest_monologue_s_low, usual.longest_monologue_s_high]) == quartiles


def test_beside_a_gap_stands_what_the_customer_had_said_last(desk: Database, viewers: dict[str, Viewer]) -> None:
    said = {turn.turn_id: turn for turn in calls.call_turns(desk, viewers["admin"], "call-finch-05-0")}
    found = moments.list_moments(desk, viewers["admin"], call_id="call-finch-05-0", limit=500)
    gaps = [moment for moment in found if moment.polarity == "gap" and moment.side == "rep" and moment.turn_id > 1]
    assert gaps
    assert all(moment.customer_said == said[moment.turn_id - 1].text for moment in gaps)
    assert not [moment for moment in found if moment.polarity == "strength" and moment.customer_said]
    for moment in coaching_queue.coaching_queue(desk, viewers["admin"], limit=20):
        turns = calls.call_turns(desk, viewers["admin"], moment.call_id, last_turn_id=moment.turn_id - 1)
        customers = [turn.text for turn in turns if turn.side == "customer"]
        assert moment.customer_said == (customers[-1] if customers else None)


@pytest.mark.parametrize("role", ROLES)
def test_coverage_counts_the_viewers_calls_only(
    role: str, desk: Database, desk_url: str, viewers: dict[str, Viewer], visible: dict[str, set[str]]
) -> None:
    state = freshness.freshness(desk, viewers[role])
    with psycopg.connect(desk_url) as connection:
        eligible, scored = connection.execute(
            "select count(*) filter (where is_eligible), count(*) filter (where is_eligible and is_scored) "
            "from marts.fct_calls where rep_id = any(%s) and started_at >= %s",
            (list(visible[role]), (state.window_end or date.max) - timedelta(days=27)),
        ).fetchone()
    assert (state.n_eligible, state.n_scored) == (eligible, scored)
    assert state.has_sandbox


def test_a_tile_shows_the_mean_of_calls_and_not_of_weeks(
    desk: Database, desk_url: str, viewers: dict[str, Viewer]
) -> None:
    tiles = {tile.dimension: tile for tile in scores.dimension_means(desk, viewers["manager"])}
    end = freshness.freshness(desk, viewers["manager"]).window_end
    with psycopg.connect(desk_url) as connection:
        rows = connection.execute(
            "select dimension, count(score), round(avg(score), 1)::float from marts.fct_scores "
            "where rep_id in ('wren', 'finch', 'heron', 'dove') and started_at >= %s group by dimension",
            (end - timedelta(days=27),),
        ).fetchall()
    assert {dimension: (n, mean) for dimension, n, mean in rows} == {
        tile.dimension: (tile.n_calls, tile.mean_score) for tile in tiles.values()
    }


def test_a_score_resting_on_too_few_calls_is_withheld(own_desk_url: str, viewers: dict[str, Viewer]) -> None:
    with psycopg.connect(own_desk_url) as connection:
        connection.execute("delete from marts.fct_scores where week_start < current_date - 10 or rep_id <> 'finch'")
        connection.execute("update marts.mart_rep_trends set rolling_n = 4")
    database = Database(own_desk_url)
    try:
        assert all(tile.mean_score is None for tile in scores.dimension_means(database, viewers["admin"]))
        assert all(row.rolling_score is None for row in scores.standings(database, viewers["admin"]))
    finally:
        database.close()


def test_a_rep_is_found_by_id_address_name_or_part_of_it(desk: Database, viewers: dict[str, Viewer]) -> None:
    for wanted in ("finch", "FINCH@example.test", "finch sample", "  Finch   Sample ", "Finch"):
        assert people.find_rep(desk, viewers["admin"], wanted).rep_id == "finch"


def test_a_name_that_fits_several_reps_lists_them(desk: Database, viewers: dict[str, Viewer]) -> None:
    with pytest.raises(people.AmbiguousRepError, match="Ask again with the id"):
        people.find_rep(desk, viewers["admin"], "Sample")


def test_a_hidden_rep_is_not_suggested(desk: Database, viewers: dict[str, Viewer]) -> None:
    with pytest.raises(people.NoSuchRepError) as refusal:
        people.find_rep(desk, viewers["rep"], "Crane Sample")
    assert refusal.value.suggestions == ("Finch Sample",)


def test_a_cut_answer_says_so_and_the_pages_join_without_gap_or_overlap(
    desk: Database, viewers: dict[str, Viewer]
) -> None:
    gaps = {"dimension": "discovery", "polarity": "gap"}
    first = moments.list_moments(desk, viewers["admin"], **gaps, limit=40, with_total=True)
    second = moments.list_moments(desk, viewers["admin"], **gaps, limit=40, offset=40)
    both = moments.list_moments(desk, viewers["admin"], **gaps, limit=80)
    assert first.is_truncated
    assert first.total is not None
    assert first.total > 80
    assert [row.evidence_id for row in (*first, *second)] == [row.evidence_id for row in both]


def test_a_total_that_would_cost_more_than_it_tells_is_left_out(desk: Database, viewers: dict[str, Viewer]) -> None:
    everything = moments.list_moments(desk, viewers["admin"], limit=20, with_total=True)
    assert everything.is_truncated
    assert everything.total is None


HOSTILE = ("' or 1=1 --", "'; drop table marts.fct_calls; --", "%(viewer_id)s", "\\", "x" * 50_000, "🦊\u202e", "")


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_only_ever_a_value(hostile: str, desk: Database, viewers: dict[str, Viewer]) -> None:
    viewer = viewers["rep"]
    with pytest.raises(calls.NoSuchCallError):
        calls.call_head(desk, viewer, hostile)
    with pytest.raises(LookupError):
        people.find_rep(desk, viewer, hostile)
    assert not moments.list_moments(desk, viewer, rep_id=hostile)
    # blank words are no filter
    with contextlib.suppress(NoWordsError):
        assert not (hostile.strip() and moments.list_moments(desk, viewer, text=hostile))
    assert len(calls.latest_calls(desk, viewer, limit=5_000)) == 24


@pytest.mark.parametrize("text", ["price", "price or night", "-price", "nobodysaidthis"])
@pytest.mark.parametrize("n_newest", [1, 8_000])
def test_rare_and_common_words_are_found_alike_though_not_in_the_same_way(
    text: str, n_newest: int, desk: Database, viewers: dict[str, Viewer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(role: str, offset: int) -> list[list[Any]]:
        shown = {"text": text, "limit": 6, "offset": offset}
        return [
            [moment.evidence_id for moment in moments.list_moments(desk, viewers[role], **shown)],
            [call.call_id for call in search.search_calls(desk, viewers[role], **shown)],
        ]

    pages = [(role, offset) for role in ("rep", "manager", "admin") for offset in (0, 12)]
    by_index = [found(*page) for page in pages]
    monkeypatch.setattr(moments, "N_NEWEST", (n_newest, 2 * n_newest))
    monkeypatch.setattr(search, "N_NEWEST", n_newest)
    for rare, common in ((-1, 1_000_000), (-1, -1)):
        monkeypatch.setattr(words, "RARE", rare)
        monkeypatch.setattr(words, "COMMON", common)
        assert [found(*page) for page in pages] == by_index
    assert any(any(lists) for lists in by_index) is (text != "nobodysaidthis")


@pytest.mark.parametrize("wordless", ["the of and to", "%_%_", "!?", '""', "-the"])
def test_a_text_without_a_word_is_said_to_hold_none_instead_of_looked_for(
    wordless: str, desk: Database, viewers: dict[str, Viewer]
) -> None:
    for look in (moments.list_moments, search.search_calls):
        with pytest.raises(NoWordsError, match="Name a rarer word"):
            look(desk, viewers["admin"], text=wordless)


def test_a_nul_byte_is_refused_without_touching_the_connection(desk: Database, viewers: dict[str, Viewer]) -> None:
    with pytest.raises(UnreadableValueError, match="characters that are no text"):
        moments.list_moments(desk, viewers["rep"], text="a\x00b")
    assert calls.latest_calls(desk, viewers["rep"])


def test_the_reader_cannot_write_marts_nor_read_raw_tables(desk: Database, viewers: dict[str, Viewer]) -> None:
    with pytest.raises(Exception, match=r"(?i)read.only|may not|permission"):
        desk.append("delete from marts.fct_calls", {})
    with pytest.raises(Exception, match="may not"):
        desk.rows(viewers["admin"], dict, "secret as (select * from ops.audit_log) select * from secret")
    with pytest.raises(Exception, match=r"may not|not built"):
        desk.rows(viewers["admin"], dict, "secret as (select * from analysis.requests) select * from secret")


def test_a_slow_question_is_stopped_in_plain_words(desk_url: str, viewers: dict[str, Viewer]) -> None:
    database = Database(desk_url, statement_timeout_s=0.2)
    try:
        with pytest.raises(Exception, match=r"took longer than 0\.2 s"):
            database.rows(viewers["admin"], dict, "slow as (select pg_sleep(3)) select * from slow")
        assert calls.latest_calls(database, viewers["admin"])
    finally:
        database.close()


def test_an_empty_warehouse_answers_in_plain_words(database_url: str, viewers: dict[str, Viewer]) -> None:
    database = Database(database_url)
    try:
        with pytest.raises(Exception, match="call-coach run"):
            freshness.freshness(database, viewers["admin"])
    finally:
        database.close()


def test_a_manager_agrees_and_changes_their_mind_and_the_newest_counts(
    own_desk: Database, viewers: dict[str, Viewer]
) -> None:
    manager = Viewer(viewer_id="robin", name="Robin Sample", role="manager", can_write=True)
    moment = moments.list_moments(own_desk, manager, limit=1).rows[0]
    marks.review_moment(own_desk, manager, moment.evidence_id, verdict="agree")
    marks.review_moment(own_desk, manager, moment.evidence_id, verdict="disagree", note="It was a joke.")
    (review,) = marks.moment_reviews(own_desk, manager, moment.call_id)
    assert (review.verdict, review.note, review.viewer_id) == ("disagree", "It was a joke.", "robin")


def test_reps_readers_and_outsiders_cannot_review_a_moment(own_desk: Database, viewers: dict[str, Viewer]) -> None:
    moment = moments.list_moments(own_desk, viewers["rep"], limit=1).rows[0]
    rep = Viewer(viewer_id="finch", name="Finch Sample", role="rep", can_write=True)
    outsider = Viewer(viewer_id="martin", name="Martin Sample", role="manager", can_write=True)
    with pytest.raises(marks.NotAllowedError):
        marks.review_moment(own_desk, viewers["manager"], moment.evidence_id, verdict="agree")
    with pytest.raises(marks.NotAllowedError):
        marks.review_moment(own_desk, rep, moment.evidence_id, verdict="agree")
    with pytest.raises(marks.NoSuchMomentError):
        marks.review_moment(own_desk, outsider, moment.evidence_id, verdict="agree")


def test_asking_twice_for_the_same_call_is_one_request(own_desk: Database) -> None:
    manager = Viewer(viewer_id="robin", name="Robin Sample", role="manager", can_write=True)
    first = marks.request_call_analysis(own_desk, manager, "call-finch-05-0", via="mcp")
    second = marks.request_call_analysis(own_desk, manager, "call-finch-05-0", via="dashboard")
    assert first.request_id == second.request_id
    assert first.status == "received"


def test_requests_are_listed_for_those_who_may_see_the_call(own_desk: Database, viewers: dict[str, Viewer]) -> None:
    for manager, call_id in (("robin", "call-finch-05-0"), ("martin", "call-crane-05-0")):
        asking = Viewer(viewer_id=manager, name=manager, role="manager", can_write=True)
        marks.request_call_analysis(own_desk, asking, call_id, via="mcp")
    seen = {role: {row.call_id for row in marks.list_requests(own_desk, viewers[role])} for role in ROLES}
    assert seen["rep"] == seen["manager"] == {"call-finch-05-0"}
    assert seen["other_manager"] == {"call-crane-05-0"}
    assert seen["leader"] == seen["admin"] == {"call-finch-05-0", "call-crane-05-0"}


def test_knowledge_is_proposed_by_those_with_a_team_and_the_right_to_write(own_desk: Database) -> None:
    page = {
        "document_id": "products/example",
        "kind": "product",
        "title": "Example page",
        "body": "The product can now do one more thing.",
        "reason": "Stated in the release notes.",
    }
    for role, can_write in (("rep", True), ("manager", False)):
        with pytest.raises(marks.NotAllowedError):
            knowledge_proposals.propose_knowledge(
                own_desk, Viewer(viewer_id="finch", name="Finch", role=role, can_write=can_write), **page
            )
    for role in ("manager", "leader", "admin"):
        viewer = Viewer(viewer_id=role, name=role, role=role, can_write=True)
        (proposal,) = knowledge_proposals.propose_knowledge(own_desk, viewer, **page)
        assert (proposal.state, proposal.proposed_by) == ("received", "manager")


def test_only_those_who_see_everyone_may_have_a_week_analysed(own_desk: Database) -> None:
    manager = Viewer(viewer_id="robin", name="Robin Sample", role="manager", can_write=True)
    leader = Viewer(viewer_id="eagle", name="Eagle Sample", role="leader", can_write=True)
    with pytest.raises(marks.NotAllowedError):
        marks.request_week_analysis(own_desk, manager, date(2026, 11, 2), via="mcp")
    assert marks.request_week_analysis(own_desk, leader, date(2026, 11, 2), via="mcp").week_start == date(2026, 11, 2)
