"""Streams that Gong delivers whole: users, workspaces, trackers, scorecards, library folders.

A short or empty answer never retires anything: what was known stays until a complete list says otherwise.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dlt_pipelines import answers, destination
from dlt_pipelines.bookkeeping import subject_sha256
from dlt_pipelines.destination import Table, column_name
from dlt_pipelines.errors import TypeFlipError
from dlt_pipelines.gong import tables
from dlt_pipelines.gong.client import GongClient, Page
from dlt_pipelines.session import Session


@dataclass(frozen=True)
class Snapshot:
    """A list endpoint and the table that mirrors it."""

    table: Table
    path: str
    items_key: str
    key_field: str
    is_per_workspace: bool = False


SNAPSHOTS = (
    Snapshot(tables.WORKSPACES, "/v2/workspaces", "workspaces", "id"),
    Snapshot(tables.USERS, "/v2/users", "users", "id"),
    Snapshot(tables.TRACKERS, "/v2/settings/trackers", "keywordTrackers", "trackerId"),
    Snapshot(tables.SCORECARDS, "/v2/settings/scorecards", "scorecards", "scorecardId"),
    # a company with several workspaces gets 400 without one
    Snapshot(tables.LIBRARY_FOLDERS, "/v2/library/folders", "folders", "id", is_per_workspace=True),
)


def load_snapshot(session: Session, client: GongClient, snapshot: Snapshot) -> None:
    """Write what changed since the last snapshot, and end or mark what is gone."""
    table, stream = snapshot.table, snapshot.table.name
    rows, n_announced = _read(session, client, snapshot)
    imported: frozenset[str] = frozenset()
    if table is tables.USERS:
        session.books.forget_imports("user", list(rows))
        imported = session.books.imported_users()
    stored = {key: value for key, value in session.stored_hashes(table).items() if key not in imported}
    n_received = session.read[stream]
    is_short = n_announced is not None and n_received < n_announced
    if is_short or (not rows and stored):
        session.is_partial = True
        session.problem(
            stream,
            "snapshot",
            f"Gong delivered {n_received} of {n_announced if n_announced is not None else len(stored)}; "
            "an incomplete list would retire the others, so the known ones stay as they are",
            "Run again; if it stays like this, check what the key may see",
        )
        return
    fresh = {key: row["content_hash"] for key, row in rows.items()}
    if fresh == stored:
        return
    changed = [key for key, content_hash in fresh.items() if stored.get(key) != content_hash]
    gone = sorted(stored.keys() - fresh.keys())
    for key in changed:
        session.write(table, rows[key])
    if gone:
        session.after_commit(_marker(session, table, gone))
        session.written[stream] += len(gone)
    session.on_progress(f"{stream}: {len(rows)} known, {len(changed)} new or changed, {len(gone)} gone")


def _read(session: Session, client: GongClient, snapshot: Snapshot) -> tuple[dict[str, dict[str, Any]], int | None]:
    """Rows by key, and how many items Gong announced, where it says so."""
    stream = snapshot.table.name
    erased = session.books.tombstones("rep") if snapshot.table is tables.USERS else frozenset()
    contents = _FolderContents(session, client) if snapshot.table is tables.LIBRARY_FOLDERS else None
    rows: dict[str, dict[str, Any]] = {}
    announced: int | None = None
    workspaces: list[str | None] = [*_workspace_ids(client, stream)] if snapshot.is_per_workspace else [None]
    for workspace_id in workspaces:
        total: int | None = None
        for page in _pages(client, snapshot, workspace_id):
            total = page.total_records if page.total_records is not None else total
            for item in page.items:
                key = item.get(snapshot.key_field) if isinstance(item, dict) else None
                if key is None:
                    session.dead_letter(stream, item, f"the item has no {snapshot.key_field}")
                    continue
                if not isinstance(key, str) and column_name(snapshot.key_field) not in snapshot.table.free_text:
                    raise TypeFlipError(
                        f"{stream} {key}: {snapshot.key_field} is a {type(key).__name__}, not text. "
                        "The stream stops here; nothing that was loaded changes"
                    )
                session.read[stream] += 1
                key = key if isinstance(key, str) else answers.dump(key)
                if subject_sha256(key) in erased:
                    continue
                stamp: dict[str, Any] = {"workspaceId": workspace_id} if workspace_id else {}
                if contents is not None:
                    stamp["calls"] = contents.of(key, item.get("updated"))
                rows[key] = tables.plain_row(snapshot.table, {**stamp, **item}, now=session.now)
        if total is not None:
            announced = (announced or 0) + total
    return rows, announced


class _FolderContents:
    """The calls in library folders: a request each, so once a day and whenever a folder says that it changed."""

    def __init__(self, session: Session, client: GongClient) -> None:
        self._client = client
        today = session.now.date()
        self._is_due = today not in session.books.days_read("library_folders")
        rows = session.connection.execute(
            "select id, updated, calls from raw_gong.library_folders where not is_deleted and calls is not null"
        ).fetchall()
        self._known: dict[str, tuple[datetime | None, Any]] = {key: (updated, calls) for key, updated, calls in rows}
        session.after_commit(lambda: session.books.set_day_read("library_folders", today, session.now))

    def of(self, folder_id: str, updated: Any) -> Any:
        known_updated, calls = self._known.get(folder_id, (None, None))
        if calls is not None and not self._is_due and known_updated == answers.moment(updated):
            return calls
        answer = self._client.send(
            "GET",
            "/v2/library/folder-content",
            stream="library_folders",
            where=f"folder {folder_id}",
            params={"folderId": folder_id},
        )
        return answer.get("calls") or []


def _pages(client: GongClient, snapshot: Snapshot, workspace_id: str | None) -> Iterator[Page]:
    params: Mapping[str, str] = {"workspaceId": workspace_id} if workspace_id else {}
    where = f"workspace {workspace_id}" if workspace_id else ""
    return client.pages(
        "GET", snapshot.path, stream=snapshot.table.name, items_key=snapshot.items_key, where=where, params=params
    )


def _workspace_ids(client: GongClient, stream: str) -> list[str]:
    pages = client.pages("GET", "/v2/workspaces", stream=stream, items_key="workspaces", where="workspaces")
    return [item["id"] for page in pages for item in page.items if isinstance(item.get("id"), str)]


def _marker(session: Session, table: Table, keys: list[str]) -> Callable[[], None]:
    return lambda: destination.mark_gone(session.connection, dataset=session.dataset, table=table, keys=keys)
