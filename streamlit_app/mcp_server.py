"""The MCP server: the coach's tools over stdio or streamable HTTP.

Start alone: `DATABASE_URL=... CALL_COACH_LOCAL_VIEWER=admin python -m streamlit_app.mcp_server --http --port 8765`
"""

import argparse
import asyncio
import difflib
import gc
import logging
import sys
import time
import uuid
from collections.abc import Sequence
from importlib.metadata import version
from threading import Thread
from typing import Any

from anyio import to_thread
from fastmcp import FastMCP
from fastmcp.exceptions import ToolError, ValidationError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.server.middleware.rate_limiting import RateLimitingMiddleware
from fastmcp.tools.base import ToolResult
from pydantic import ValidationError as PydanticValidationError
from structlog.contextvars import bound_contextvars

from dlt_pipelines.logs import LogSettings, write_logs
from streamlit_app.mcp_guides import DATA_NOT_INSTRUCTIONS, register_guides
from streamlit_app.mcp_identity import Identity, verifier_from
from streamlit_app.mcp_tools.registry import register
from streamlit_app.queries.database import Database, WarehouseError
from streamlit_app.queries.marks import audit
from streamlit_app.settings import Settings

logger = logging.getLogger(__name__)

INSTRUCTIONS = (
    "Coaching data of recorded sales calls: scores per dimension, quoted moments, trends, queue, costs. Every number "
    "comes with n, its window and the rubric version: repeat them, and say when n is small. Scores are for coaching, "
    f"not for pay or dismissal. {DATA_NOT_INSTRUCTIONS} You see what the signed-in person may see and nothing else."
)
# well above what people and models do, low enough that a loop does not starve the others
REQUESTS_PER_SECOND = 200.0
BURST = 1_000
LOOPBACK = "127.0.0.1"
# characters of a wrong name or value that are compared and repeated
SHOWN = 80


class TeachingErrors(Middleware):
    """Arguments that do not fit come back as one sentence a model can act on, not as a validator's report."""

    async def on_call_tool(self, context: MiddlewareContext[Any], call_next: CallNext[Any, ToolResult]) -> ToolResult:
        try:
            return await call_next(context)
        except (PydanticValidationError, ValidationError) as error:
            raise ToolError(_what_is_wrong(error, context.message.name)) from None


def _what_is_wrong(error: Exception, tool: str) -> str:
    """One line per field: what it is, what would be right, and the nearest allowed value."""
    found = error if isinstance(error, PydanticValidationError) else error.__cause__
    if not isinstance(found, PydanticValidationError):
        return f"The arguments of {tool} do not fit its schema: {error}"
    lines = []
    for detail in found.errors(include_url=False)[:5]:
        field = ".".join(str(part)[:SHOWN] for part in detail["loc"][:5]) or "arguments"
        line = f"{field}: {detail['msg'].rstrip('.')}."
        expected = (detail.get("ctx") or {}).get("expected")
        if expected and isinstance(detail["input"], str):
            allowed = [part.strip(" '\"") for part in str(expected).replace(" or ", ", ").split(",")]
            nearest = difflib.get_close_matches(detail["input"][:SHOWN], allowed, n=1)
            line += f" Did you mean '{nearest[0]}'?" if nearest else ""
        lines.append(line)
    return f"{tool} was not called. " + " ".join(lines) + " Correct the arguments and call it again."


class Audit(Middleware):
    """One row per tool call and resource read: who, what, how many rows, how long, how it ended."""

    def __init__(self, database: Database, identity: Identity, surface: str) -> None:
        self._database = database
        self._identity = identity
        self._surface = surface

    async def _recorded(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any], action: str) -> Any:
        with bound_contextvars(request_id=uuid.uuid4().hex, action=action):
            return await self._timed(context, call_next, action)

    async def _timed(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any], action: str) -> Any:
        started = time.perf_counter()
        outcome, row_count = "ok", None
        try:
            result = await call_next(context)
            rows = (getattr(result, "structured_content", None) or {}).get("rows")
            row_count = len(rows) if isinstance(rows, list) else None
            return result
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            latency_ms = round((time.perf_counter() - started) * 1000)
            logger.info("answered: %s, %s rows, %s ms", outcome, row_count, latency_ms)
            arguments = getattr(context.message, "arguments", None) or {}
            await to_thread.run_sync(
                lambda: audit(
                    self._database,
                    self._identity.caller(),
                    surface=self._surface,
                    action=action,
                    arguments=arguments,
                    row_count=row_count,
                    latency_ms=latency_ms,
                    outcome=outcome,
                )
            )

    async def on_call_tool(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
        return await self._recorded(context, call_next, f"tool:{context.message.name}"[:200])

    async def on_read_resource(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
        return await self._recorded(context, call_next, f"resource:{context.message.uri}"[:200])


def build_server(settings: Settings, database: Database | None = None) -> FastMCP:
    """The server with its tools, resources and prompts; connects to nothing until it is asked something."""
    if database is None:
        url = settings.database_url
        database = Database(
            url.get_secret_value() if url else None,
            statement_timeout_s=settings.statement_timeout_s,
            max_connections=16,
        )
    identity = Identity(database, settings)
    server = FastMCP(
        "call-coach",
        version=version("call-coach"),
        instructions=INSTRUCTIONS,
        auth=verifier_from(settings),
        mask_error_details=True,
        strict_input_validation=False,
        # done once, when the tools are registered
        dereference_schemas=False,
        cache_ttl=60,
        cache_scope="private",
        middleware=[
            Audit(database, identity, "mcp"),
            RateLimitingMiddleware(
                max_requests_per_second=REQUESTS_PER_SECOND,
                burst_capacity=BURST,
                get_client_id=lambda _: identity.caller(),
            ),
            TeachingErrors(),
        ],
    )
    register(server, database=database, identity=identity, dashboard_url=settings.dashboard_url)
    register_guides(server, database, identity)
    return server


def http_options(settings: Settings, *, host: str) -> dict[str, Any]:
    """How the server is served over HTTP: only to the hosts it is known under.

    Sessions stay on for clients of the handshake revisions; requests of 2026-07-28 carry their own state.
    """
    return {
        "show_banner": False,
        "host": host,
        "log_level": "warning",
        "host_origin_protection": True,
        "allowed_hosts": [f"{LOOPBACK}:*", "localhost:*", *settings.mcp_allowed_hosts],
    }


def start_up_check(settings: Settings, *, is_http: bool) -> list[str]:
    """What is missing, in plain words; empty when the server can answer."""
    problems: list[str] = []
    if is_http and not settings.has_tokens and settings.local_viewer is None:
        problems.append(
            "Nobody could be told apart: configure CALL_COACH_MCP_TOKENS or a JWT key, or set CALL_COACH_LOCAL_VIEWER "
            "to let everyone on this machine in as one person."
        )
    if not is_http and settings.local_viewer is None:
        problems.append("Over stdio the person comes from CALL_COACH_LOCAL_VIEWER: set it to a rep's id or e-mail.")
    if settings.has_jwt and not (settings.mcp_jwt_issuer and settings.mcp_jwt_audience):
        problems.append(
            "A JWT key without CALL_COACH_MCP_JWT_ISSUER and CALL_COACH_MCP_JWT_AUDIENCE would accept tokens "
            "made for other services."
        )
    return problems


def database_check(settings: Settings) -> list[str]:
    """Whether the warehouse answers and is built; a server may start without and recover by itself."""
    url = settings.database_url
    database = Database(url.get_secret_value() if url else None, statement_timeout_s=3)
    try:
        found = database.probe()
        return [] if found["n_marts"] else ["The database holds no marts yet: run `call-coach run`."]
    except WarehouseError as trouble:
        return [str(trouble)]
    finally:
        database.close()


def _warn_about_database(settings: Settings) -> list[str]:
    trouble = database_check(settings)
    for line in trouble:
        sys.stderr.write(f"warning: {line}\n")
    return trouble


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m streamlit_app.mcp_server", description=__doc__)
    transport = parser.add_mutually_exclusive_group()
    transport.add_argument("--stdio", action="store_true", help="speak over standard input and output (default)")
    transport.add_argument("--http", action="store_true", help="serve streamable HTTP at /mcp")
    transport.add_argument("--check", action="store_true", help="say what is missing and end")
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, default=8765)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped; 2 when the configuration would let the wrong people in."""
    arguments = _arguments(argv)
    # standard output belongs to the protocol
    write_logs(LogSettings())
    settings = Settings()
    problems = start_up_check(settings, is_http=arguments.http)
    if arguments.http and not settings.has_tokens and arguments.host not in (LOOPBACK, "localhost", "::1"):
        problems.append(f"Without tokens the server binds loopback only, not {arguments.host}.")
    for line in problems:
        sys.stderr.write(f"cannot start: {line}\n")
    if arguments.check:
        trouble = _warn_about_database(settings)
        return 2 if problems else 1 if trouble else 0
    if problems:
        return 2
    # a database that is down takes seconds to say so, and the server serves without it anyway
    Thread(target=_warn_about_database, args=(settings,), daemon=True).start()
    server = build_server(settings)
    # what the start made stays: collections during requests need not look through it
    gc.freeze()
    try:
        if arguments.http:
            asyncio.run(server.run_http_async(port=arguments.port, **http_options(settings, host=arguments.host)))
        else:
            server.run(transport="stdio", show_banner=False)
    except KeyboardInterrupt:
        # how a server is ended; it has said goodbye by then
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
