"""Sign-in against a real OpenID Connect provider: discovery, authorization code, RS256 tokens, a real browser."""

import base64
import json
import re
import secrets
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CLIENT_ID, CLIENT_SECRET = "call-coach", "a secret that only the two know"
READY_MS = 60_000
# what the provider says of each account that one may choose on its page
ACCOUNTS: dict[str, dict[str, Any]] = {
    "robin@example.test": {"email_verified": True},
    "finch@example.test": {},
    "nobody@example.test": {"email_verified": True},
    "martin@example.test": {"email_verified": False},
    "gull@example.test": {"email_verified": True},
}
Settled = Callable[[Any], Any]
Opened = Callable[[Any, str], Any]


class Provider:
    """The issuer's side: accounts to choose from, one-time codes, and the key that tokens are signed with."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.signs_with = self.key
        self.lifetime_s = 600
        self.codes: dict[str, dict[str, str]] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def jwks(self) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "1", "use": "sig", "alg": "RS256"}]}

    def login_page(self, asked: dict[str, str]) -> str:
        """One link per account; following it grants a code."""
        links = []
        for email in ACCOUNTS:
            code = secrets.token_urlsafe()
            self.codes[code] = {**asked, "email": email}
            back = urllib.parse.urlencode({"code": code, "state": asked["state"]})
            links.append(f'<p><a href="{asked["redirect_uri"]}?{back}">{email}</a></p>')
        return f"<h1>Choose an account</h1>{''.join(links)}"

    def token(self, sent: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """A token for a code, once, for the client that knows the secret."""
        if authorization.startswith("Basic "):
            given = base64.b64decode(authorization[6:]).decode().split(":", 1)
            client = tuple(urllib.parse.unquote(part) for part in given)
        else:
            client = (sent.get("client_id", ""), sent.get("client_secret", ""))
        granted = self.codes.pop(sent.get("code", ""), None)
        if client != (CLIENT_ID, CLIENT_SECRET) or granted is None or granted["redirect_uri"] != sent["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": f"id-of-{granted['email']}",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + self.lifetime_s,
            "nonce": granted.get("nonce", ""),
            "email": granted["email"],
            "name": granted["email"].split("@")[0],
            **ACCOUNTS[granted["email"]],
        }
        signed = jwt.encode(claims, self.signs_with, algorithm="RS256", headers={"kid": "1"})
        return 200, {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "id_token": signed}


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, body: str, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            asked = dict(urllib.parse.parse_qsl(query))
            if path == "/.well-known/openid-configuration":
                self.answer(200, json.dumps(provider.discovery()))
            elif path == "/jwks":
                self.answer(200, json.dumps(provider.jwks()))
            elif path == "/authorize" and asked.get("client_id") == CLIENT_ID:
                self.answer(200, provider.login_page(asked), "text/html")
            else:
                self.answer(404, "{}")

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, body = provider.token(dict(urllib.parse.parse_qsl(sent)), self.headers.get("Authorization", ""))
            self.answer(status, json.dumps(body))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    running = Provider()
    thread = Thread(target=running.server.serve_forever, daemon=True)
    thread.start()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture(scope="module")
def site(
    provider: Provider,
    desk_url: str,
    dashboard: Callable[..., AbstractContextManager[str]],
    free_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The dashboard with `[auth]` configured; a local viewer is set too and must open nothing."""
    configured: Path = tmp_path_factory.mktemp("secrets") / "secrets.toml"
    configured.write_text(
        f"""[auth]
redirect_uri = "http://127.0.0.1:{free_port}/oauth2callback"
cookie_secret = "{secrets.token_hex(32)}"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
server_metadata_url = "{provider.issuer}/.well-known/openid-configuration"
""",
        encoding="utf-8",
    )
    with dashboard(desk_url, "admin", free_port, "--secrets.files", str(configured)) as address:
        yield address


def main_text(page: Any) -> str:
    return str(page.inner_text("[data-testid=stApp]"))


def sign_in(page: Any, email: str, opened: Opened, site: str) -> None:
    opened(page, site)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("text=Choose an account", timeout=READY_MS)
    page.get_by_role("link", name=email).click()


def test_an_address_becomes_a_viewer_and_signing_out_ends_it(
    site: str, page: Any, opened: Opened, settled: Settled
) -> None:
    sign_in(page, "robin@example.test", opened, site)
    page.wait_for_selector("text=Viewing as Robin Sample (manager)", timeout=READY_MS)
    settled(page)
    assert "Finch Sample" in main_text(page)
    assert "Crane Sample" not in main_text(page)
    opened(page, site + "/rep?rep=crane")
    assert "you may not see" in main_text(page)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_selector("text=Sign in to see your calls", timeout=READY_MS)
    opened(page, site + "/rep?rep=finch")
    assert "Finch Sample" not in main_text(page)


def test_a_rep_who_signs_in_sees_only_themselves(site: str, page: Any, opened: Opened, settled: Settled) -> None:
    sign_in(page, "finch@example.test", opened, site)
    page.wait_for_selector("text=Viewing as Finch Sample (rep)", timeout=READY_MS)
    settled(page)
    assert not [name for name in ("Wren", "Heron", "Crane") if name in main_text(page)]
    # who one is comes from the token: the address and local mode change nothing
    opened(page, site + "/?as=admin")
    assert "Viewing as Finch Sample (rep)" in main_text(page)


@pytest.mark.parametrize(
    ("email", "why"),
    [
        ("nobody@example.test", "'nobody@example.test' is not a rep's id or e-mail address"),
        ("martin@example.test", "has not verified your e-mail address"),
        ("gull@example.test", "belongs to someone who has left"),
    ],
    ids=["unknown", "unverified", "left"],
)
def test_who_may_not_come_in_is_told_why_and_may_choose_another_account(
    email: str, why: str, site: str, page: Any, opened: Opened
) -> None:
    sign_in(page, email, opened, site)
    page.wait_for_selector("text=No access", timeout=READY_MS)
    assert why in main_text(page)
    assert "Sample" not in main_text(page)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_selector("text=Sign in to see your calls", timeout=READY_MS)


def test_a_token_of_another_key_opens_nothing(site: str, page: Any, provider: Provider, opened: Opened) -> None:
    provider.signs_with = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    try:
        sign_in(page, "robin@example.test", opened, site)
        page.wait_for_load_state()
        opened(page, site)
        assert "Sign in to see your calls" in main_text(page)
    finally:
        provider.signs_with = provider.key


def test_a_session_ends_with_its_token(site: str, page: Any, provider: Provider, opened: Opened) -> None:
    provider.lifetime_s = 4
    try:
        sign_in(page, "robin@example.test", opened, site)
        page.wait_for_selector("text=Viewing as Robin Sample", timeout=READY_MS)
        page.wait_for_timeout(4_500)
        page.goto(site)
        page.wait_for_selector("text=Sign in to see your calls", timeout=READY_MS)
    finally:
        provider.lifetime_s = 600


def test_the_cookie_cannot_be_made_up(site: str, page: Any, opened: Opened) -> None:
    forged = base64.urlsafe_b64encode(json.dumps({"email": "eagle@example.test"}).encode()).decode()
    page.context.add_cookies([{"name": "_streamlit_user", "value": forged, "url": site}])
    opened(page, site)
    assert re.search("Sign in to see your calls", main_text(page))
