"""A door on this machine to a Postgres that speaks TLS, for client tools that are built without it.

The tools that come with the embedded server know no TLS; psycopg does. While a door is open, whoever connects to it is
carried to the server under the certificates and the verification that the URL asks for.
"""

import asyncio
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg

logger = logging.getLogger(__name__)

# the eight bytes that ask a server for TLS; it answers "S" before anything else is said
TLS_REQUEST = struct.pack("!ii", 8, 80877103)
TLS_PARAMETERS = frozenset(
    {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslnegotiation", "channel_binding", "gssencmode"}
)
CONNECT_TIMEOUT_S = 20
LAST_BYTES_S = 5
PIECE_BYTES = 1 << 16


@contextmanager
def without_tls(database_url: str) -> Iterator[str]:
    """A URL of the same database that needs no TLS; the given one where the server asks for none.

    Raises psycopg.OperationalError when the server cannot be reached or trusted.
    """
    with psycopg.connect(database_url) as connection:
        if not connection.pgconn.ssl_in_use:
            yield database_url
            return
    door = _Door(database_url)
    thread = threading.Thread(target=asyncio.run, args=(door.stay_open(),), name="tls door", daemon=True)
    thread.start()
    try:
        yield _at_port(database_url, door.port.result())
    finally:
        door.close()
        thread.join()


class _Door:
    """Carries every connection to one server, until it is closed."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 5432)
        query = dict(parse_qsl(parts.query))
        self._is_direct = query.get("sslnegotiation") == "direct"
        self._context = _context(query)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = asyncio.Event()
        self._carried: set[asyncio.Task[None]] = set()
        self.port: Future[int] = Future()

    async def stay_open(self) -> None:
        """Listen until `close`; connections that do not end by themselves then are ended."""
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self.carry, "127.0.0.1", 0)
        self.port.set_result(server.sockets[0].getsockname()[1])
        await self._closing.wait()
        server.close()
        if self._carried:
            await asyncio.wait(self._carried, timeout=LAST_BYTES_S)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._closing.set)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried = asyncio.create_task(self._carry(reader, writer))
        self._carried.add(carried)
        carried.add_done_callback(self._carried.discard)
        with suppress(asyncio.CancelledError):
            await carried

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            connected = await asyncio.to_thread(self._connect)
            far_reader, far_writer = await asyncio.open_connection(
                sock=connected, ssl=self._context, server_hostname=self._address[0]
            )
        except OSError as error:
            logger.warning("the database at %s could not be reached over TLS: %s", self._address[0], error)
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))

    def _connect(self) -> socket.socket:
        connected = socket.create_connection(self._address, timeout=CONNECT_TIMEOUT_S)
        if not self._is_direct:
            connected.sendall(TLS_REQUEST)
            if connected.recv(1) != b"S":
                connected.close()
                raise ConnectionError("it does not speak TLS")
        connected.setblocking(False)
        return connected


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends; then the other is ended too."""
    try:
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    except OSError as error:
        logger.debug("a connection ended: %s", error)
    finally:
        writer.close()


def _context(query: Mapping[str, str]) -> ssl.SSLContext:
    """Verification as libpq does it: by `sslmode`, where a root certificate or channel binding makes `require` more."""
    mode, root = query.get("sslmode", "prefer"), query.get("sslrootcert")
    is_bound = query.get("channel_binding") == "require"
    context = ssl.create_default_context(cafile=None if root in (None, "system") else root)
    # the tool cannot bind its password to a channel it does not see, so the certificate has to hold instead
    context.check_hostname = mode == "verify-full" or is_bound
    if not (context.check_hostname or mode == "verify-ca" or root):
        context.verify_mode = ssl.CERT_NONE
    if "sslcert" in query:
        context.load_cert_chain(query["sslcert"], query.get("sslkey"))
    if query.get("sslnegotiation") == "direct":
        context.set_alpn_protocols(["postgresql"])
    return context


def _at_port(database_url: str, port: int) -> str:
    parts = urlsplit(database_url)
    query = {name: value for name, value in parse_qsl(parts.query) if name not in TLS_PARAMETERS}
    user, at, _ = parts.netloc.rpartition("@")
    netloc = f"{user}{at}127.0.0.1:{port}"
    return urlunsplit(parts._replace(netloc=netloc, query=urlencode({**query, "sslmode": "disable"}, quote_via=quote)))
