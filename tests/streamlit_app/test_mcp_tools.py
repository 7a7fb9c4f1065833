"""The tools as a model meets them, in process."""

import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from fastmcp import Client

from knowledge.proposals import reject
from streamlit_app.mcp_answers import MAX_CHARACTERS
from streamlit_app.mcp_server import build_server
from streamlit_app.mcp_tools.registry import TOOLS
from streamlit_app.queries.database import Database
from streamlit_app.settings import Settings

READ_CALLS: dict[str, dict[str, Any]] = {
    "analyze_call": {"call_id": "call-finch-05-0"},
    "get_rep_insights": {"rep": "finch"},
    "search_calls": {"text": "price"},
    "find_moments": {"limit": 100},
    "compare_calls": {"call_ids": ["call-finch-05-0", "call-finch-06-0"]},
    "get_coaching_plan": {"rep": "Finch Sample"},
    "get_coaching_queue": {"limit": 100},
    "get_team_overview": {},
    "get_leaderboard": {"dimension": "discovery"},
    "analyze_product_knowledge": {},
    "export_coaching_report": {"rep": "finch"},
    "get_cost_report": {"period": "last_90_days"},
    "describe_metric": {},
}


def server_as(local_viewer: str, database: Database) -> Any:
    return build_server(Settings(CALL_COACH_LOCAL_VIEWER=local_viewer, _env_file=None), database)  # type: ignore[call-arg]


@pytest.fixture
async def admin(desk: Database) -> AsyncIterator[Client]:
    async with Client(server_as("admin", desk)) as client:
        yield client


@pytest.fixture
async def as_finch(desk: Database) -> AsyncIterator[Client]:
    async with Client(server_as("finch", desk)) as client:
        yield client


async def answer(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    return result.structured_content or {}


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments, raise_on_error=False)
    assert result.is_error
    return result.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize("tool", READ_CALLS)
async def test_text_and_structure_say_the_same_within_the_budget(tool: str, admin: Client) -> None:
    result = await admin.call_tool(tool, READ_CALLS[tool])
    (block,) = result.content
    assert len(block.text) <= MAX_CHARACTERS  # type: ignore[union-attr]
    assert json.loads(block.text) == result.structured_content  # type: ignore[union-attr]


@pytest.mark.parametrize("tool", READ_CALLS)
async def test_every_answer_says_how_old_it_is_and_that_it_is_sandboxed(tool: str, admin: Client) -> None:
    found = await answer(admin, tool, **READ_CALLS[tool])
    assert {"rows", "total", "truncated", "next_cursor", "as_of", "is_sandbox", "notes"} <= found.keys()
    assert found["as_of"]
    assert found["is_sandbox"]
    assert found["rows"]


@pytest.mark.parametrize("tool", READ_CALLS)
async def test_a_rep_is_answered_with_nobody_elses_data(tool: str, as_finch: Client) -> None:
    if tool == "get_cost_report":
        assert "managers" in await refusal(as_finch, tool, **READ_CALLS[tool])
        return
    text = json.dumps(await answer(as_finch, tool, **READ_CALLS[tool]))
    assert not [name for name in ("Wren", "Heron", "Dove", "Crane", "Swift", "call-wren", "call-crane") if name in text]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_rep_insights", {"rep": "wren"}),
        ("get_coaching_plan", {"rep": "Wren Sample"}),
        ("find_moments", {"rep": "wren"}),
        ("find_moments", {"call_id": "call-wren-05-0"}),
        ("search_calls", {"rep": "wren@example.test"}),
        ("analyze_call", {"call_id": "call-wren-05-0"}),
        ("compare_calls", {"call_ids": ["call-finch-05-0", "call-wren-05-0"]}),
        ("export_coaching_report", {"rep": "wren"}),
        ("get_team_overview", {"team": "martin"}),
        ("batch_analyze_calls", {"call_ids": ["call-wren-05-0"]}),
        ("get_coaching_queue", {"rep": "crane"}),
        ("analyze_product_knowledge", {"rep": "crane"}),
    ],
)
async def test_naming_someone_elses_things_is_refused_as_if_they_did_not_exist(
    tool: str, arguments: dict[str, Any], as_finch: Client
) -> None:
    text = await refusal(as_finch, tool, **arguments)
    assert "you may see" in text
    assert "Wren Sample (" not in text


async def test_pages_of_a_long_answer_join_to_the_whole(admin: Client) -> None:
    seen: list[str] = []
    cursor = None
    question = {"dimension": "discovery", "polarity": "gap", "limit": 100}
    for _ in range(20):
        found = await answer(admin, "find_moments", **question, cursor=cursor)
        seen += [row["evidence_id"] for row in found["rows"]]
        cursor = found["next_cursor"]
        if cursor is None:
            break
        assert found["truncated"]
    assert len(seen) == len(set(seen)) == found["total"]


async def test_a_cursor_of_another_question_is_refused(admin: Client) -> None:
    first = await answer(admin, "search_calls", limit=5)
    assert "other arguments" in await refusal(admin, "search_calls", limit=5, rep="finch", cursor=first["next_cursor"])
    assert "not a cursor" in await refusal(admin, "search_calls", cursor="%%%")


@pytest.mark.parametrize(
    ("tool", "arguments", "hint"),
    [
        ("get_leaderboard", {"dimension": "discovry"}, "Did you mean 'discovery'?"),
        ("get_rep_insights", {"rep": "Sample"}, "Ask again with the id"),
        ("get_rep_insights", {"rep": "Fin"}, "finch"),
        ("get_rep_insights", {"rep": "Nobody"}, "Did you mean"),
        ("analyze_call", {"call_id": "nope"}, "Search for it"),
        ("compare_calls", {"call_ids": ["call-finch-05-0"]}, "at least 2 items"),
        ("search_calls", {"since": "2026-11-10", "until": "2026-11-01"}, "Swap the two dates"),
        ("search_calls", {"min_score": 80, "max_score": 70}, "below max_score"),
        ("search_calls", {"limit": 0}, "greater than or equal to 1"),
        ("export_coaching_report", {}, "either a rep or a team"),
        ("batch_analyze_calls", {}, "either week_start or call_ids"),
        ("get_rep_insights", {}, "rep"),
    ],
)
async def test_a_wrong_call_is_told_what_to_do_instead(
    tool: str, arguments: dict[str, Any], hint: str, admin: Client
) -> None:
    if arguments.get("rep") == "Fin":
        assert (await answer(admin, tool, **arguments))["rep_id"] == hint
        return
    text = await refusal(admin, tool, **arguments)
    assert hint in text
    assert "pydantic" not in text


HOSTILE = ("' or 1=1 --", "'; drop schema marts cascade; --", "../../etc/passwd", "{{7*7}}", "\u202egnirts", "%s %(x)s")


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_arguments_leak_nothing(hostile: str, as_finch: Client) -> None:
    for tool, arguments in (
        ("get_rep_insights", {"rep": hostile}),
        ("analyze_call", {"call_id": hostile}),
        ("find_moments", {"criterion_id": hostile}),
        ("search_calls", {"text": hostile, "account": hostile}),
        ("get_team_overview", {"team": hostile}),
    ):
        result = await as_finch.call_tool(tool, arguments, raise_on_error=False)
        text = result.content[0].text  # type: ignore[union-attr]
        assert not any(secret in text for secret in ("psycopg", "Traceback", "postgres", "Wren", "select "))


async def test_huge_arguments_are_refused_before_they_reach_the_database(admin: Client) -> None:
    assert "at most" in await refusal(admin, "search_calls", text="price " * 10_000)
    assert "at most" in await refusal(admin, "get_rep_insights", rep="x" * 100_000)
    assert "at most" in await refusal(admin, "compare_calls", call_ids=["call"] * 1_000)


async def test_invisible_characters_of_a_transcript_do_not_reach_the_model(own_desk_url: str) -> None:
    with psycopg.connect(own_desk_url) as connection:
        connection.execute("update marts.fct_evidence set quote = 'A\u202eB\u200bC' || chr(917569) || 'D'")
    database = Database(own_desk_url)
    async with Client(server_as("admin", database)) as client:
        found = await answer(client, "find_moments", limit=1)
    database.close()
    assert found["rows"][0]["quote"] == "ABCD"


async def test_a_single_huge_text_does_not_break_the_budget(own_desk_url: str) -> None:
    with psycopg.connect(own_desk_url) as connection:
        connection.execute(
            "update marts.fct_evidence set quote = repeat('很长的句子', 20000) where call_id = 'call-finch-05-0'"
        )
    database = Database(own_desk_url)
    async with Client(server_as("admin", database)) as client:
        result = await client.call_tool("find_moments", {"call_id": "call-finch-05-0", "limit": 50})
    database.close()
    assert len(result.content[0].text) <= MAX_CHARACTERS  # type: ignore[union-attr]
    assert result.structured_content["next_cursor"]
    assert result.structured_content["rows"][0]["quote"].endswith("[cut]")


async def test_every_call_leaves_an_audit_row_without_its_arguments(own_desk_url: str) -> None:
    with psycopg.connect(own_desk_url) as connection:
        (before,) = connection.execute("select coalesce(max(audit_id), 0) from ops.audit_log").fetchone()  # type: ignore[misc]
    database = Database(own_desk_url)
    async with Client(server_as("finch", database)) as client:
        await answer(client, "get_rep_insights", rep="finch")
        await refusal(client, "analyze_call", call_id="secret-words")
        await client.read_resource("coach://metrics")
    database.close()
    with psycopg.connect(own_desk_url) as connection:
        rows = connection.execute(
            "select viewer_id, surface, action, row_count, outcome, length(arguments_sha256) "
            "from ops.audit_log where audit_id > %s order by audit_id",
            (before,),
        ).fetchall()
    assert rows == [
        ("local:finch", "mcp", "tool:get_rep_insights", 4, "ok", 64),
        ("local:finch", "mcp", "tool:analyze_call", None, "ToolError", 64),
        ("local:finch", "mcp", "resource:coach://metrics", None, "ok", 64),
    ]


async def test_an_unscored_call_is_queued_once_and_says_so(own_desk: Database) -> None:
    async with Client(server_as("robin", own_desk)) as client:
        assert (await answer(client, "analyze_call", call_id="call-finch-05-0"))["state"] == "scored"
    async with Client(server_as("martin", own_desk)) as client:
        first = await answer(client, "analyze_call", call_id="call-swift-03-0")
        second = await answer(client, "analyze_call", call_id="call-swift-03-0")
    assert first["state"] == "received"
    assert first["request_id"] == second["request_id"]


async def test_a_knowledge_proposal_waits_for_a_person_and_tells_what_was_decided(
    own_desk: Database, own_desk_url: str
) -> None:
    page = {
        "document_id": "products/example",
        "kind": "product",
        "title": "Example page",
        "body": "The product can now do one more thing.",
        "reason": "Stated in the release notes of November.",
    }
    async with Client(server_as("robin", own_desk)) as client:
        first = await answer(client, "update_knowledge_base", **page)
        again = await answer(client, "update_knowledge_base", **page)
        assert first["rows"][0]["state"] == "received"
        assert [row["proposal_id"] for row in again["rows"]] == [first["rows"][0]["proposal_id"]]
        with psycopg.connect(own_desk_url) as connection:
            reject(connection, first["rows"][0]["proposal_id"], reason="It ships in March.", decided_by="eagle")
        decided = await answer(client, "update_knowledge_base", **page)
    assert [(row["state"], row["decision_reason"]) for row in decided["rows"]] == [("rejected", "It ships in March.")]
    async with Client(server_as("finch", own_desk)) as client:
        assert "manager" in await refusal(client, "update_knowledge_base", **page)


async def test_the_listing_is_in_the_same_order_each_time_and_fully_annotated(admin: Client) -> None:
    tools = await admin.list_tools()
    assert [tool.name for tool in tools] == [tool.name for tool in TOOLS]
    for tool in tools:
        assert tool.title
        assert tool.description
        assert tool.output_schema
        assert tool.annotations
        hints = tool.annotations.model_dump()
        assert all(
            hints[hint] is not None
            for hint in ("read_only_hint", "destructive_hint", "idempotent_hint", "open_world_hint")
        )
        assert not hints["open_world_hint"]


async def test_resources_and_prompts_can_be_read(admin: Client) -> None:
    uris = {str(resource.uri) for resource in await admin.list_resources()}
    assert {"coach://metrics", "coach://rubrics/discovery"} <= uris
    assert "ds1_problem_depth" in (await admin.read_resource("coach://rubrics/discovery"))[0].text  # type: ignore[union-attr]
    prompts = {prompt.name for prompt in await admin.list_prompts()}
    assert prompts == {"prepare_one_to_one", "review_call", "find_an_example"}
    prompt = await admin.get_prompt("prepare_one_to_one", {"rep": "Finch Sample"})
    assert "Finch Sample" in prompt.messages[0].content.text  # type: ignore[union-attr]


async def test_weekly_reviews_are_read_by_those_they_concern(desk: Database, as_finch: Client, admin: Client) -> None:
    from datetime import UTC, datetime, timedelta

    today = datetime.now(UTC).date()
    monday = today - timedelta(days=today.weekday() + 7)
    mine = (await as_finch.read_resource(f"coach://reviews/{monday}"))[0].text  # type: ignore[union-attr]
    everyones = (await admin.read_resource(f"coach://reviews/{monday}"))[0].text  # type: ignore[union-attr]
    assert "Finch Sample" in mine
    assert "Wren Sample" not in mine
    assert "Wren Sample" in everyones
