"""What a simulated Gong company holds: plain Gong JSON, from a folder or built in memory."""

import functools
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Self

logger = logging.getLogger(__name__)

REQUIRED_FILES = ("users", "calls", "transcripts")
# file name -> key of the list in the API's answer; a file may hold the bare list or the whole answer
LIST_KEYS: Mapping[str, str] = {
    "users": "users",
    "calls": "calls",
    "transcripts": "callTranscripts",
    "workspaces": "workspaces",
    "trackers": "keywordTrackers",
    "scorecards": "scorecards",
    "answered_scorecards": "answeredScorecards",
    "interaction_stats": "peopleInteractionStats",
    "library_folders": "folders",
}
DEFAULT_WORKSPACES = (
    {"id": "6600001000000001", "workspaceId": "6600001000000001", "name": "Sales", "description": "All sales calls"},
)


class TenantError(Exception):
    """The folder cannot be served; the text says which file and what is wrong with it."""


@dataclass
class Tenant:
    """One company. Mutable on purpose: tests let calls arrive late, change and disappear."""

    users: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    transcripts: dict[str, dict[str, Any]] = field(default_factory=dict)
    workspaces: list[dict[str, Any]] = field(default_factory=lambda: [dict(item) for item in DEFAULT_WORKSPACES])
    trackers: list[dict[str, Any]] = field(default_factory=list)
    scorecards: list[dict[str, Any]] = field(default_factory=list)
    answered_scorecards: list[dict[str, Any]] = field(default_factory=list)
    interaction_stats: list[dict[str, Any]] = field(default_factory=list)
    library_folders: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_folder(cls, folder: Path, *, until: date | None = None) -> Self:
        """Read `users.json`, `calls.json`, `transcripts.json` and what else there is.

        Args:
            folder: the folder.
            until: leave out calls that start after this day.

        Raises:
            TenantError: a file is missing or cannot be read as a list of objects.
        """
        if not folder.is_dir():
            raise TenantError(
                f"{folder} is not a folder. Give one with users.json, calls.json and transcripts.json in Gong's shape"
            )
        lists: dict[str, list[dict[str, Any]]] = {}
        for name, list_key in LIST_KEYS.items():
            path = folder / f"{name}.json"
            if path.is_file():
                lists[name] = _read_list(path, list_key)
            elif name in REQUIRED_FILES:
                raise TenantError(
                    f"{folder} has no {name}.json. It needs users.json, calls.json and transcripts.json, "
                    "each a list of objects as Gong's API returns them"
                )
        transcripts: dict[str, dict[str, Any]] = {}
        for index, item in enumerate(lists.pop("transcripts")):
            key = item.get("callId")
            if not isinstance(key, str):
                raise TenantError(f"{folder / 'transcripts.json'}: item {index} has no callId of type text")
            transcripts[key] = item
        tenant = cls(transcripts=transcripts, **lists)
        if until is not None:
            end = datetime.combine(until + timedelta(days=1), time(), tzinfo=UTC)
            late = {call_id(call) for call in tenant.calls if (at := call_start(call)) is not None and at >= end}
            tenant.calls = [call for call in tenant.calls if call_id(call) not in late]
            tenant.transcripts = {key: item for key, item in tenant.transcripts.items() if key not in late}
        for orphan in tenant.orphans():
            logger.warning("%s: the transcript of call %s has no call in calls.json", folder, orphan)
        return tenant

    def span(self) -> tuple[date, date]:
        """The days of the first and the last call."""
        starts = [at.astimezone(UTC).date() for call in self.calls if (at := call_start(call)) is not None]
        if not starts:
            raise TenantError("calls.json holds no call with a readable metaData.started: there is nothing to load")
        return min(starts), max(starts)

    def orphans(self) -> list[str]:
        """Call ids of transcripts whose call is not there."""
        return sorted(self.transcripts.keys() - {call_id(call) for call in self.calls})


def call_id(call: Mapping[str, Any]) -> str | None:
    meta = call.get("metaData")
    return meta.get("id") if isinstance(meta, dict) else None


def call_start(call: Mapping[str, Any]) -> datetime | None:
    """When the call started; None where the item does not say so in a readable way."""
    meta = call.get("metaData")
    started = meta.get("started") if isinstance(meta, dict) else None
    return _moment(started) if isinstance(started, str) else None


# every request filters every call by its start
@functools.lru_cache(maxsize=200_000)
def _moment(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _read_list(path: Path, list_key: str) -> list[dict[str, Any]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TenantError(f"{path} is not JSON: {error}") from error
    if isinstance(value, dict) and isinstance(value.get(list_key), list):
        value = value[list_key]
    if not isinstance(value, list):
        raise TenantError(f"{path} holds a {type(value).__name__}, not a list (or an object with {list_key!r})")
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise TenantError(f"{path}: item {index} is a {type(item).__name__}, not an object")
    return value
