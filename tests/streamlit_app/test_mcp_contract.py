"""What clients were told must not move by accident: names, schemas, descriptions, annotations.

After a deliberate change: `CALL_COACH_WRITE_SNAPSHOT=1 uv run pytest tests/streamlit_app/test_mcp_contract.py`
"""

import json
import os
from pathlib import Path
from typing import Any

from fastmcp import Client

from knowledge.rubrics import load_rubrics
from streamlit_app.mcp_server import build_server
from streamlit_app.mcp_tools.registry import DESCRIPTIONS, TOOLS
from streamlit_app.settings import Settings

SNAPSHOT = Path(__file__).with_name("mcp_contract.json")
# what a model reads before it may ask anything; a client sends the input side with every conversation
LISTING_BUDGET = 26_000


async def contract() -> dict[str, Any]:
    async with Client(build_server(Settings(CALL_COACH_LOCAL_VIEWER="admin", _env_file=None))) as client:  # type: ignore[call-arg]
        tools = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in await client.list_tools()]
        prompts = [
            prompt.model_dump(mode="json", by_alias=True, exclude_none=True) for prompt in await client.list_prompts()
        ]
        resources = [
            resource.model_dump(mode="json", by_alias=True, exclude_none=True)
            for resource in [*await client.list_resources(), *await client.list_resource_templates()]
        ]
    for found in (*tools, *prompts, *resources):
        found.pop("_meta", None)
    return {"tools": tools, "prompts": prompts, "resources": resources}


async def test_the_contract_is_the_one_written_down() -> None:
    found = json.dumps(await contract(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("CALL_COACH_WRITE_SNAPSHOT"):
        SNAPSHOT.write_text(found, encoding="utf-8")
    assert json.loads(found) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


async def test_the_listing_stays_short_enough_to_be_read() -> None:
    tools = (await contract())["tools"]
    inputs = [{name: part for name, part in tool.items() if name != "outputSchema"} for tool in tools]
    assert len(json.dumps(inputs)) <= LISTING_BUDGET


async def test_reading_and_writing_never_share_a_hint() -> None:
    hints = {tool["name"]: tool["annotations"] for tool in (await contract())["tools"]}
    writers = {name for name, found in hints.items() if not found["readOnlyHint"]}
    assert writers == {"analyze_call", "batch_analyze_calls", "update_knowledge_base"}
    assert not [name for name, found in hints.items() if found["readOnlyHint"] and found["destructiveHint"]]


def test_every_description_says_when_to_use_the_tool_and_when_not() -> None:
    assert {path.stem for path in DESCRIPTIONS.glob("*.md")} == {tool.name for tool in TOOLS}
    for path in DESCRIPTIONS.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert "Use it " in text, path.name
        assert "Not " in text or "do not" in text, path.name
        assert len(text) < 700, path.name


async def test_the_dimensions_a_model_may_name_are_those_of_the_rubrics() -> None:
    tools = {tool["name"]: tool for tool in (await contract())["tools"]}
    named = tools["get_leaderboard"]["inputSchema"]["properties"]["dimension"]["enum"]
    assert set(named) == {rubric.dimension for rubric in load_rubrics()}
