"""Who sent this? Three schemes, checked over the raw bytes before anybody parses them.

* `jwt`: Gong's own. RS256 in `Authorization`, claims `webhook_url`, `body_sha256` and `exp`.
* `url_secret`: Gong's other one. A secret is the last part of the address.
* `hmac`: HMAC-SHA256 of the body in `X-Gong-Signature`, for relays; `X-Gong-Webhook-Id` names the delivery.

Every credential that a request carries must hold: a right one does not excuse a wrong one beside it.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from dlt_pipelines.webhooks.settings import WebhookSettings, read_public_key

AUTHORIZATION, SIGNATURE, WEBHOOK_ID = "authorization", "x-gong-signature", "x-gong-webhook-id"
# Gong's tokens are under 1 kB; what is longer is not worth decoding
LONGEST_TOKEN = 8_192
SHA256_HEX = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
PLAIN_ID = re.compile(r"[\x21-\x7e]{1,200}")
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Delivery:
    """One request as it arrived. `headers` holds every value of a name, names in lower case."""

    url: str
    headers: Mapping[str, Sequence[str]]
    body: bytes
    url_secret: str | None = None


@dataclass(frozen=True)
class Verified:
    """A genuine delivery, with the key under which a repetition of it is recognised."""

    scheme: str
    event_key: str
    body_sha256: str


class UnverifiedError(Exception):
    """The delivery is not proven genuine; `reason` is one of a few words, for counting."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Verifier:
    """Checks deliveries against all configured keys; any of them may match."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._public_keys = tuple(read_public_key(text) for text in settings.public_key)
        self._urls = frozenset(normal_url(url) for url in settings.url)
        self._url_secrets = tuple(_digest(secret.get_secret_value()) for secret in settings.url_secret)
        self._hmac_secrets = tuple(secret.get_secret_value().encode() for secret in settings.secret)
        self._leeway_s = settings.clock_leeway_s

    def verify(self, delivery: Delivery, *, endpoint: str) -> Verified:
        """Raises UnverifiedError."""
        token = _only(delivery.headers, AUTHORIZATION)
        signature = _only(delivery.headers, SIGNATURE)
        body_sha256 = hashlib.sha256(delivery.body).hexdigest()
        scheme = None
        if delivery.url_secret is not None:
            self._check_url_secret(delivery.url_secret)
            scheme = "url_secret"
        if signature is not None:
            self._check_hmac(signature, delivery.body)
            scheme = "hmac"
        if token is not None:
            self._check_jwt(token, delivery.url, body_sha256)
            scheme = "jwt"
        if scheme is None:
            raise UnverifiedError("no_credential")
        event_key = f"{endpoint}:sha256:{body_sha256}"
        if scheme == "hmac":
            webhook_id = _only(delivery.headers, WEBHOOK_ID)
            if webhook_id is not None and PLAIN_ID.fullmatch(webhook_id):
                event_key = f"{endpoint}:id:{webhook_id}"
        return Verified(scheme=scheme, event_key=event_key, body_sha256=body_sha256)

    def _check_url_secret(self, presented: str) -> None:
        if not self._url_secrets:
            raise UnverifiedError("scheme_not_configured")
        digest = _digest(presented)
        # a sum, not any(): the time must not tell which key matched
        if not sum(hmac.compare_digest(digest, known) for known in self._url_secrets):
            raise UnverifiedError("wrong_secret")

    def _check_hmac(self, presented: str, body: bytes) -> None:
        if not self._hmac_secrets:
            raise UnverifiedError("scheme_not_configured")
        claimed = presented.strip().removeprefix("sha256=")
        if not SHA256_HEX.fullmatch(claimed):
            raise UnverifiedError("malformed")
        given = bytes.fromhex(claimed)
        if not sum(hmac.compare_digest(given, hmac.digest(secret, body, "sha256")) for secret in self._hmac_secrets):
            raise UnverifiedError("wrong_signature")

    def _check_jwt(self, presented: str, url: str, body_sha256: str) -> None:
        if not self._public_keys:
            raise UnverifiedError("scheme_not_configured")
        token = presented.strip()
        if token[:7].lower() == "bearer ":
            token = token[7:].strip()
        if len(token) > LONGEST_TOKEN:
            raise UnverifiedError("malformed")
        claims = self._claims(token)
        claimed_url, claimed_hash = claims.get("webhook_url"), claims.get("body_sha256")
        if not isinstance(claimed_url, str) or not isinstance(claimed_hash, str):
            raise UnverifiedError("malformed")
        if not SHA256_HEX.fullmatch(claimed_hash) or not hmac.compare_digest(claimed_hash.lower(), body_sha256):
            raise UnverifiedError("wrong_body")
        try:
            known = normal_url(claimed_url) in (self._urls or {normal_url(url)})
        except ValueError as error:
            raise UnverifiedError("malformed") from error
        if not known:
            raise UnverifiedError("wrong_url")

    def _claims(self, token: str) -> dict[str, Any]:
        reason = "malformed"
        for key in self._public_keys:
            try:
                return _decode(token, key, self._leeway_s)
            except jwt.InvalidSignatureError:
                reason = "wrong_signature"
            except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
                raise UnverifiedError("expired") from error
            # a forged token may break the decoder in ways its authors did not foresee; none of them is a yes
            except Exception as error:
                raise UnverifiedError("malformed") from error
        raise UnverifiedError(reason)


def _decode(token: str, key: RSAPublicKey, leeway_s: int) -> dict[str, Any]:
    # the algorithm and the key come from us; nothing in the token's header is believed
    return jwt.decode(
        token, key, algorithms=["RS256"], leeway=leeway_s, options={"require": ["exp"], "verify_aud": False}
    )


def normal_url(url: str) -> str:
    """`url` in the one spelling that is compared: lower-case host, no default port, no slash at the end."""
    parts = urlsplit(url.strip())
    if parts.scheme.lower() not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is not a web address. Write it as https://hooks.example.com/webhooks/gong.")
    scheme, port = parts.scheme.lower(), parts.port
    host = parts.hostname if port in (None, DEFAULT_PORTS[scheme]) else f"{parts.hostname}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{host}{parts.path.rstrip('/')}{query}"


def _only(headers: Mapping[str, Sequence[str]], name: str) -> str | None:
    """The header's value. Two values are two claims, and nobody says which one was meant."""
    values = headers.get(name, ())
    if len(values) > 1:
        raise UnverifiedError("malformed")
    return values[0] if values else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
