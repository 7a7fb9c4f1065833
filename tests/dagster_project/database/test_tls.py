"""A server that takes TLS only: ours is built without it, so a terminator of this test stands in front."""

import asyncio
import datetime
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dagster_project.database.tls import TLS_REQUEST, without_tls
from dagster_project.operations.backup import back_up, restore


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost and its key, as files."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "server.crt", folder / "server.key"


@pytest.fixture
def tls_url(database_url: str, certificate: tuple[Path, Path]) -> Iterator[str]:
    """The same database, through a server that refuses whoever does not ask for TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    plain = urlsplit(database_url)
    address: Future[int] = Future()
    loop: Future[asyncio.AbstractEventLoop] = Future()
    is_over = asyncio.Event()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            writer.write(piece)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(len(TLS_REQUEST)) != TLS_REQUEST:
            writer.close()
            return
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(context)
        far_reader, far_writer = await asyncio.open_connection(plain.hostname, plain.port)
        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))

    async def stand_in_front() -> None:
        loop.set_result(asyncio.get_running_loop())
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address.set_result(server.sockets[0].getsockname()[1])
        await is_over.wait()

    thread = threading.Thread(target=asyncio.run, args=(stand_in_front(),), daemon=True)
    thread.start()
    yield plain._replace(netloc=f"{plain.netloc.rpartition('@')[0]}@localhost:{address.result()}").geturl()
    loop.result().call_soon_threadsafe(is_over.set)
    thread.join()


def rows(url: str) -> list[tuple[int]]:
    with psycopg.connect(url) as connection:
        return connection.execute("select n from public.kept").fetchall()


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_backup_is_made_of_a_server_that_takes_tls_only_and_comes_back(
    tls_url: str, database_url: str, certificate: tuple[Path, Path], tmp_path: Path, mode: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("create table public.kept as select 7 as n")
    root = "" if mode == "require" else f"&sslrootcert={certificate[0]}"
    url = f"{tls_url}?sslmode={mode}{root}"
    made = back_up(database_url=url, path=tmp_path / "a.dump")
    with psycopg.connect(database_url) as connection:
        connection.execute("drop table public.kept")
    restore(database_url=url, path=made.path, is_old_kept=False)
    assert rows(database_url) == [(7,)]


def test_a_certificate_that_nobody_vouches_for_is_not_carried_through(tls_url: str) -> None:
    with pytest.raises(psycopg.OperationalError), without_tls(f"{tls_url}?sslmode=verify-full&sslrootcert=system"):
        pass


def test_a_server_whose_certificate_nobody_checks_is_carried_through(tls_url: str) -> None:
    with without_tls(f"{tls_url}?sslmode=require") as url, psycopg.connect(url) as connection:
        assert "127.0.0.1" in url
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_server_without_tls_is_asked_directly(database_url: str) -> None:
    with without_tls(database_url) as url:
        assert url == database_url
