"""Bring conversations in without an API: Gong-shaped JSON, WebVTT, SRT, `Speaker: text`, into the same raw tables.

A transcript file needs a sidecar of the same name (`acme.vtt` + `acme.yaml`) that says who the rep is and when it was:

    rep: Dana Reed                  # as in the transcript
    started: 2026-11-03T15:00:00Z
    title: Discovery with Acme      # optional, like everything below
    rep_email: dana@seller.example
    rep_title: Account Executive
    team: [Lee Park]                # other speakers on the rep's side
    account: Acme

Importing a file again changes its call; importing it unchanged writes nothing.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from dlt_pipelines import answers, destination
from dlt_pipelines.destination import Table
from dlt_pipelines.gong import tables
from dlt_pipelines.gong.simulator.tenant import Tenant, TenantError
from dlt_pipelines.gong.source import DATASET
from dlt_pipelines.report import LoadReport
from dlt_pipelines.session import Session
from dlt_pipelines.transcript_files import (
    UNKNOWN,
    UnreadableTranscriptError,
    Utterance,
    monologues,
    read_cues,
    read_lines,
)

logger = logging.getLogger(__name__)

READERS: Mapping[str, Callable[[str], list[Utterance]]] = {
    ".vtt": read_cues,
    ".srt": read_cues,
    ".txt": read_lines,
}
SIDECARS = (".yaml", ".yml", ".json")
STREAMS = ("users", "calls", "transcripts")
LOCK_WAIT_S = 900.0


class ImportFailedError(Exception):
    """Nothing could be imported; the text says from where and why."""


class Sidecar(BaseModel):
    """What a transcript file does not say about its call."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rep: str
    started: datetime
    title: str | None = None
    rep_email: str | None = None
    rep_title: str = "Account Executive"
    team: tuple[str, ...] = ()
    account: str | None = None
    language: str = "eng"

    @field_validator("started")
    @classmethod
    def _aware(cls, value: datetime) -> datetime:
        return value if value.tzinfo else value.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Conversation:
    """One call in Gong's shape."""

    users: Sequence[Mapping[str, Any]]
    calls: Sequence[Mapping[str, Any]]
    transcripts: Sequence[Mapping[str, Any]]
    path: Path


def import_path(*, database_url: str, path: Path, on_progress: Callable[[str], None] = logger.info) -> LoadReport:
    """Import a folder of Gong-shaped JSON, a folder of transcript files, or one transcript file.

    Args:
        database_url: where to.
        path: the folder or file.
        on_progress: gets a line now and then.

    Raises:
        ImportFailedError: there is nothing at `path` that can be imported at all.
    """
    if not path.exists():
        raise ImportFailedError(f"{path} does not exist")
    with (
        destination.connect(database_url) as connection,
        destination.exclusive(connection, f"{DATASET} load", LOCK_WAIT_S, on_progress),
        destination.scratch_folder("import") as folder,
    ):
        session = Session(
            connection=connection,
            database_url=database_url,
            dataset=DATASET,
            source="import",
            tables=tables.TABLES,
            folder=folder,
            on_progress=on_progress,
        )
        _write(session, _conversations(session, path))
        session.commit()
        return session.report(STREAMS, requests={})


def _conversations(session: Session, path: Path) -> list[Conversation]:
    if path.is_dir() and (path / "calls.json").is_file():
        return [_gong_folder(path)]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in READERS) if path.is_dir() else [path]
    if not files:
        raise ImportFailedError(
            f"{path} holds neither calls.json nor a {', '.join(READERS)} file. "
            "Give a folder of Gong-shaped JSON, a transcript file, or a folder of transcript files"
        )
    conversations = []
    for file in files:
        try:
            conversations.append(_transcript_file(session, file))
        except ImportFailedError as error:
            if file == path:
                raise
            session.is_partial = True
            session.problem("calls", file.name, str(error), "The other files were imported")
    return conversations


def _gong_folder(path: Path) -> Conversation:
    try:
        tenant = Tenant.from_folder(path)
    except TenantError as error:
        raise ImportFailedError(str(error)) from error
    return Conversation(
        users=tenant.users, calls=tenant.calls, transcripts=list(tenant.transcripts.values()), path=path
    )


def _transcript_file(session: Session, path: Path) -> Conversation:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ImportFailedError(f"{path} is not a {', '.join(READERS)} file")
    sidecar = _sidecar(path)
    try:
        utterances = reader(answers.clean(path.read_text(encoding="utf-8-sig")))
    except UnicodeDecodeError as error:
        raise ImportFailedError(f"{path} is not UTF-8 text: {error}. Save it as UTF-8") from error
    except UnreadableTranscriptError as error:
        raise ImportFailedError(f"{path} cannot be read as {path.suffix}: {error}") from error
    return _in_gongs_shape(session, path, sidecar, utterances)


def _sidecar(path: Path) -> Sidecar:
    found = next((path.with_suffix(suffix) for suffix in SIDECARS if path.with_suffix(suffix).is_file()), None)
    example = f"{path.with_suffix('.yaml').name} with `rep: <name as in the transcript>` and `started: <date and time>`"
    if found is None:
        raise ImportFailedError(f"{path} has no sidecar. Put {example} beside it")
    try:
        given = yaml.safe_load(found.read_text(encoding="utf-8-sig"))
        return Sidecar.model_validate(given)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ImportFailedError(f"{found} is not YAML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors())
        raise ImportFailedError(f"{found} is not a sidecar ({wrong}). It needs {example}") from error


def _in_gongs_shape(session: Session, path: Path, sidecar: Sidecar, utterances: list[Utterance]) -> Conversation:
    speakers = list(dict.fromkeys(utterance.speaker for utterance in utterances))
    if sidecar.rep not in speakers:
        raise ImportFailedError(
            f"{path}: the rep {sidecar.rep!r} says nothing in it. Its speakers are {', '.join(map(repr, speakers))}"
        )
    # the file's name and the time are the identity: a corrected transcript replaces the call it corrects
    call_id = _id("call", path.stem, sidecar.started.astimezone(UTC).isoformat())
    rep_id, users = _rep(session, sidecar)
    speaker_ids = {speaker: _id("speaker", call_id, speaker) for speaker in speakers}
    talk_ms = {
        speaker: sum((said.end or 0) - (said.start or 0) for said in utterances if said.speaker == speaker)
        for speaker in speakers
    }
    parties = []
    for speaker in speakers:
        is_rep = speaker == sidecar.rep
        affiliation = "Internal" if is_rep or speaker in sidecar.team else "External"
        party = {
            "id": _id("party", call_id, speaker),
            "name": speaker,
            "speakerId": speaker_ids[speaker],
            "affiliation": "Unknown" if speaker == UNKNOWN else affiliation,
            "methods": ["Attendee"],
            "context": [],
        }
        if is_rep:
            party |= {"userId": rep_id, "title": sidecar.rep_title}
            party |= {"emailAddress": sidecar.rep_email} if sidecar.rep_email else {}
        parties.append(party)
    account = {"objectType": "Account", "objectId": _id("account", sidecar.account or ""), "timing": "Now"}
    call = {
        "metaData": {
            "id": call_id,
            "url": None,
            "title": sidecar.title or path.stem,
            "scheduled": sidecar.started.isoformat(),
            "started": sidecar.started.isoformat(),
            "duration": round(max(said.end or said.start or 0 for said in utterances) / 1000),
            "primaryUserId": rep_id,
            "direction": "Conference",
            "system": "Import",
            "scope": "External",
            "media": "Audio",
            "language": sidecar.language,
            "workspaceId": None,
            "isPrivate": False,
        },
        "context": [
            {"system": "Generic", "objects": [{**account, "fields": [{"name": "Name", "value": sidecar.account}]}]}
        ]
        if sidecar.account
        else [],
        "parties": parties,
        "content": {},
        "interaction": {
            "speakers": [
                {"id": party["id"], "userId": party.get("userId"), "talkTime": talk_ms[str(party["name"])] / 1000}
                for party in parties
            ]
        },
        "collaboration": {},
    }
    transcript = {"callId": call_id, "transcript": monologues(utterances, speaker_ids)}
    return Conversation(users=users, calls=[call], transcripts=[transcript], path=path)


def _rep(session: Session, sidecar: Sidecar) -> tuple[str, list[dict[str, Any]]]:
    """The rep's user id, and the user to write when nobody known has the rep's e-mail address."""
    if sidecar.rep_email:
        row = session.connection.execute(
            "select id from raw_gong.users where lower(email_address) = lower(%s) and _dlt_valid_to is null "
            "and id not in (select key from raw_gong._imports where kind = 'user') limit 1",
            [sidecar.rep_email],
        ).fetchone()
        if row:
            return row[0], []
    user_id = _id("user", (sidecar.rep_email or sidecar.rep).lower())
    first, _, last = sidecar.rep.partition(" ")
    user = {
        "id": user_id,
        "emailAddress": sidecar.rep_email,
        "active": True,
        "firstName": first,
        "lastName": last or None,
        "title": sidecar.rep_title,
        "managerId": None,
    }
    return user_id, [user]


def _write(session: Session, conversations: Sequence[Conversation]) -> None:
    now = session.now
    users: dict[str, dict[str, Any]] = {}
    calls: dict[str, dict[str, Any]] = {}
    transcripts: dict[str, dict[str, Any]] = {}
    starts: dict[str, datetime | None] = {}
    sources: dict[tuple[str, str], str] = {}
    for conversation in conversations:
        name = conversation.path.name
        for user in conversation.users:
            if isinstance(user.get("id"), str):
                users[user["id"]] = tables.plain_row(tables.USERS, user, now=now)
                sources["user", user["id"]] = name
            else:
                session.dead_letter("users", user, "the user has no id of type text")
        for call in conversation.calls:
            meta = call.get("metaData")
            call_id = meta.get("id") if isinstance(meta, dict) else None
            if not isinstance(meta, dict) or not isinstance(call_id, str):
                session.dead_letter("calls", call, "the call has no metaData.id of type text")
            elif call_id in calls:
                other = sources["call", call_id]
                session.problem("calls", call_id, f"{name} holds the same call as {other}", f"{name} was left out")
            else:
                starts[call_id] = answers.moment(meta.get("started"))
                calls[call_id] = tables.call_row(call, now=now)
                sources["call", call_id] = name
        for item in conversation.transcripts:
            call_id = item["callId"]
            if call_id not in starts:
                session.dead_letter("transcripts", item, "its call is unknown", key=call_id)
            elif not isinstance(item.get("transcript"), list):
                session.dead_letter("transcripts", item, "its transcript is not a list", key=call_id)
            elif sources["call", call_id] == name:
                transcripts[call_id] = tables.transcript_row(item, started=starts[call_id], now=now)
    for call_id in calls.keys() - transcripts.keys():
        session.problem("transcripts", call_id, "the call has no transcript", "Add it to the folder and import again")
    for table, rows in ((tables.USERS, users), (tables.CALLS, calls), (tables.TRANSCRIPTS, transcripts)):
        _write_changed(session, table, rows, starts)
    for (kind, key), name in sources.items():
        session.after_commit(_note(session, kind, key, name))


def _write_changed(
    session: Session, table: Table, rows: Mapping[str, Mapping[str, Any]], starts: Mapping[str, datetime | None]
) -> None:
    stored = session.stored_hashes(table, list(rows))
    session.read[table.name] += len(rows)
    for key, row in rows.items():
        if stored.get(key) != row["content_hash"]:
            session.write(table, row, started=starts.get(key))


def _note(session: Session, kind: str, key: str, name: str) -> Callable[[], None]:
    return lambda: session.books.imported(kind, key, name)


def _id(*parts: str) -> str:
    """A stable id in the form of Gong's: digits, as text."""
    return str(int(hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:15], 16)).rjust(19, "9")
