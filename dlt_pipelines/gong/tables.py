"""The raw tables: how Gong's JSON becomes rows. Pure functions."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from dlt_pipelines import answers
from dlt_pipelines.destination import Table, column_name

# part of every content hash: raising it makes the next look-back write every row again in the new form
ROW_VERSION = "1"

CALLS = Table(
    name="calls",
    key=("id",),
    columns={
        "id": "text",
        "url": "text",
        "title": "text",
        "scheduled": "timestamp",
        "started": "timestamp",
        "duration": "bigint",
        "primary_user_id": "text",
        "direction": "text",
        "system": "text",
        "scope": "text",
        "media": "text",
        "language": "text",
        "workspace_id": "text",
        "sdr_disposition": "text",
        "client_unique_id": "text",
        "custom_data": "text",
        "purpose": "text",
        "meeting_url": "text",
        "is_private": "bool",
        "calendar_event_id": "text",
        "parties": "json",
        "context": "json",
        "content": "json",
        "interaction": "json",
        "collaboration": "json",
        "content_hash": "text",
        "is_deleted": "bool",
        "loaded_at": "timestamp",
    },
    has_deletes=True,
    free_text=frozenset({"custom_data"}),
)

TRANSCRIPTS = Table(
    name="transcripts",
    key=("call_id",),
    columns={
        "call_id": "text",
        "started": "timestamp",
        "transcript": "json",
        "content_hash": "text",
        "loaded_at": "timestamp",
    },
)

USERS = Table(
    name="users",
    key=("id",),
    has_history=True,
    columns={
        "id": "text",
        "email_address": "text",
        "created": "timestamp",
        "active": "bool",
        "email_aliases": "json",
        "trusted_email_address": "text",
        "first_name": "text",
        "last_name": "text",
        "title": "text",
        "phone_number": "text",
        "extension": "text",
        "personal_meeting_urls": "json",
        "settings": "json",
        "manager_id": "text",
        "meeting_consent_page_url": "text",
        "conferencing_providers": "json",
        "spoken_languages": "json",
        "content_hash": "text",
        "loaded_at": "timestamp",
    },
)

WORKSPACES = Table(
    name="workspaces",
    key=("id",),
    has_deletes=True,
    columns={
        "id": "text",
        "name": "text",
        "description": "text",
        "content_hash": "text",
        "is_deleted": "bool",
        "loaded_at": "timestamp",
    },
)

TRACKERS = Table(
    name="trackers",
    key=("tracker_id",),
    has_deletes=True,
    columns={
        "tracker_id": "text",
        "tracker_name": "text",
        "workspace_id": "text",
        "language_keywords": "json",
        "affiliation": "text",
        "part_of_question": "bool",
        "said_at": "text",
        "said_at_interval": "text",
        "said_at_unit": "text",
        "said_in_topics": "json",
        "filter_query": "text",
        "created": "timestamp",
        "creator_user_id": "text",
        "updated": "timestamp",
        "updater_user_id": "text",
        "content_hash": "text",
        "is_deleted": "bool",
        "loaded_at": "timestamp",
    },
    free_text=frozenset({"filter_query", "said_at_interval"}),
)

SCORECARDS = Table(
    name="scorecards",
    key=("scorecard_id",),
    has_deletes=True,
    columns={
        "scorecard_id": "text",
        "scorecard_name": "text",
        "workspace_id": "text",
        "enabled": "bool",
        "review_method": "text",
        "updater_user_id": "text",
        "created": "timestamp",
        "updated": "timestamp",
        "questions": "json",
        "content_hash": "text",
        "is_deleted": "bool",
        "loaded_at": "timestamp",
    },
    # the specification has numbers where live answers have text
    free_text=frozenset({"scorecard_id", "workspace_id", "updater_user_id"}),
)

ANSWERED_SCORECARDS = Table(
    name="answered_scorecards",
    key=("answered_scorecard_id",),
    columns={
        "answered_scorecard_id": "text",
        "scorecard_id": "text",
        "scorecard_name": "text",
        "call_id": "text",
        "call_start_time": "timestamp",
        "reviewed_user_id": "text",
        "reviewer_user_id": "text",
        "review_time": "timestamp",
        "visibility_type": "text",
        "answers": "json",
        "content_hash": "text",
        "loaded_at": "timestamp",
    },
    free_text=frozenset({"answered_scorecard_id", "scorecard_id", "call_id", "reviewed_user_id", "reviewer_user_id"}),
)

INTERACTION_STATS = Table(
    name="interaction_stats",
    key=("user_id", "day"),
    columns={
        "user_id": "text",
        "day": "date",
        "user_email_address": "text",
        "person_interaction_stats": "json",
        "content_hash": "text",
        "loaded_at": "timestamp",
    },
)

LIBRARY_FOLDERS = Table(
    name="library_folders",
    key=("id",),
    has_deletes=True,
    columns={
        "id": "text",
        "name": "text",
        "parent_folder_id": "text",
        "created_by": "text",
        "updated": "timestamp",
        "workspace_id": "text",
        "calls": "json",
        "content_hash": "text",
        "is_deleted": "bool",
        "loaded_at": "timestamp",
    },
)

TABLES = (
    WORKSPACES,
    USERS,
    CALLS,
    TRANSCRIPTS,
    TRACKERS,
    SCORECARDS,
    ANSWERED_SCORECARDS,
    INTERACTION_STATS,
    LIBRARY_FOLDERS,
)

# what `POST /v2/calls/extensive` is asked for. `media` stays out: its signed URLs change on every request, so every
# row would look changed. `pointsOfInterest` was removed from the API in January 2025.
CONTENT_SELECTOR: Mapping[str, Any] = {
    "context": "Extended",
    "contextTiming": ["Now", "TimeOfCall"],
    "exposedFields": {
        "parties": True,
        "content": {
            "structure": True,
            "topics": True,
            "trackers": True,
            "trackerOccurrences": True,
            "brief": True,
            "outline": True,
            "highlights": True,
            "callOutcome": True,
            "keyPoints": True,
        },
        "interaction": {"speakers": True, "video": True, "personInteractionStats": True, "questions": True},
        "collaboration": {"publicComments": True},
    },
}


def call_row(item: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """One row of `calls` from an item of `/v2/calls/extensive`."""
    meta = dict(item["metaData"])
    if isinstance(meta.get("meetingUrl"), str):
        meta["meetingUrl"] = without_query(meta["meetingUrl"])
    blocks = {name: block for name, block in item.items() if name not in ("metaData", "media")}
    content_hash = answers.content_hash({"metaData": meta, **blocks}, row_version=ROW_VERSION)
    row = {column_name(name): value for name, value in meta.items()}
    row.update({column_name(name): block for name, block in blocks.items()})
    return {**row, "content_hash": content_hash, "is_deleted": False, "loaded_at": now}


def transcript_row(item: Mapping[str, Any], *, started: datetime | None, now: datetime) -> dict[str, Any]:
    """One row of `transcripts`; Gong gives a transcript no time, so it is stamped from its call."""
    stamp = started.astimezone(UTC).isoformat() if started else None
    content = {"started": stamp, "transcript": item["transcript"]}
    return {
        "call_id": item["callId"],
        "started": started,
        "transcript": item["transcript"],
        "content_hash": answers.content_hash(content, row_version=ROW_VERSION),
        "loaded_at": now,
    }


def plain_row(table: Table, item: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """A row with a column per field, for streams that need no more than that."""
    cleaned = dict(item)
    urls = cleaned.get("personalMeetingUrls")
    if isinstance(urls, list):
        cleaned["personalMeetingUrls"] = [without_query(url) if isinstance(url, str) else url for url in urls]
    row = {column_name(name): value for name, value in cleaned.items()}
    if table.has_deletes:
        row["is_deleted"] = False
    return {**row, "content_hash": answers.content_hash(cleaned, row_version=ROW_VERSION), "loaded_at": now}


def without_query(url: str) -> str:
    """The URL without query and fragment, where meeting links keep their passwords."""
    try:
        return urlunsplit(urlsplit(url)._replace(query="", fragment=""))
    except ValueError:
        return url.partition("?")[0].partition("#")[0]


def crm_object_ids(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(object type, id) of every CRM object that the call's context names."""
    for system in item.get("context") or []:
        for crm_object in (system or {}).get("objects") or []:
            if isinstance(crm_object, dict) and crm_object.get("objectId") is not None:
                yield str(crm_object.get("objectType")), str(crm_object["objectId"])
