"""Prompt caching as the API bills it: written at breakpoints, readable once the writer's first event is out."""

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CHARACTERS_PER_TOKEN = 2.5
TTL_S = {"5m": 300.0, "1h": 3600.0}


def count_tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


@dataclass(slots=True)
class Entry:
    ttl_s: float
    expires_at: float
    is_visible: bool = False


@dataclass(frozen=True, slots=True)
class Breakpoint:
    key: str
    tokens: int
    ttl: str


@dataclass(frozen=True)
class Plan:
    """What one request reads and writes."""

    total: int
    read: int
    write_5m: int
    write_1h: int
    written: tuple[str, ...]

    @property
    def uncached(self) -> int:
        return self.total - self.read - self.write_5m - self.write_1h


class PromptCache:
    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries: dict[str, Entry] = {}
        self._clock = clock

    def plan(self, body: dict[str, Any], *, min_tokens: int, scope: str = "live") -> Plan:
        """Tokens by kind, and the entries this request is writing; they stay invisible until `reveal`."""
        now = self._clock()
        breakpoints, total = breakpoints_of(body, scope=scope)
        cacheable = [point for point in breakpoints if point.tokens >= min_tokens]
        read = 0
        for point in reversed(cacheable):
            entry = self._entries.get(point.key)
            if entry is not None and entry.is_visible and entry.expires_at > now:
                read = point.tokens
                break
        write = {"5m": 0, "1h": 0}
        written = []
        before = read
        for point in cacheable:
            if point.tokens <= read:
                # a hit refreshes every prefix it contains
                self._entries[point.key] = Entry(TTL_S[point.ttl], now + TTL_S[point.ttl], is_visible=True)
                continue
            write[point.ttl] += point.tokens - before
            before = point.tokens
            known = self._entries.get(point.key)
            if known is None or known.expires_at <= now:
                self._entries[point.key] = Entry(TTL_S[point.ttl], now + TTL_S[point.ttl])
            written.append(point.key)
        return Plan(total=total, read=read, write_5m=write["5m"], write_1h=write["1h"], written=tuple(written))

    def reveal(self, plan: Plan) -> None:
        for key in plan.written:
            if key in self._entries:
                self._entries[key].is_visible = True

    def clear(self) -> None:
        self._entries.clear()


def breakpoints_of(body: dict[str, Any], *, scope: str) -> tuple[list[Breakpoint], int]:
    """Every cache breakpoint with the tokens up to it, and the prompt's tokens in all."""
    # what splits the cache besides the text
    settings = [
        scope,
        body.get("model"),
        body.get("tools"),
        body.get("tool_choice"),
        body.get("thinking"),
        body.get("output_config"),
        body.get("speed"),
    ]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    tokens = count_tokens(json.dumps(body["tools"])) if body.get("tools") else 0
    points = []
    for role, block in blocks_of(body):
        text = text_of(block)
        digest.update(f"\x00{role}\x00".encode())
        digest.update(text.encode("utf-8", "surrogatepass"))
        tokens += count_tokens(text)
        control = block.get("cache_control") if isinstance(block, dict) else None
        if isinstance(control, dict):
            points.append(Breakpoint(key=digest.hexdigest(), tokens=tokens, ttl=control.get("ttl") or "5m"))
    return points, tokens


def blocks_of(body: dict[str, Any]) -> list[tuple[str, Any]]:
    blocks = [("system", block) for block in as_blocks(body.get("system"))]
    for message in body.get("messages") or ():
        blocks.extend((str(message.get("role")), block) for block in as_blocks(message.get("content")))
    return blocks


def as_blocks(content: Any) -> list[Any]:
    if content is None:
        return []
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def text_of(block: Any) -> str:
    if isinstance(block, dict):
        return block["text"] if isinstance(block.get("text"), str) else json.dumps(block, sort_keys=True)
    return str(block)
