"""What the webhook receiver can be told. Every key and secret may be several, separated by commas: that is rotation."""

import base64
import binascii
import re
from typing import Annotated, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MINIMUM_RSA_BITS = 2048
PEM_ARMOUR = re.compile(r"-----(BEGIN|END) PUBLIC KEY-----")


class WebhookSettings(BaseSettings):
    """Keys and limits of the receiver. Every field but the database reads `GONG_WEBHOOK_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="GONG_WEBHOOK_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        populate_by_name=True,
    )

    database_url: Annotated[str, Field(validation_alias="DATABASE_URL")] = ""

    public_key: Annotated[tuple[str, ...], NoDecode] = ()
    """Gong's signing keys as the rule editor shows them (base64) or as PEM."""
    url: Annotated[tuple[str, ...], NoDecode] = ()
    """The addresses Gong was given. Set it behind a proxy; without it the address of the request itself counts."""
    url_secret: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """The secret at the end of the address, for rules of the kind "URL includes key"."""
    secret: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Shared secrets of senders that sign with HMAC-SHA256."""

    clock_leeway_s: int = Field(default=60, ge=0, le=300)
    max_body_bytes: int = Field(default=5_000_000, ge=1_000)
    max_buffered_bytes: int = Field(default=64_000_000, ge=1_000)
    """All bodies in memory at once; beyond it the receiver asks senders to come back."""
    max_in_flight: int = Field(default=128, ge=1)
    """More wait longer than they are worth: at 200 events a second, 128 at once is 0.6 s of a stall."""
    max_connections: int = Field(default=1_000, ge=10)
    head_timeout_s: float = Field(default=10.0, gt=0)
    body_timeout_s: float = Field(default=15.0, gt=0)
    store_timeout_s: float = Field(default=3.0, gt=0)
    pool_size: int = Field(default=8, ge=1)

    @field_validator("public_key", "url", "url_secret", "secret", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("public_key")
    @classmethod
    def _check_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            read_public_key(text)
        return value

    @property
    def has_a_scheme(self) -> bool:
        return bool(self.public_key or self.url_secret or self.secret)


def read_public_key(text: str) -> RSAPublicKey:
    """The RSA key in `text`, with or without PEM armour. Raises ValueError that says what is wrong with it."""
    bare = "".join(PEM_ARMOUR.sub("", text.replace("\\n", "\n")).split())
    try:
        key = load_der_public_key(base64.b64decode(bare, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(
            "GONG_WEBHOOK_PUBLIC_KEY is not a public key. Copy it whole from the webhook rule in Gong "
            "(Automation rules, Signed JWT header)."
        ) from error
    if not isinstance(key, RSAPublicKey) or key.key_size < MINIMUM_RSA_BITS:
        raise ValueError(f"GONG_WEBHOOK_PUBLIC_KEY must be an RSA key of at least {MINIMUM_RSA_BITS} bits.")
    return key
