"""Our own server with the tools, resources and prompts that the official suite looks for mounted on it.

What is judged is what people get: the same middleware, host guard, transport settings and identity.
Run: `DATABASE_URL=... CALL_COACH_LOCAL_VIEWER=admin python tests/conformance/fixture_server.py PORT`
"""

import asyncio
import base64
import json
import struct
import sys
import zlib
from typing import Any

import mcp_types as types
from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.prompts import Message, PromptResult
from fastmcp.tools.base import ToolResult
from mcp.shared.exceptions import MCPError
from mcp_types.jsonrpc import MISSING_REQUIRED_CLIENT_CAPABILITY

from streamlit_app.mcp_server import build_server, http_options
from streamlit_app.settings import Settings


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\x00\xff\x00\x00"))
    + _chunk(b"IEND", b"")
).decode()
WAV = base64.b64encode(
    b"RIFF"
    + struct.pack("<I", 38)
    + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    + b"data"
    + struct.pack("<I", 2)
    + b"\x80\x80"
).decode()


ABOUT = "A fixture of the conformance suite; people never see it."


def text(value: str) -> types.TextContent:
    return types.TextContent(type="text", text=value)


def embedded(uri: str, mime_type: str, value: str) -> types.EmbeddedResource:
    return types.EmbeddedResource(
        type="resource", resource=types.TextResourceContents(uri=uri, mime_type=mime_type, text=value)
    )


def ask(message: str, field: str, kind: str = "string") -> types.ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(prompt: str, max_tokens: int) -> types.CreateMessageRequest:
    messages = [types.SamplingMessage(role="user", content=text(prompt))]
    return types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=messages, max_tokens=max_tokens))


def needs(requests: dict[str, Any], state: str | None = None) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests=requests, request_state=state)


def answered(ctx: Context, key: str) -> dict[str, Any] | None:
    """One answer of the client as plain values; none when it is missing or was declined."""
    found = (ctx.input_responses or {}).get(key)
    if found is None:
        return None
    values = found.model_dump(mode="json", by_alias=True) if hasattr(found, "model_dump") else dict(found)
    return None if values.get("action") in ("decline", "cancel") else values


def content_of(values: dict[str, Any] | None, field: str) -> Any:
    return ((values or {}).get("content") or {}).get(field)


def mount_contents(server: FastMCP) -> None:
    """Tools whose answers are content of each kind."""

    @server.tool(output_schema=None, description=ABOUT)
    def test_simple_text() -> str:
        return "This is a simple text response for testing."

    @server.tool(output_schema=None, description=ABOUT)
    def test_image_content() -> ToolResult:
        return ToolResult(content=[types.ImageContent(type="image", data=PNG, mime_type="image/png")])

    @server.tool(output_schema=None, description=ABOUT)
    def test_audio_content() -> ToolResult:
        return ToolResult(content=[types.AudioContent(type="audio", data=WAV, mime_type="audio/wav")])

    @server.tool(output_schema=None, description=ABOUT)
    def test_embedded_resource() -> ToolResult:
        return ToolResult(
            content=[embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]
        )

    @server.tool(output_schema=None, description=ABOUT)
    def test_multiple_content_types() -> ToolResult:
        return ToolResult(
            content=[
                text("Multiple content types test:"),
                types.ImageContent(type="image", data=PNG, mime_type="image/png"),
                embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
            ]
        )

    @server.tool(output_schema=None, description=ABOUT)
    def test_error_handling() -> str:
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool(output_schema=None, description=ABOUT)
    async def test_tool_with_progress(ctx: Context) -> str:
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100)
            await asyncio.sleep(0.05)
        return "done"

    @server.tool(output_schema=None, description=ABOUT)
    async def test_tool_with_logging(ctx: Context) -> str:
        for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await ctx.info(line)
            await asyncio.sleep(0.05)
        return "done"


def mount_resources_and_prompts(server: FastMCP) -> None:
    """What can be read and prompted with."""

    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        return base64.b64decode(PNG)

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        return "Watched resource content"

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    @server.prompt(description=ABOUT)
    def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description=ABOUT)
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description=ABOUT)
    def test_prompt_with_embedded_resource(resourceUri: str) -> PromptResult:  # noqa: N803
        resource = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
        return PromptResult([Message(resource), Message("Please process the embedded resource above.")])

    @server.prompt(description=ABOUT)
    def test_prompt_with_image() -> PromptResult:
        image = types.ImageContent(type="image", data=PNG, mime_type="image/png")
        return PromptResult([Message(image), Message("Please analyze the image above.")])

    @server.prompt(description=ABOUT)
    def test_input_required_result_prompt(ctx: Context) -> Any:
        context = content_of(answered(ctx, "user_context"), "context")
        if context is None:
            return needs({"user_context": ask("What context should the prompt use?", "context")})
        return f"Use this context: {context}"


def mount_questions(server: FastMCP) -> None:
    """Tools that need an answer of the client before they can give theirs."""

    @server.tool(output_schema=None, description=ABOUT)
    def test_input_required_result_elicitation(ctx: Context) -> Any:
        name = content_of(answered(ctx, "user_name"), "name")
        if not isinstance(name, str):
            return needs({"user_name": ask("What is your name?", "name")})
        return ToolResult(content=[text(f"Hello, {name}!")])

    @server.tool(output_schema=None, description=ABOUT)
    def test_input_required_result_sampling(ctx: Context) -> Any:
        found = answered(ctx, "capital_question")
        if found is None:
            return needs({"capital_question": sample("What is the capital of France?", 100)})
        return ToolResult(content=[text(f"The model said: {json.dumps(found.get('content'))}")])

    @server.tool(output_schema=None, description=ABOUT)
    def test_input_required_result_list_roots(ctx: Context) -> Any:
        found = answered(ctx, "client_roots")
        if found is None:
            return needs({"client_roots": types.ListRootsRequest()})
        return ToolResult(content=[text("Roots: " + ", ".join(str(root["uri"]) for root in found.get("roots", [])))])

    @server.tool(output_schema=None, description=ABOUT)
    def test_input_required_result_request_state(ctx: Context) -> Any:
        if answered(ctx, "confirm") is None or ctx.request_state != "confirm-asked":
            return needs({"confirm": ask("Please confirm", "ok", "boolean")}, "confirm-asked")
        return ToolResult(content=[text("state-ok")])

    @server.tool(output_schema=None, description=ABOUT)
    def test_input_required_result_tampered_state(ctx: Context) -> Any:
        if answered(ctx, "confirm") is None:
            return needs({"confirm": ask("Please confirm", "ok", "boolean")}, "sealed")
        return ToolResult(content=[text("state-ok")])

    @server.tool(output_schema=None, description=ABOUT)
    def test_input_required_result_multiple_inputs(ctx: Context) -> Any:
        if None in (answered(ctx, key) for key in ("user_name", "greeting", "client_roots")):
            return needs(
                {
                    "user_name": ask("What is your name?", "name"),
                    "greeting": sample("Generate a greeting", 50),
                    "client_roots": types.ListRootsRequest(),
                },
                "three-asked",
            )
        return ToolResult(content=[text("All three answers arrived.")])

    @server.tool(output_schema=None, description=ABOUT)
    def test_input_required_result_multi_round(ctx: Context) -> Any:
        if ctx.request_state is None or (ctx.request_state == "step-1" and answered(ctx, "step1") is None):
            return needs({"step1": ask("Step 1: What is your name?", "name")}, "step-1")
        if ctx.request_state == "step-1":
            name = content_of(answered(ctx, "step1"), "name")
            return needs({"step2": ask("Step 2: What is your favorite color?", "color")}, f"step-2:{name}")
        color = content_of(answered(ctx, "step2"), "color")
        return ToolResult(content=[text(f"{ctx.request_state.partition(':')[2]} likes {color}.")])

    @server.tool(output_schema=None, description=ABOUT)
    def test_input_required_result_capabilities(ctx: Context) -> Any:
        if ctx.input_responses:
            return ToolResult(content=[text("Thank you.")])
        can = capabilities_of(ctx)
        wanted = {
            "sampling": ("greeting", sample("Generate a greeting", 50)),
            "elicitation": ("user_name", ask("What is your name?", "name")),
            "roots": ("client_roots", types.ListRootsRequest()),
        }
        requests = dict(request for capability, request in wanted.items() if capability in can)
        return needs(requests) if requests else ToolResult(content=[text("The client can answer nothing.")])

    @server.tool(output_schema=None, description=ABOUT)
    def test_missing_capability(ctx: Context) -> ToolResult:
        if "sampling" not in capabilities_of(ctx):
            raise MCPError(
                code=MISSING_REQUIRED_CLIENT_CAPABILITY,
                message="This tool needs the sampling capability.",
                data={"requiredCapabilities": {"sampling": {}}},
            )
        return ToolResult(content=[text("Capability present.")])


def mount_handshake_era(server: FastMCP) -> None:
    """Tools that ask the client in the middle of a call, as revisions up to 2025-11-25 do."""

    async def elicited(ctx: Context, schema: dict[str, Any], message: str) -> types.ElicitResult:
        # on the stream of the call: the other one may not be open yet, and what is sent before is lost
        return await ctx.session.elicit_form(
            message=message, requested_schema=schema, related_request_id=ctx.request_id
        )

    @server.tool(output_schema=None, description=ABOUT)
    async def test_sampling(prompt: str, ctx: Context) -> ToolResult:
        found = await ctx.session.create_message(
            messages=[types.SamplingMessage(role="user", content=text(prompt))],
            max_tokens=100,
            related_request_id=ctx.request_id,
        )
        return ToolResult(content=[text(f"LLM response: {getattr(found.content, 'text', '')}")])

    @server.tool(output_schema=None, description=ABOUT)
    async def test_elicitation(message: str, ctx: Context) -> ToolResult:
        properties = {name: {"type": "string", "description": name} for name in ("username", "email")}
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        found = await elicited(ctx, schema, message)
        return ToolResult(content=[text(f"User response: {found.action}, {json.dumps(found.content)}")])

    @server.tool(output_schema=None, description=ABOUT)
    async def test_elicitation_sep1034_defaults(ctx: Context) -> ToolResult:
        properties: dict[str, Any] = {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        }
        found = await elicited(ctx, {"type": "object", "properties": properties}, "Please fill in the form")
        return ToolResult(
            content=[text(f"Elicitation completed: action={found.action}, content={json.dumps(found.content)}")]
        )

    @server.tool(output_schema=None, description=ABOUT)
    async def test_elicitation_sep1330_enums(ctx: Context) -> ToolResult:
        plain = ["option1", "option2", "option3"]
        titled = [
            {"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second", "Third"), 1)
        ]
        several = [
            {"const": f"value{n}", "title": f"{word} Choice"} for n, word in enumerate(("First", "Second", "Third"), 1)
        ]
        properties: dict[str, Any] = {
            "untitledSingle": {"type": "string", "enum": plain},
            "titledSingle": {"type": "string", "oneOf": titled},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
            "titledMulti": {"type": "array", "items": {"anyOf": several}},
        }
        found = await elicited(ctx, {"type": "object", "properties": properties}, "Please choose")
        return ToolResult(
            content=[text(f"Elicitation completed: action={found.action}, content={json.dumps(found.content)}")]
        )


def capabilities_of(ctx: Context) -> dict[str, Any]:
    """What the client declared for this request."""
    found = ctx.session.client_capabilities
    return found.model_dump(mode="json", by_alias=True, exclude_none=True) if found else {}


def build() -> FastMCP:
    """The product's server and the suite's fixtures in one."""
    server = build_server(Settings())
    mount_contents(server)
    mount_resources_and_prompts(server)
    mount_questions(server)
    mount_handshake_era(server)
    return server


if __name__ == "__main__":
    asyncio.run(build().run_http_async(port=int(sys.argv[1]), **http_options(Settings(), host="127.0.0.1")))
