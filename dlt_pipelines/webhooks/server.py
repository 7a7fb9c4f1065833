"""uvicorn on loopback, with the limits it leaves to a proxy: slow and endless heads, too many connections."""

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from dlt_pipelines.webhooks.settings import WebhookSettings

LONGEST_HEAD_BYTES = 65_536
IDLE_TIMEOUT_S = 30


def _plain_answer(status: str, message: str, extra: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {len(message)}\r\n"
        f"{extra}connection: close\r\n\r\n{message}"
    ).encode()


TOO_MANY = _plain_answer("503 Service Unavailable", "Too many connections.", "retry-after: 1\r\n")
HEAD_TOO_LARGE = _plain_answer("431 Request Header Fields Too Large", "The request's head is too large.")
HEAD_TOO_SLOW = _plain_answer("408 Request Timeout", "The request's head took too long.")


def guarded_protocol(*, head_timeout_s: float, max_connections: int) -> type[asyncio.Protocol]:
    """uvicorn's protocol, closing connections whose head does not arrive in time or in measure."""

    class GuardedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _deadline: asyncio.TimerHandle | None = None
        _head_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > max_connections:
                self._close(TOO_MANY)
                return
            self._start_clock()

        def data_received(self, data: bytes) -> None:
            if self._waits_for_head():
                self._start_clock()
                self._head_bytes += len(data)
            super().data_received(data)
            if not self._waits_for_head():
                self._stop_clock()
            elif self._head_bytes > LONGEST_HEAD_BYTES:
                self._close(HEAD_TOO_LARGE)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_clock()
            super().connection_lost(exc)

        def _waits_for_head(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _start_clock(self) -> None:
            if self._deadline is None:
                self._deadline = self.loop.call_later(head_timeout_s, self._close, HEAD_TOO_SLOW)

        def _stop_clock(self) -> None:
            self._head_bytes = 0
            if self._deadline:
                self._deadline.cancel()
                self._deadline = None

        def _close(self, answer: bytes) -> None:
            if not self.transport.is_closing():
                self.transport.write(answer)
                self.transport.close()

    return GuardedProtocol


def serve(app: Starlette, settings: WebhookSettings, *, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve `app` on 127.0.0.1 until SIGTERM or SIGINT; `on_ready` is told the address. Port 0 takes a free one."""
    # the protocol is named because asyncio turns Nagle's delay off only for sockets that say they are TCP
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(2_048)
        server = _AnnouncingServer(
            uvicorn.Config(
                app,
                http=guarded_protocol(head_timeout_s=settings.head_timeout_s, max_connections=settings.max_connections),
                ws="none",
                # addresses may hold a secret
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_keep_alive=IDLE_TIMEOUT_S,
                timeout_graceful_shutdown=10,
                backlog=2_048,
            ),
            lambda: on_ready(f"http://127.0.0.1:{listener.getsockname()[1]}"),
        )
        asyncio.run(server.serve(sockets=[listener]))


class _AnnouncingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._on_started()
