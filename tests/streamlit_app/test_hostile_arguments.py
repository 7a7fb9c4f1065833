"""Every argument of every tool, filled with what should not be in it: refused or answered, soon, and nothing leaked."""

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.exceptions import McpError, ToolError

from streamlit_app.mcp_answers import MAX_CHARACTERS, MAX_OFFSET
from streamlit_app.mcp_server import build_server
from streamlit_app.mcp_tools.registry import TOOLS
from streamlit_app.queries.database import Database
from streamlit_app.settings import Settings

CALL, OTHER_CALL = "call-finch-05-0", "call-finch-06-0"
# arguments that are answered, so that what is put in beside them is what is refused
USUAL: dict[str, dict[str, Any]] = {
    "analyze_call": {"call_id": CALL},
    "get_rep_insights": {"rep": "finch"},
    "search_calls": {},
    "find_moments": {},
    "compare_calls": {"call_ids": [CALL, OTHER_CALL]},
    "get_coaching_plan": {"rep": "finch"},
    "get_coaching_queue": {},
    "get_team_overview": {},
    "get_leaderboard": {"dimension": "discovery"},
    "analyze_product_knowledge": {},
    "export_coaching_report": {"rep": "finch"},
    "get_cost_report": {},
    "describe_metric": {},
    "batch_analyze_calls": {"call_ids": [CALL]},
    "update_knowledge_base": {
        "document_id": "products/example",
        "kind": "product",
        "title": "Example page",
        "body": "The product can now do one more thing.",
        "reason": "Stated in the release notes of November.",
    },
}
TEXTS = {
    "a megabyte": "x" * 1_000_000,
    "a megabyte of words": "price " * 170_000,
    "wildcards": "%_" * 100,
    "backslashes": "\\" * 199,
    "a pattern that backtracks": "(a+)+$" * 30 + "a" * 19,
    "word operators": "!(a & b | c) <-> d:* " * 9,
    "many alternatives": " or ".join(["price", "budget", "time"] * 8),
    "only words to leave out": "-price -budget -time -the",
    "quotes without an end": '"' * 199,
    "a statement": "'; drop schema marts cascade; --",
    "placeholders": "%s %(viewer_id)s {0} {{7*7}} $1 ${HOME}",
    "a path": "../../../etc/passwd",
    "a zero byte": "a\x00b",
    "half a character": "a\ud800b",
    "text that turns around": "\u202e\u2066gnirts\u200b\ufeff",
    "a tower of accents": "e" + "\u0301" * 199,
    "families of emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 25,
    "digits": "9" * 199,
    "nothing": " ",
}
OTHERS: dict[str, Any] = {
    "a long way down": json.loads("[" * 90 + "1" + "]" * 90),
    "a thousand of them": ["x" * 100] * 1_000,
    "an object": {"$ne": None},
    "a huge number": 10**30,
    "a negative number": -1,
    "infinity": float("inf"),
    "the first day there is": "0001-01-01",
    "the last day there is": "9999-12-31",
    "no day": "2026-02-31",
}
OTHER_TEAM = ("Crane", "Swift", "call-crane", "call-swift")
INSIDES = ("psycopg", "Traceback", "pydantic", "select ", "marts.", "Error calling tool", "Error r", "codec")
# the slowest took 0.2 s on an idle machine and 3 s on one with eight times the work; the database gives up at 10
SOON_S = 8.0


@pytest.fixture(scope="module")
def database(module_desk_url: str) -> Iterator[Database]:
    made = Database(module_desk_url)
    yield made
    made.close()


@pytest.fixture
async def robin(database: Database) -> AsyncIterator[Client]:
    """A manager who may write: whoever is refused earlier would prove less."""
    settings = Settings(CALL_COACH_LOCAL_VIEWER="robin", _env_file=None)  # type: ignore[call-arg]
    async with Client(build_server(settings, database)) as client:
        yield client


async def answered(client: Client, tool: str, arguments: dict[str, Any]) -> tuple[bool, str]:
    """Whether it was refused, and what was said; asserts what holds for either."""
    began = time.perf_counter()
    try:
        result = await client.call_tool(tool, arguments, raise_on_error=False)
        is_refused, text = result.is_error, result.content[0].text  # type: ignore[union-attr]
    except (ToolError, McpError, ValueError) as unsent:
        is_refused, text = True, str(unsent)
    assert time.perf_counter() - began < SOON_S
    assert len(text) <= (2_000 if is_refused else MAX_CHARACTERS)
    assert text.strip()
    assert not [leak for leak in (*OTHER_TEAM, *(INSIDES if is_refused else ())) if leak in text], text[:500]
    return is_refused, text


def accepts(schema: dict[str, Any], kind: str) -> bool:
    """Whether an argument may hold a value of that kind; enums hold nothing of the caller's making."""
    choices = [schema, *schema.get("anyOf", ())]
    return any(choice.get("type") == kind and "enum" not in choice for choice in choices)


async def arguments_of(client: Client, tool: str) -> dict[str, dict[str, Any]]:
    listed = {found.name: found for found in await client.list_tools()}
    return dict(listed[tool].input_schema["properties"])


# each kind of trouble once: too long, not text, nothing to look up, and another language
WORST = ("a megabyte", "a zero byte", "only words to leave out", "a statement")
texts_at_once = pytest.mark.parametrize(
    "texts", [WORST, pytest.param(tuple(TEXTS), marks=pytest.mark.slow)], ids=["worst", "all"]
)


@texts_at_once
@pytest.mark.parametrize("tool", [tool.name for tool in TOOLS])
async def test_no_text_in_any_argument_breaks_slows_or_opens_a_tool(
    tool: str, texts: tuple[str, ...], robin: Client
) -> None:
    for name, schema in (await arguments_of(robin, tool)).items():
        for text in (TEXTS[name] for name in texts):
            if accepts(schema, "string"):
                await answered(robin, tool, {**USUAL[tool], name: text})
            if accepts(schema, "array"):
                await answered(robin, tool, {**USUAL[tool], name: [text, CALL]})


@pytest.mark.slow
@pytest.mark.parametrize("tool", [tool.name for tool in TOOLS])
async def test_no_value_of_another_kind_breaks_slows_or_opens_a_tool(tool: str, robin: Client) -> None:
    for name in await arguments_of(robin, tool):
        for value in OTHERS.values():
            await answered(robin, tool, {**USUAL[tool], name: value})


@pytest.mark.parametrize("tool", [tool.name for tool in TOOLS])
async def test_an_argument_that_no_tool_has_is_refused_in_few_words(tool: str, robin: Client) -> None:
    for name in ("no_such_argument", "x" * 1_000_000):
        is_refused, text = await answered(robin, tool, {**USUAL[tool], name: 1})
        assert is_refused
        assert "was not called" in text


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search_calls", {"limit": 1}),
        ("find_moments", {"limit": 1}),
        ("get_coaching_queue", {"limit": 1}),
        ("get_leaderboard", {"dimension": "discovery", "limit": 1}),
        ("get_cost_report", {"group_by": "day", "limit": 1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("offset", [MAX_OFFSET + 1, 10**30, "1"], ids=str)
async def test_a_cursor_that_was_made_up_reads_nothing_that_no_page_shows(
    tool: str, arguments: dict[str, Any], offset: Any, robin: Client
) -> None:
    first = (await robin.call_tool(tool, arguments)).structured_content or {}
    packed = first["next_cursor"] + "=" * (-len(first["next_cursor"]) % 4)
    _, fingerprint = json.loads(base64.urlsafe_b64decode(packed))
    made_up = base64.urlsafe_b64encode(json.dumps([offset, fingerprint]).encode()).decode().rstrip("=")
    is_refused, text = await answered(robin, tool, {**arguments, "cursor": made_up})
    assert is_refused
    assert "cursor" in text or "Narrow the question" in text


async def test_a_guide_answers_hostile_names_in_few_words(robin: Client) -> None:
    for text in TEXTS.values():
        for ask in (
            lambda text=text: robin.get_prompt("prepare_one_to_one", {"rep": text}),
            lambda text=text: robin.read_resource(f"coach://reviews/{text[:2_000]}"),
        ):
            began = time.perf_counter()
            try:
                said = str(await ask())
            except (McpError, ValueError) as refused:
                said = str(refused)
            assert time.perf_counter() - began < SOON_S
            assert not [leak for leak in (*OTHER_TEAM, *INSIDES) if leak in said]
            assert len(said) < 5_000
