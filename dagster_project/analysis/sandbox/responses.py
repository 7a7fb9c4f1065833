"""Bodies and headers that are not answers: errors, models, limits."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from dagster_project.analysis.sandbox.faults import Switch
from knowledge.models import Model

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ApiError(Exception):
    """An answer with an error status."""

    def __init__(
        self,
        status: int,
        error_type: str,
        message: str,
        *,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.code = code
        self.headers = headers or {}


def error_body(error_type: str, message: str, request_id: str, *, code: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"type": error_type, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": request_id}


def rate_limit_headers() -> dict[str, str]:
    return {
        "anthropic-organization-id": "sandbox",
        "anthropic-ratelimit-requests-limit": "1000",
        "anthropic-ratelimit-requests-remaining": "999",
    }


async def fault_response(switch: Switch, receive: Receive, send: Send, request_id: str, *, model: str) -> bool:
    """Answer with the fault; False when the fault lies in the answer itself."""
    retry_after = {"retry-after": f"{switch.retry_after:g}"}
    match switch.kind:
        case "rate_limit":
            raise ApiError(429, "rate_limit_error", "Number of requests has exceeded your limit", headers=retry_after)
        case "rate_limit_without_hint":
            raise ApiError(429, "rate_limit_error", "Number of requests has exceeded your limit")
        case "ramp_limit":
            raise ApiError(
                429, "rate_limit_error", "Usage grew too quickly", code="ramp_limit_exceeded", headers=retry_after
            )
        case "spend_limit":
            raise ApiError(429, "rate_limit_error", "Monthly usage limit reached", code="enforced_spend_limit_reached")
        case "contract_spend_limit":
            raise ApiError(
                429, "rate_limit_error", "Contracted spend limit reached", code="contract_spend_limit_reached"
            )
        case "own_spend_limit":
            message = "You have reached your specified API usage limits. You will regain access on 2026-12-01."
            raise ApiError(400, "invalid_request_error", message)
        case "billing":
            raise ApiError(402, "billing_error", "Your credit balance is too low")
        case "overloaded":
            raise ApiError(529, "overloaded_error", "Overloaded")
        case "server_error":
            raise ApiError(500, "api_error", "Internal server error")
        case "timeout_error":
            raise ApiError(504, "timeout_error", "Request timed out")
        case "too_large":
            raise ApiError(413, "request_too_large", "Request exceeds the maximum size")
        case "too_long":
            raise ApiError(400, "invalid_request_error", "prompt is too long: 1200000 tokens > 1000000 maximum")
        case "unauthorised":
            raise ApiError(401, "authentication_error", "invalid x-api-key")
        case "forbidden":
            raise ApiError(403, "permission_error", "This key may not use the model")
        case "no_such_model":
            raise ApiError(404, "not_found_error", f"model: {model}")
        case "invalid":
            raise ApiError(400, "invalid_request_error", "messages: something is wrong with this request")
        case "hang":
            # until the caller gives up
            while (await receive())["type"] != "http.disconnect":
                continue
            return True
        case "drop_connection":
            # a body shorter than announced makes the server close the connection
            headers = [(b"content-type", b"application/json"), (b"content-length", b"100000")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"id": "msg'})
            return True
        case "not_json":
            headers = [(b"content-type", b"text/html"), (b"request-id", request_id.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"<html><body>gateway</body></html>"})
            return True
        case _:
            return False


def model_body(model: Model) -> dict[str, Any]:
    released = model.released_on.isoformat() if model.released_on else "2026-01-01"
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.title,
        "created_at": f"{released}T00:00:00Z",
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output,
        "lifecycle": "deprecated" if model.retires_on else "active",
        "deprecated_at": None,
        "retires_at": f"{model.retires_on.isoformat()}T00:00:00Z" if model.retires_on else None,
        "capabilities": None,
    }
