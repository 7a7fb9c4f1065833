import asyncio

import pytest

DIMENSIONS = ("product_knowledge", "discovery", "objections", "engagement", "call_brief")


async def test_a_call_is_scored_in_every_dimension_with_verified_quotes(analysis):
    call_id = analysis.warehouse.add_call()
    chunked = analysis.chunk()
    assert (chunked.calls, chunked.chunked) == (1, 1)

    report = await analysis.score()

    assert report.messages == []
    assert report.is_complete
    assert {name: part.scored for name, part in report.dimensions.items()} == dict.fromkeys(DIMENSIONS, 1)
    answer = analysis.warehouse.answers()[call_id, "discovery"]
    met = {marker["marker_id"]: marker for marker in answer["markers"] if marker["verdict"] == "yes"}
    assert met["ds1_asks_problem"]["evidence"] == [
        {
            "turn_id": 3,
            "quote": "What is the hardest part of a normal Monday for your data team?",
            "side": "rep",
            "start_ms": 14_000,
            "quote_verified": True,
        }
    ]
    assert met["ds1_customer_quantifies"]["evidence"][0]["side"] == "customer"


async def test_names_leave_the_warehouse_only_as_labels(analysis):
    analysis.warehouse.add_call()
    analysis.chunk()
    text = analysis.warehouse.one("select text from analysis.transcript_chunks")
    assert "Dorothea" not in text
    assert text.startswith("[1|00:00|REP] Hi CUSTOMER_1, thanks for taking the time.")


async def test_a_finished_week_sends_nothing(analysis):
    analysis.warehouse.add_call()
    analysis.chunk()
    await analysis.score()
    before = analysis.sandbox.requests

    again = await analysis.score()

    assert again.requests == 0
    assert analysis.sandbox.requests == before
    assert all(part.unchanged == 1 for part in again.dimensions.values())


async def test_a_changed_transcript_is_analysed_again_and_no_other(analysis):
    first = analysis.warehouse.add_call()
    analysis.warehouse.add_call((("R", "What breaks most often in your loads?"), ("C", "Mostly the Sunday one.")))
    analysis.chunk()
    await analysis.score()
    analysis.warehouse.set_transcript(first, [("s-rep", "What gets in the way these days?"), ("s-customer", "Time.")])

    assert analysis.chunk().chunked == 1
    again = await analysis.score()

    assert again.requests == len(DIMENSIONS)
    assert {part.unchanged for part in again.dimensions.values()} == {1}


async def test_identical_transcripts_are_paid_for_once(analysis):
    for _ in range(4):
        analysis.warehouse.add_call()
    analysis.chunk()
    report = await analysis.score()
    assert report.requests == len(DIMENSIONS)
    assert {part.cache_hits for part in report.dimensions.values()} == {3}
    assert len(analysis.warehouse.answers()) == 4 * len(DIMENSIONS)
    served = analysis.warehouse.rows("select * from analysis.requests where kind = 'cache'")
    assert len(served) == 3 * len(DIMENSIONS)
    assert all(row["cost_usd"] == 0 and row["saved_usd"] > 0 for row in served)


async def test_two_runs_at_once_never_pay_twice(analysis):
    for index in range(4):
        analysis.warehouse.add_call((("R", f"What breaks most often in load {index}?"), ("C", "The Sunday one.")))
    analysis.chunk()
    analysis.sandbox.control(behaviour={"answer_s": 0.3})

    reports = await asyncio.gather(analysis.score(), analysis.score(), analysis.score())

    assert sum(report.requests for report in reports) == 4 * len(DIMENSIONS)
    assert analysis.sandbox.requests == 4 * len(DIMENSIONS)
    assert all(part.scored + part.unchanged == 4 for report in reports for part in report.dimensions.values())


async def test_followers_read_what_the_leader_wrote(analysis):
    long_talk = tuple((who, f"{text} " * 4) for who, text in analysis_lines(40))
    analysis.warehouse.add_call(long_talk)
    analysis.chunk()
    await analysis.score()
    rows = analysis.warehouse.rows("select * from analysis.requests order by started_at")
    leaders = [row for row in rows if row["position"] == "leader"]
    followers = [row for row in rows if row["position"] == "follower"]
    assert (len(leaders), len(followers)) == (1, 4)
    assert leaders[0]["cache_write_1h_tokens"] > 1_000
    assert leaders[0]["cache_write_5m_tokens"] > 512
    assert all(row["cache_read_tokens"] > row["input_tokens"] for row in followers)
    assert all(row["cache_write_5m_tokens"] == 0 for row in followers)
    assert all(row["api_request_id"] and row["status"] == "ok" and row["latency_ms"] >= 0 for row in rows)


async def test_force_asks_again_and_the_new_answer_stands(analysis):
    analysis.warehouse.add_call()
    analysis.chunk()
    await analysis.score(dimensions=("discovery",))
    report = await analysis.score(dimensions=("discovery",), force=True)
    assert report.requests == 1
    assert analysis.warehouse.one("select count(*) from analysis.results") == 2
    stands, newest = analysis.warehouse.rows(
        "select (select max(created_at) from analysis.results) as at union all "
        "select result_created_at from analysis.call_results"
    )
    assert stands == newest
    assert analysis.warehouse.one("select count(*) from analysis.requests where cache_outcome = 'forced'") == 1


async def test_an_answer_too_old_is_asked_for_again(analysis):
    analysis.warehouse.add_call(call_id="old")
    analysis.chunk()
    await analysis.score(dimensions=("discovery",))
    analysis.warehouse.rows("update analysis.results set expires_at = now() - interval '1 day'")
    analysis.warehouse.add_call(call_id="twin")
    analysis.chunk()
    report = await analysis.score(dimensions=("discovery",))
    assert report.requests == 1
    assert analysis.warehouse.one("select cache_outcome from analysis.requests where call_id = 'twin'") == "expired"


async def test_a_stand_in_answers_for_itself_only(analysis):
    """The sandbox's answers serve the sandbox again, never a run that would reach another server."""
    analysis.warehouse.add_call()
    analysis.chunk()
    with_claude = analysis.with_settings(model="claude-sonnet-5-5")
    await with_claude.score(dimensions=("discovery",))
    assert analysis.warehouse.one("select distinct model from analysis.results") == "sandbox"
    assert (await with_claude.score(dimensions=("discovery",))).requests == 0

    elsewhere = with_claude.with_settings(base_url=analysis.sandbox.url.replace("127.0.0.1", "localhost"))
    assert (await elsewhere.score(dimensions=("discovery",))).requests == 1


async def test_a_single_question_writes_no_transcript_to_the_cache(analysis):
    analysis.warehouse.add_call()
    analysis.chunk()
    await analysis.score(dimensions=("discovery",))
    (row,) = analysis.warehouse.rows("select * from analysis.requests")
    assert row["position"] == "single"
    assert row["cache_write_5m_tokens"] == 0


async def test_an_unknown_dimension_is_refused_before_anything_is_sent(analysis):
    with pytest.raises(KeyError, match="there is no dimension 'charm'"):
        await analysis.score(dimensions=("charm",))


async def test_a_deleted_call_loses_chunks_scores_and_answers(analysis):
    call_id = analysis.warehouse.add_call()
    kept = analysis.warehouse.add_call((("R", "What breaks most often?"), ("C", "The Sunday load.")))
    analysis.chunk()
    await analysis.score()
    analysis.warehouse.rows("update raw_gong.calls set is_deleted = true where id = %s", call_id)

    assert analysis.chunk().removed == 1

    assert analysis.warehouse.one("select count(*) from analysis.transcript_chunks") == 1
    assert {key[0] for key in analysis.warehouse.answers()} == {kept}
    assert analysis.warehouse.one("select count(*) from analysis.results") == len(DIMENSIONS)


async def test_what_cannot_be_scored_says_why(analysis):
    analysis.warehouse.add_call(call_id="internal", scope="Internal")
    analysis.warehouse.add_call(call_id="private", is_private=True)
    analysis.warehouse.add_call(call_id="other-language", language="deu")
    analysis.warehouse.add_call(call_id="ownerless", primary_user_id=None)
    analysis.warehouse.add_call((("R", "Anybody there? Hello hello hello."),), call_id="alone")
    analysis.warehouse.add_call((("C", "Nobody came to this one."),), call_id="silent")
    analysis.warehouse.add_call(call_id="waiting")
    analysis.warehouse.rows("delete from raw_gong.transcripts where call_id = 'waiting'")
    report = analysis.with_settings(min_call_s=300).chunk()
    assert report.not_eligible == {
        "internal call": 1,
        "private call": 1,
        "not in a scored language (deu)": 1,
        "no primary user to score": 1,
        "nobody from the customer speaks": 1,
        "the primary user does not speak": 1,
        "no transcript yet": 1,
    }
    rows = analysis.warehouse.rows("select distinct call_id, status, reason from analysis.call_results")
    assert {row["call_id"]: row["reason"] for row in rows}["internal"] == "internal call"
    assert {row["status"] for row in rows} == {"not_eligible"}
    assert (await analysis.score()).requests == 0


async def test_a_late_transcript_is_scored_on_the_next_run(analysis):
    call_id = analysis.warehouse.add_call()
    analysis.warehouse.rows("delete from raw_gong.transcripts where call_id = %s", call_id)
    analysis.chunk()
    analysis.warehouse.set_transcript(call_id, [("s-rep", "What breaks most often?"), ("s-customer", "The load.")])
    assert analysis.chunk().chunked == 1
    report = await analysis.score()
    assert report.is_complete
    assert analysis.warehouse.one("select count(*) from analysis.call_results where status = 'scored'") == 5


async def test_a_long_call_is_scored_in_parts_and_merged(analysis):
    talk = [
        ("s-rep" if index % 2 == 0 else "s-customer", f"Number {index} in a long row of things said.")
        for index in range(400)
    ]
    talk[20] = ("s-rep", "What is the hardest part of a normal Monday for you?")
    talk[371] = ("s-customer", "We lose roughly two days a month to it.")
    call_id = analysis.warehouse.add_call()
    analysis.warehouse.set_transcript(call_id, talk)
    chunked = analysis.with_settings(whole_call_tokens=3_000, chunk_tokens=2_000)
    assert chunked.chunk().chunks >= 4

    report = await chunked.score(dimensions=("discovery", "call_brief"))

    assert report.is_complete
    answer = analysis.warehouse.answers()[call_id, "discovery"]
    met = {marker["marker_id"]: marker["evidence"] for marker in answer["markers"] if marker["verdict"] == "yes"}
    assert met["ds1_asks_problem"][0]["turn_id"] == 21
    assert met["ds1_customer_quantifies"][-1]["turn_id"] == 372
    assert met["ds1_asks_problem"][0]["chunk_index"] == 0
    assert met["ds1_customer_quantifies"][-1]["chunk_index"] >= 3
    assert analysis.warehouse.answers()[call_id, "call_brief"]["brief"]["priority"] in (
        "critical",
        "high",
        "medium",
        "low",
    )
    assert (await chunked.score(dimensions=("discovery", "call_brief"))).requests == 0


def analysis_lines(n_turns):
    return [
        ("R" if index % 2 == 0 else "C", f"This is sentence {index} of the talk we have.") for index in range(n_turns)
    ]
