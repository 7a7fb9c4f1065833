"""JSON as it arrives: parsed once, with what Postgres cannot store taken out."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson


def parse(body: bytes) -> Any:
    """Parse a response body; NUL characters are dropped and lone surrogates replaced, Postgres refuses both."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        # orjson refuses half a surrogate pair; the standard parser lets it through to be repaired here
        value = clean(json.loads(body))
    if b"\\u0000" in body:
        value = clean(value)
    return value


def clean(value: Any) -> Any:
    """The same value without NUL characters and lone surrogates."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def moment(value: Any) -> datetime | None:
    """An aware UTC time from ISO text, None where there is none or it cannot be read."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def dump(value: Any) -> str:
    """Compact JSON text in the order it came."""
    return _dumped(value, 0).decode()


def content_hash(value: Mapping[str, Any] | list[Any], *, row_version: str) -> str:
    """SHA-256 whatever the order of keys; `row_version` changes when rows are built differently."""
    digest = hashlib.sha256(row_version.encode())
    digest.update(_dumped(value, orjson.OPT_SORT_KEYS))
    return digest.hexdigest()


def _dumped(value: Any, option: int) -> bytes:
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        # orjson stops at 64 bits; Postgres keeps numbers of any length
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=bool(option)).encode()
