"""What the real API refuses with a 400, so that nobody builds on something that only works here."""

from typing import Any

from dagster_project.analysis.sandbox.prompt_cache import as_blocks, blocks_of
from knowledge.models import Model

MAX_BREAKPOINTS = 4
UNSUPPORTED_SCHEMA_KEYS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems"}
)
MAX_OPTIONAL, MAX_UNIONS = 24, 16
ROLES = frozenset({"user", "assistant", "system"})


class RefusedError(ValueError):
    """The request is invalid; the text is the API's message."""


def check_request(body: dict[str, Any], *, model: Model, is_batch: bool = False, is_count: bool = False) -> None:
    for name in ("model", "messages"):
        if name not in body:
            raise RefusedError(f"{name}: Field required")
    if not is_count:
        check_max_tokens(body, model=model, is_batch=is_batch)
    for name in ("temperature", "top_p", "top_k"):
        if name in body:
            raise RefusedError(f"{name}: Extra inputs are not permitted")
    check_messages(body, model=model)
    check_thinking(body, model=model)
    check_tools(body, model=model)
    check_caching(body)
    output = body.get("output_config") or {}
    if not isinstance(output, dict):
        raise RefusedError("output_config: Input should be a valid dictionary")
    effort = output.get("effort")
    if effort is not None and effort not in model.efforts:
        raise RefusedError(f"output_config.effort: {effort!r} is not supported by {model.id}")
    if output.get("format") is not None:
        check_format(output["format"], body)
    if is_batch and (body.get("stream") or body.get("speed") or body.get("fallbacks")):
        raise RefusedError("stream, speed and fallbacks are not supported in batches")


def check_max_tokens(body: dict[str, Any], *, model: Model, is_batch: bool) -> None:
    max_tokens = body.get("max_tokens")
    if type(max_tokens) is not int or max_tokens < 0:
        raise RefusedError("max_tokens: Field required and must be a non-negative integer")
    if max_tokens > model.max_output:
        raise RefusedError(f"max_tokens: {max_tokens} > {model.max_output}, the maximum of {model.id}")
    has_format = bool((body.get("output_config") or {}).get("format"))
    if max_tokens == 0 and (has_format or body.get("stream") or is_batch):
        raise RefusedError("max_tokens: 0 is not supported with output_config.format, stream, or in batches")


def check_messages(body: dict[str, Any], *, model: Model) -> None:
    messages = body["messages"]
    if not isinstance(messages, list) or not messages:
        raise RefusedError("messages: at least one message is required")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise RefusedError(f"messages.{index}.role: Input should be 'user', 'assistant' or 'system'")
        if not as_blocks(message.get("content")):
            raise RefusedError(f"messages.{index}: content must not be empty")
        for block in as_blocks(message.get("content")):
            if isinstance(block, dict) and block.get("type") == "text" and not block.get("text"):
                raise RefusedError(f"messages.{index}: text content blocks must be non-empty")
        if message["role"] == "system":
            if "-5-5" not in model.id and not model.is_sandbox:
                raise RefusedError(f"messages.{index}.role: 'system' is not supported by {model.id}")
            if index == 0 or messages[index - 1].get("role") != "user" or index != len(messages) - 1:
                raise RefusedError(f"messages.{index}: a system message must follow a user message and be last")
    if messages[0].get("role") != "user":
        raise RefusedError("messages: first message must use the user role")
    if messages[-1].get("role") == "assistant" and not model.allows_prefill:
        raise RefusedError(f"{model.id} does not support prefilling assistant messages")


def check_thinking(body: dict[str, Any], *, model: Model) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    allowed = {"enabled" if mode == "budget" else mode for mode in model.thinking_modes}
    if kind not in allowed:
        raise RefusedError(f"thinking.type: {kind!r} is not supported by {model.id}")
    effort = (body.get("output_config") or {}).get("effort") or model.default_effort
    if kind in ("between_tools", "disabled") and effort in ("xhigh", "max"):
        raise RefusedError(f"thinking.type: {kind!r} needs effort 'high' or lower, not {effort!r}")


def check_tools(body: dict[str, Any], *, model: Model) -> None:
    choice = body.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind in ("any", "tool") and not model.allows_forced_tool_choice:
        raise RefusedError(f"tool_choice: {kind!r} is not supported by {model.id}")


def check_caching(body: dict[str, Any]) -> None:
    controls = [
        block["cache_control"] for _, block in blocks_of(body) if isinstance(block, dict) and block.get("cache_control")
    ]
    controls = [
        *(
            tool["cache_control"]
            for tool in body.get("tools") or ()
            if isinstance(tool, dict) and tool.get("cache_control")
        ),
        *controls,
    ]
    if len(controls) + (1 if body.get("cache_control") else 0) > MAX_BREAKPOINTS:
        raise RefusedError(f"cache_control: at most {MAX_BREAKPOINTS} blocks with cache_control may be provided")
    lifetimes = [control.get("ttl") or "5m" for control in controls]
    for lifetime in lifetimes:
        if lifetime not in ("5m", "1h"):
            raise RefusedError("cache_control.ttl: Input should be '5m' or '1h'")
    if "5m" in lifetimes and "1h" in lifetimes[lifetimes.index("5m") :]:
        raise RefusedError("cache_control.ttl: a ttl='1h' block must not come after a ttl='5m' block")


def check_format(wanted: Any, body: dict[str, Any]) -> None:
    is_schema = isinstance(wanted, dict) and wanted.get("type") == "json_schema"
    if not is_schema or not isinstance(wanted.get("schema"), dict):
        raise RefusedError("output_config.format: needs type 'json_schema' and a schema")
    for _, block in blocks_of(body):
        if isinstance(block, dict) and (block.get("citations") or {}).get("enabled"):
            raise RefusedError("output_config.format: citations and structured outputs cannot be used together")
    counts = {"optional": 0, "unions": 0}
    check_schema(wanted["schema"], "schema", counts)
    if counts["optional"] > MAX_OPTIONAL:
        raise RefusedError(f"output_config.format.schema: more than {MAX_OPTIONAL} optional parameters")
    if counts["unions"] > MAX_UNIONS:
        raise RefusedError(f"output_config.format.schema: more than {MAX_UNIONS} union-typed parameters")


def check_schema(schema: Any, place: str, counts: dict[str, int]) -> None:
    if not isinstance(schema, dict):
        raise RefusedError(f"output_config.format.{place}: must be an object")
    for key in sorted(UNSUPPORTED_SCHEMA_KEYS & schema.keys()):
        raise RefusedError(f"output_config.format.{place}: '{key}' is not supported")
    if schema.get("minItems", 0) not in (0, 1):
        raise RefusedError(f"output_config.format.{place}: 'minItems' above 1 is not supported")
    if "anyOf" in schema or isinstance(schema.get("type"), list):
        counts["unions"] += 1
    if str(schema.get("$ref", "")).strip() == "#":
        raise RefusedError(f"output_config.format.{place}: recursive schemas are not supported")
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            raise RefusedError(f"output_config.format.{place}: 'additionalProperties' must be false")
        properties = schema.get("properties") or {}
        counts["optional"] += len(properties.keys() - set(schema.get("required") or ()))
        for name, child in properties.items():
            check_schema(child, f"{place}.{name}", counts)
    if "items" in schema:
        check_schema(schema["items"], f"{place}.items", counts)
    for option in schema.get("anyOf") or ():
        check_schema(option, place, counts)
    if any(not isinstance(value, str | int | float | bool | None) for value in schema.get("enum") or ()):
        raise RefusedError(f"output_config.format.{place}: enum values must be simple")
