"""The stand-in is strict where the real API is and bills its cache as the real API does, through the real SDK."""

import asyncio
import json

import anthropic
import httpx
import pytest

from dagster_project.analysis.sandbox.prompt_cache import PromptCache

LONG = "A sentence about nothing in particular, again and again. " * 60
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
TEXT = {"type": "text", "text": "x"}
BASE = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
async def claude(sandbox):
    async with anthropic.AsyncAnthropic(api_key="k", base_url=sandbox.url, max_retries=0) as client:
        yield client


def with_format(schema):
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def cached(*lifetimes):
    return [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": ttl}} for ttl in lifetimes]


def nested(**child):
    return {**SCHEMA, "properties": {"answer": {"type": "string", **child}}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"temperature": 0}, "temperature"),
        ({"top_p": 0.5}, "top_p"),
        ({"top_k": 5}, "top_k"),
        ({"tools": [], "tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice"),
        ({"thinking": {"type": "disabled"}}, "thinking"),
        ({"thinking": {"type": "between_tools"}, "output_config": {"effort": "max"}}, "effort"),
        ({"thinking": {"type": "between_tools"}, "output_config": {"effort": "xhigh"}}, "effort"),
        ({"output_config": {"effort": "enormous"}}, "effort"),
        ({"messages": [*BASE["messages"], {"role": "assistant", "content": "I"}]}, "prefill"),
        ({"messages": [{"role": "assistant", "content": "I"}]}, "first message"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "system", "content": "x"}]}, "must follow a user message"),
        ({"messages": [*BASE["messages"], {"role": "system", "content": "x"}, *BASE["messages"]]}, "be last"),
        ({"max_tokens": 0, **with_format(SCHEMA)}, "max_tokens"),
        ({"max_tokens": 0, "stream": True}, "max_tokens"),
        ({"max_tokens": 200_000}, "maximum"),
        ({"system": cached("5m", "5m", "5m", "5m", "5m")}, "at most 4"),
        ({"system": cached("5m", "1h")}, "must not come after"),
        ({"system": cached("2h")}, "'5m' or '1h'"),
        (with_format({**SCHEMA, "additionalProperties": True}), "additionalProperties"),
        (with_format(nested(maxLength=5)), "maxLength"),
        (with_format({**SCHEMA, "properties": {"answer": {"type": "integer", "minimum": 0}}}), "minimum"),
        (with_format({"type": "array", "items": SCHEMA, "minItems": 2}), "minItems"),
        (with_format({"type": "array", "items": SCHEMA, "maxItems": 2}), "maxItems"),
        (with_format({**SCHEMA, "required": [], "properties": {f"p{n}": {} for n in range(25)}}), "optional"),
        (with_format({**SCHEMA, "properties": {f"p{n}": {"type": ["string", "null"]} for n in range(17)}}), "union"),
        (with_format({**SCHEMA, "properties": {"answer": {"$ref": "#"}}}), "recursive"),
        (with_format({"type": "string", "enum": [{"a": 1}]}), "enum"),
        (
            {
                **with_format(SCHEMA),
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "x", "citations": {"enabled": True}}]}
                ],
            },
            "citations",
        ),
    ],
)
async def test_what_the_api_refuses_is_refused(sandbox, change, says):
    async with httpx.AsyncClient(base_url=sandbox.url, headers=HEADERS) as client:
        answer = await client.post("/v1/messages", json={**BASE, **change})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert says in answer.json()["error"]["message"]


HEADERS = {"authorization": "Bearer k", "anthropic-version": "2026-10-21"}


async def test_key_version_path_and_size_are_checked(sandbox):
    async with httpx.AsyncClient(base_url=sandbox.url) as client:
        version = {"anthropic-version": "2026-10-21"}
        assert (await client.post("/v1/messages", json=BASE, headers=version)).status_code == 401
        assert (await client.post("/v1/messages", json=BASE, headers={"x-api-key": "k"})).status_code == 400
        unknown = {**BASE, "model": "claude-nobody"}
        assert (await client.post("/v1/messages", json=unknown, headers=HEADERS)).status_code == 404
        assert (await client.get("/v1/nothing", headers=HEADERS)).status_code == 404
        assert (await client.post("/v1/messages", content=b"{", headers=HEADERS)).status_code == 400
        too_large = b'{"x": "' + b"x" * (33 * 1024 * 1024) + b'"}'
        assert (await client.post("/v1/messages", content=too_large, headers=HEADERS)).status_code == 413


async def test_it_says_that_it_is_the_sandbox_whatever_model_is_asked(claude):
    message = await claude.messages.create(**BASE)
    assert message.model == "sandbox"
    assert message._request_id.startswith("req_sandbox_")


async def test_a_stream_has_the_apis_order_of_events(claude):
    events = [event.type async for event in await claude.messages.create(**BASE, stream=True)]
    assert events == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    async with claude.messages.stream(**BASE) as stream:
        message = await stream.get_final_message()
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 1


async def test_usage_adds_up_and_a_second_request_reads_what_the_first_wrote(claude):
    request = {**BASE, "system": cached("1h"), "messages": [{"role": "user", "content": cached("5m")}]}
    counted = await claude.messages.count_tokens(
        model=BASE["model"], system=request["system"], messages=request["messages"]
    )
    first = (await claude.messages.create(**request)).usage
    second = (await claude.messages.create(**request)).usage
    assert first.cache_creation.ephemeral_1h_input_tokens > 512
    assert first.cache_creation.ephemeral_5m_input_tokens > 512
    assert first.cache_read_input_tokens == 0
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0
    for usage in (first, second):
        assert (
            usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens
            == counted.input_tokens
        )


async def test_requests_sent_together_share_no_cache(claude, sandbox):
    sandbox.control(behaviour={"first_event_s": 0.2})
    request = {**BASE, "system": cached("5m")}
    messages = await asyncio.gather(*(claude.messages.create(**request) for _ in range(4)))
    assert [message.usage.cache_read_input_tokens for message in messages] == [0, 0, 0, 0]


async def test_an_entry_is_readable_from_the_writers_first_event_on(claude, sandbox):
    sandbox.control(behaviour={"answer_s": 1.0})
    request = {**BASE, "system": cached("5m")}
    stream = await claude.messages.create(**request, stream=True)
    await anext(aiter(stream))
    follower = asyncio.create_task(claude.messages.create(**request))
    await asyncio.sleep(0.1)
    assert not follower.done()
    assert (await follower).usage.cache_read_input_tokens > 512
    await stream.close()


@pytest.mark.parametrize(
    "change",
    [
        {"model": "claude-opus-5-5"},
        {"output_config": {"effort": "low"}},
        {"thinking": {"type": "adaptive"}},
        with_format(SCHEMA),
    ],
)
async def test_any_other_setting_splits_the_cache(claude, change):
    request = {**BASE, "system": cached("5m")}
    await claude.messages.create(**request)
    other = await claude.messages.create(**{**request, **change})
    assert other.usage.cache_read_input_tokens == 0


def test_entries_end_with_their_time_and_a_read_renews_them():
    now = [0.0]
    cache = PromptCache(clock=lambda: now[0])
    body = {**BASE, "system": cached("5m")}

    def read_tokens():
        plan = cache.plan(body, min_tokens=512)
        cache.reveal(plan)
        return plan.read

    assert read_tokens() == 0
    now[0] = 299
    assert read_tokens() > 0
    now[0] = 590
    assert read_tokens() > 0
    now[0] = 900
    assert read_tokens() == 0


def test_a_short_prefix_is_not_cached():
    cache = PromptCache()
    plan = cache.plan({**BASE, "system": cached("5m")}, min_tokens=100_000)
    assert (plan.read, plan.write_5m, plan.written) == (0, 0, ())


async def test_models_tell_their_limits(claude):
    listed = [model async for model in claude.models.list()]
    assert "claude-sonnet-5-5" in {model.id for model in listed}
    sonnet = await claude.models.retrieve("claude-sonnet-5-5")
    assert sonnet.max_input_tokens == 1_000_000
    with pytest.raises(anthropic.NotFoundError):
        await claude.models.retrieve("claude-nobody")


async def test_batches_run_end_are_listed_in_pages_and_deleted(claude, sandbox):
    sandbox.control(batches={"delay_s": 2.0})
    made = []
    for number in range(5):
        requests = [{"custom_id": f"r{number}-{n}", "params": BASE} for n in range(3)]
        made.append(await claude.messages.batches.create(requests=requests))
    assert made[0].processing_status == "in_progress"
    with pytest.raises(anthropic.BadRequestError):
        await claude.messages.batches.delete(made[0].id)
    # the newest come first; batches of other tests may follow
    listed = [batch.id async for batch in claude.messages.batches.list(limit=2)]
    assert listed[: len(made)] == [batch.id for batch in reversed(made)]
    while (batch := await claude.messages.batches.retrieve(made[-1].id)).processing_status != "ended":
        await asyncio.sleep(0.05)
    assert batch.request_counts.succeeded == 3
    lines = [line async for line in await claude.messages.batches.results(batch.id)]
    assert [line.custom_id for line in lines] == ["r4-2", "r4-1", "r4-0"]
    assert lines[0].result.message.usage.service_tier == "batch"
    await claude.messages.batches.delete(batch.id)
    with pytest.raises(anthropic.NotFoundError):
        await claude.messages.batches.retrieve(batch.id)


async def test_a_canceled_batch_answers_no_further_requests(claude, sandbox):
    sandbox.control(batches={"delay_s": 0.3})
    requests = [{"custom_id": f"r{n}", "params": BASE} for n in range(3)]
    batch = await claude.messages.batches.create(requests=requests)
    assert (await claude.messages.batches.cancel(batch.id)).processing_status == "canceling"
    while (batch := await claude.messages.batches.retrieve(batch.id)).processing_status != "ended":
        await asyncio.sleep(0.05)
    assert batch.request_counts.canceled == 3


async def test_parameters_of_a_batch_are_judged_one_by_one_and_ids_at_once(claude):
    with pytest.raises(anthropic.BadRequestError, match="not unique"):
        await claude.messages.batches.create(requests=[{"custom_id": "a", "params": BASE}] * 2)
    with pytest.raises(anthropic.BadRequestError, match="custom_id"):
        await claude.messages.batches.create(requests=[{"custom_id": "x" * 65, "params": BASE}])
    wrong = {**BASE, "max_tokens": 0}
    batch = await claude.messages.batches.create(requests=[{"custom_id": "a", "params": wrong}])
    while (batch := await claude.messages.batches.retrieve(batch.id)).processing_status != "ended":
        await asyncio.sleep(0.05)
    assert batch.request_counts.errored == 1


def test_an_unknown_fault_is_refused(sandbox):
    with httpx.Client(base_url=sandbox.url) as client:
        answer = client.post("/_control", content=json.dumps({"faults": [{"kind": "earthquake"}]}))
    assert answer.status_code == 400
    assert "unknown fault 'earthquake'" in answer.json()["error"]["message"]
