"""Shapes for the SDK's own tests: they send literal ids and contradictory options and check only the types."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

USAGE = {
    "input_tokens": 1,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 1,
    "output_tokens_details": {"thinking_tokens": 0},
    "server_tool_use": None,
    "service_tier": "standard",
    "inference_geo": "global",
}
MESSAGE: dict[str, Any] = {
    "id": "msg_sandbox",
    "type": "message",
    "role": "assistant",
    "model": "sandbox",
    "content": [{"type": "text", "text": "Hello.", "citations": None}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "stop_details": None,
    "container": None,
    "usage": USAGE,
}


def batch(batch_id: str) -> dict[str, Any]:
    return {
        "id": batch_id,
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": {"processing": 1, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
        "created_at": "2026-11-20T00:00:00Z",
        "expires_at": "2026-11-21T00:00:00Z",
        "ended_at": None,
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": None,
    }


class Conformance:
    async def handle(self, scope: MutableMapping[str, Any], raw: bytes, send: Send, request_id: str) -> None:
        method, parts = scope["method"], scope["path"].strip("/").split("/")[1:]
        body = json.loads(raw) if raw else {}
        match method, parts:
            case "POST", ["messages"] if body.get("stream"):
                await self._reply(send, 200, "text/event-stream", self._events().encode(), request_id)
                return
            case "POST", ["messages"]:
                answer: dict[str, Any] = MESSAGE
            case "POST", ["messages", "count_tokens"]:
                answer = {"input_tokens": 1}
            case "POST", ["messages", "batches"]:
                answer = batch("msgbatch_sandbox")
            case "GET", ["messages", "batches"]:
                answer = {"data": [batch("msgbatch_sandbox")], "has_more": False, "first_id": None, "last_id": None}
            case "DELETE", ["messages", "batches", batch_id]:
                answer = {"id": batch_id, "type": "message_batch_deleted"}
            case "GET", ["messages", "batches", _, "results"]:
                result = {"custom_id": "one", "result": {"type": "succeeded", "message": MESSAGE}}
                await self._reply(send, 200, "application/x-jsonl", json.dumps(result).encode(), request_id)
                return
            case _, ["messages", "batches", batch_id, *_]:
                answer = batch(batch_id)
            case _:
                answer = {"type": "error", "error": {"type": "not_found_error", "message": "Not found"}}
                await self._reply(send, 404, "application/json", json.dumps(answer).encode(), request_id)
                return
        await self._reply(send, 200, "application/json", json.dumps(answer).encode(), request_id)

    def _events(self) -> str:
        start = {**MESSAGE, "content": [], "stop_reason": None}
        delta = {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None, "container": None}
        events: list[tuple[str, dict[str, Any]]] = [
            ("message_start", {"message": start}),
            ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": "", "citations": None}}),
            ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "Hello."}}),
            ("content_block_stop", {"index": 0}),
            ("message_delta", {"delta": delta, "usage": USAGE}),
            ("message_stop", {}),
        ]
        return "".join(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in events)

    async def _reply(self, send: Send, status: int, content_type: str, body: bytes, request_id: str) -> None:
        headers = [(b"content-type", content_type.encode()), (b"request-id", request_id.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
