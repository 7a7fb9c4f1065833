"""The webhook receiver: verify the raw bytes, store them, commit, answer. It parses nothing and needs Postgres only.

POST /webhooks/gong            signed with a JWT or an HMAC
POST /webhooks/gong/{secret}   the secret in the address
GET  /healthz /readyz /metrics /openapi.json
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from structlog.contextvars import bound_contextvars

from dlt_pipelines.webhooks.metrics import Metrics
from dlt_pipelines.webhooks.settings import WebhookSettings
from dlt_pipelines.webhooks.signatures import Delivery, UnverifiedError, Verified, Verifier
from dlt_pipelines.webhooks.store import Event, InboxStore, StoreUnavailableError

logger = logging.getLogger(__name__)

ENDPOINT = "gong"
OPENAPI = Path(__file__).with_name("openapi.json")
# what helps to understand an odd event later; never a credential
KEPT_HEADERS = ("content-type", "user-agent", "x-gong-webhook-id", "x-traceid", "x-request-id")
LONGEST_KEPT_VALUE = 300
BUSY_RETRY_S, AWAY_RETRY_S = 1, 5


class RefusedError(Exception):
    """The delivery is answered with an error status before or instead of being stored."""

    def __init__(self, status: int, outcome: str, message: str, *, reason: str = "", retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.outcome = outcome
        self.message = message
        self.reason = reason
        self.retry_after_s = retry_after_s


class Receiver:
    """The routes and what they share."""

    def __init__(self, settings: WebhookSettings) -> None:
        self.settings = settings
        self.verifier = Verifier(settings)
        self.metrics = Metrics()
        self.store = InboxStore(settings.database_url, pool_size=settings.pool_size, timeout_s=settings.store_timeout_s)
        self.in_flight = 0
        self.buffered_bytes = 0

    async def deliver(self, request: Request) -> Response:
        """Take one delivery: 202 when it is stored, 200 when it had been, else an error that says what to do."""
        with bound_contextvars(request_id=uuid.uuid4().hex):
            return await self._deliver(request)

    async def _deliver(self, request: Request) -> Response:
        started = time.perf_counter()
        scheme = ""
        try:
            body = await self._body(request)
            verified = self._verify(request, body)
            scheme = verified.scheme
            is_new = await self._add(
                Event(
                    endpoint=ENDPOINT,
                    event_key=verified.event_key,
                    scheme=verified.scheme,
                    body=body,
                    body_sha256=verified.body_sha256,
                    headers=_kept(_header_values(request)),
                )
            )
        except RefusedError as error:
            self.metrics.observe(
                outcome=error.outcome, scheme=scheme, reason=error.reason, seconds=time.perf_counter() - started
            )
            return _refusal(error)
        except ClientDisconnect:
            self.metrics.observe(outcome="disconnected", seconds=time.perf_counter() - started)
            return Response(status_code=400)
        outcome = "received" if is_new else "duplicate"
        with bound_contextvars(event_key=verified.event_key):
            logger.info("delivery %s", outcome)
        self.metrics.observe(outcome=outcome, scheme=scheme, seconds=time.perf_counter() - started)
        return JSONResponse({"status": outcome}, status_code=202 if is_new else 200)

    async def _body(self, request: Request) -> bytes:
        """The raw bytes, bounded in size, time and number at once."""
        limit = self.settings.max_body_bytes
        _check_head(request, limit)
        if self.in_flight + self.store.n_writing >= self.settings.max_in_flight:
            raise _busy("too_many_deliveries")
        chunks: list[bytes] = []
        size = 0
        self.in_flight += 1
        try:
            async with asyncio.timeout(self.settings.body_timeout_s):
                async for chunk in request.stream():
                    size += len(chunk)
                    self.buffered_bytes += len(chunk)
                    if size > limit:
                        raise _too_large(limit)
                    if self.buffered_bytes > self.settings.max_buffered_bytes:
                        raise _busy("too_many_bytes")
                    chunks.append(chunk)
        except TimeoutError as error:
            raise RefusedError(
                408, "too_slow", f"The body did not arrive within {self.settings.body_timeout_s:g} s. Send it again."
            ) from error
        finally:
            self.in_flight -= 1
            self.buffered_bytes -= size
        return b"".join(chunks)

    def _verify(self, request: Request, body: bytes) -> Verified:
        delivery = Delivery(
            url=str(request.url),
            headers=_header_values(request),
            body=body,
            url_secret=request.path_params.get("secret"),
        )
        try:
            return self.verifier.verify(delivery, endpoint=ENDPOINT)
        except UnverifiedError as error:
            logger.debug("a delivery was not genuine: %s", error.reason)
            raise RefusedError(
                401, "unauthorized", "The signature or secret does not hold for these bytes.", reason=error.reason
            ) from error

    async def _add(self, event: Event) -> bool:
        try:
            return await self.store.add(event)
        except StoreUnavailableError as error:
            wait_s = BUSY_RETRY_S if error.reason == "busy" else AWAY_RETRY_S
            raise RefusedError(
                503,
                "unavailable",
                f"The event could not be stored now. Send it again in {wait_s} s.",
                reason=error.reason,
                retry_after_s=wait_s,
            ) from error

    async def healthz(self, request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Deliveries would be taken: there is a key to check them with and a database to keep them in."""
        problems = []
        if not self.settings.has_a_scheme:
            problems.append("No key is configured: set GONG_WEBHOOK_PUBLIC_KEY, _URL_SECRET or _SECRET.")
        if not self.store.is_available:
            problems.append("Postgres is away.")
        if problems:
            return JSONResponse(
                {"status": "not ready", "problems": problems},
                status_code=503,
                headers={"Retry-After": str(AWAY_RETRY_S)},
            )
        return JSONResponse({"status": "ready"})

    async def metrics_page(self, request: Request) -> Response:
        """Counts and latency since the start, as Prometheus reads them."""
        gauges = {
            "call_coach_webhook_database_up": ("1 while Postgres can be written to.", float(self.store.is_available)),
            "call_coach_webhook_in_flight": (
                "Deliveries being read or stored.",
                float(self.in_flight + self.store.n_writing),
            ),
        }
        return PlainTextResponse(
            self.metrics.render(gauges), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def openapi(self, request: Request) -> Response:
        """The description of these routes."""
        return Response(OPENAPI.read_bytes(), media_type="application/json")


def build_app(settings: WebhookSettings) -> Starlette:
    """The receiver as an ASGI application."""
    receiver = Receiver(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await receiver.store.start()
        try:
            yield
        finally:
            await receiver.store.stop()

    return Starlette(
        routes=[
            Route("/webhooks/gong", receiver.deliver, methods=["POST"]),
            Route("/webhooks/gong/{secret}", receiver.deliver, methods=["POST"]),
            Route("/healthz", receiver.healthz),
            Route("/readyz", receiver.readyz),
            Route("/metrics", receiver.metrics_page),
            Route("/openapi.json", receiver.openapi),
        ],
        lifespan=lifespan,
    )


def _check_head(request: Request, limit: int) -> None:
    """What the head alone forbids, before a byte of the body is read."""
    content_type = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise RefusedError(415, "wrong_type", "Send the event as application/json.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RefusedError(415, "wrong_type", "Send the event without compression.")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 12 or int(length) > limit):
        raise _too_large(limit)


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, "too_large", f"The body is larger than {limit:,} bytes.")


def _busy(reason: str) -> RefusedError:
    return RefusedError(
        503,
        "unavailable",
        f"Too much at once. Send it again in {BUSY_RETRY_S} s.",
        reason=reason,
        retry_after_s=BUSY_RETRY_S,
    )


def _refusal(error: RefusedError) -> Response:
    headers = {}
    if error.retry_after_s:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status in (408, 413, 415, 503):
        # the rest of the body, if there is one, is not worth reading
        headers["Connection"] = "close"
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"status": error.outcome, "message": error.message}, status_code=error.status, headers=headers)


def _header_values(request: Request) -> Mapping[str, Sequence[str]]:
    values: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        values.setdefault(name, []).append(value)
    return values


def _kept(headers: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {
        name: "".join(character for character in headers[name][0] if character.isprintable())[:LONGEST_KEPT_VALUE]
        for name in KEPT_HEADERS
        if name in headers
    }
