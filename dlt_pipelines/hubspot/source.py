"""Load HubSpot's deals, companies and contacts into `raw_hubspot`, and link them to the calls of `raw_gong`.

The first load and `full` read every object and mark what is gone; `incremental` searches for what changed since.
HubSpot does not always count a new association as a change, so run `full` now and then (the weekly job does).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from dlt_pipelines import answers, destination
from dlt_pipelines.bookkeeping import subject_sha256
from dlt_pipelines.destination import ColumnType, Table
from dlt_pipelines.errors import QuotaExhaustedError, TypeFlipError, UnreachableError
from dlt_pipelines.hubspot.client import HubSpotClient
from dlt_pipelines.hubspot.settings import HubSpotSettings
from dlt_pipelines.quota import Quota
from dlt_pipelines.report import LoadReport
from dlt_pipelines.session import Session

logger = logging.getLogger(__name__)

DATASET = "raw_hubspot"
ROW_VERSION = "1"
Mode = Literal["incremental", "full"]


@dataclass(frozen=True)
class ObjectKind:
    """One kind of CRM object: which properties are read, and what it is associated with."""

    name: str
    properties: tuple[str, ...]
    modified_property: str
    targets: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        targets: dict[str, ColumnType] = {f"{target}_ids": "json" for target in map(_singular, self.targets)}
        firsts: dict[str, ColumnType] = {"company_id": "text"} if "companies" in self.targets else {}
        return Table(
            name=self.name,
            key=("id",),
            has_deletes=True,
            columns={
                "id": "text",
                "created_at": "timestamp",
                "updated_at": "timestamp",
                "properties": "json",
                **firsts,
                **targets,
                "content_hash": "text",
                "is_deleted": "bool",
                "loaded_at": "timestamp",
            },
        )


KINDS = (
    ObjectKind(
        "companies",
        ("name", "domain", "industry", "numberofemployees", "annualrevenue", "hubspot_owner_id"),
        "hs_lastmodifieddate",
    ),
    ObjectKind(
        "contacts",
        ("email", "firstname", "lastname", "jobtitle", "company", "hubspot_owner_id"),
        "lastmodifieddate",
        ("companies",),
    ),
    ObjectKind(
        "deals",
        (
            "dealname",
            "dealstage",
            "pipeline",
            "amount",
            "deal_currency_code",
            "closedate",
            "hs_is_closed",
            "hs_is_closed_won",
            "hubspot_owner_id",
        ),
        "hs_lastmodifieddate",
        ("companies", "contacts"),
    ),
)
STREAMS = tuple(kind.name for kind in KINDS)

# a CRM id that the call itself names counts; only where it names none of a kind do its participants' addresses
CALL_LINKS = """
    with named as (
        select
            calls.id as call_id,
            case
                when crm ->> 'objectType' in ('Account', 'Company') then 'company'
                when crm ->> 'objectType' in ('Opportunity', 'Deal') then 'deal'
                else 'contact'
            end as object_type,
            crm ->> 'objectId' as object_id
        from raw_gong.calls
        cross join lateral (
            select jsonb_path_query(calls.context, 'lax $[*].objects[*]')
            union all
            select jsonb_path_query(calls.parties, 'lax $[*].context[*].objects[*]')
        ) as found (crm)
        where not calls.is_deleted and crm ->> 'objectType' in
            ('Account', 'Company', 'Opportunity', 'Deal', 'Contact')
    ),

    from_context as (
        select named.call_id, named.object_type, named.object_id
        from named
        where
            (named.object_type = 'company' and named.object_id in (select id from raw_hubspot.companies))
            or (named.object_type = 'deal' and named.object_id in (select id from raw_hubspot.deals))
            or (named.object_type = 'contact' and named.object_id in (select id from raw_hubspot.contacts))
    ),

    guests as (
        select distinct calls.id as call_id, contacts.id as contact_id, contacts.company_id
        from raw_gong.calls
        cross join lateral jsonb_path_query(calls.parties, 'lax $[*]') as party
        inner join raw_hubspot.contacts
            on lower(contacts.properties ->> 'email') = lower(party ->> 'emailAddress')
        where not calls.is_deleted and not contacts.is_deleted and party ->> 'affiliation' is distinct from 'Internal'
    ),

    from_email as (
        select guests.call_id, 'contact' as object_type, guests.contact_id as object_id from guests
        union
        select guests.call_id, 'company', guests.company_id from guests where guests.company_id is not null
        union
        select guests.call_id, 'deal', deals.id
        from guests
        inner join raw_hubspot.deals on deals.contact_ids ? guests.contact_id
        where not deals.is_deleted
    ),

    wanted as (
        select call_id, object_type, object_id, 'context' as matched_by from from_context
        union
        select from_email.call_id, from_email.object_type, from_email.object_id, 'email'
        from from_email
        where not exists (
            select from from_context
            where from_context.call_id = from_email.call_id and from_context.object_type = from_email.object_type
        )
    ),

    removed as (
        delete from raw_hubspot.call_links as links
        where not exists (
            select from wanted
            where (wanted.call_id, wanted.object_type, wanted.object_id, wanted.matched_by)
                = (links.call_id, links.object_type, links.object_id, links.matched_by)
        )
        returning call_id
    )

    insert into raw_hubspot.call_links (call_id, object_type, object_id, matched_by)
    select call_id, object_type, object_id, matched_by from wanted
    where not exists (
        select from raw_hubspot.call_links as links
        where (wanted.call_id, wanted.object_type, wanted.object_id, wanted.matched_by)
            = (links.call_id, links.object_type, links.object_id, links.matched_by)
    )
"""


def load(
    *,
    database_url: str,
    settings: HubSpotSettings,
    streams: Sequence[str] | None = None,
    mode: Mode = "incremental",
    on_progress: Callable[[str], None] = logger.info,
) -> LoadReport:
    """Load HubSpot into the database and link its objects to calls.

    Args:
        database_url: where to; tables are created as needed.
        settings: the account's token and the loader's limits.
        streams: which of `STREAMS`; all by default.
        mode: `incremental` reads what changed, `full` everything; a stream's first load is always full.
        on_progress: gets a line now and then.

    Raises:
        ApiError: when nothing at all can be loaded (token refused, another load holds the lock).
    """
    wanted = tuple(streams) if streams is not None else STREAMS
    if unknown := set(wanted) - set(STREAMS):
        raise ValueError(f"unknown streams {sorted(unknown)}; choose from {', '.join(STREAMS)}")
    with (
        destination.connect(database_url) as connection,
        destination.exclusive(connection, f"{DATASET} load", settings.lock_wait_s, on_progress),
        destination.scratch_folder("hubspot") as folder,
    ):
        session = Session(
            connection=connection,
            database_url=database_url,
            dataset=DATASET,
            source="hubspot",
            tables=[kind.table for kind in KINDS],
            folder=folder,
            on_progress=on_progress,
        )
        quota = Quota(
            connection,
            schema=DATASET,
            api=f"hubspot {settings.base_url}",
            per_second=settings.requests_per_second,
            per_day=settings.daily_requests,
            setting="HUBSPOT_DAILY_REQUESTS",
        )
        with HubSpotClient(settings, quota) as client:
            try:
                for kind in KINDS:
                    if kind.name in wanted:
                        session.guarded(kind.name, _work(session, client, settings, kind, mode))
            except (QuotaExhaustedError, UnreachableError) as error:
                session.is_partial = True
                session.problem("load", mode, f"stopped early: {error}", "The next run resumes where this one stopped")
            session.commit()
            _link_calls(session)
            return session.report(wanted, requests=client.requests)


def _work(
    session: Session, client: HubSpotClient, settings: HubSpotSettings, kind: ObjectKind, mode: Mode
) -> Callable[[], None]:
    return lambda: _load_kind(session, client, settings, kind, mode)


def _load_kind(
    session: Session, client: HubSpotClient, settings: HubSpotSettings, kind: ObjectKind, mode: Mode
) -> None:
    done_until = session.books.done_until(kind.name)
    table = kind.table
    erased = session.books.tombstones("account")
    known = session.stored_hashes(table)
    seen: dict[str, str] = {}
    is_full = mode == "full" or done_until is None
    for results in _pages(client, settings, kind, None if is_full else done_until):
        rows: dict[str, dict[str, Any]] = {}
        for item in results:
            if not isinstance(item, dict) or item.get("id") is None:
                session.dead_letter(kind.name, item, "the object has no id")
                continue
            if not isinstance(item.get("properties"), dict):
                raise TypeFlipError(
                    f"{kind.name} {item['id']}: properties is a {type(item.get('properties')).__name__}, "
                    "not an object. The stream stops here; nothing that was loaded changes"
                )
            rows[str(item["id"])] = _row(item, now=session.now)
        session.read[kind.name] += len(rows)
        for target in kind.targets:
            found = client.associations(kind.name, target, list(rows))
            for object_id, row in rows.items():
                row[f"{_singular(target)}_ids"] = sorted(found.get(object_id, []))
                if target == "companies":
                    row["company_id"] = next(iter(found.get(object_id, [])), None)
        for object_id, row in rows.items():
            account_id = object_id if kind.name == "companies" else row.get("company_id")
            if account_id is not None and subject_sha256(account_id) in erased:
                continue
            row["content_hash"] = answers.content_hash(
                {name: row[name] for name in sorted(row) if name not in ("loaded_at", "updated_at", "created_at")},
                row_version=ROW_VERSION,
            )
            if seen.get(object_id, known.get(object_id)) != row["content_hash"]:
                if object_id in seen:
                    session.commit()
                session.write(table, row)
            seen[object_id] = row["content_hash"]
        session.on_progress(f"{kind.name}: {len(seen)} read")
    if is_full:
        _mark_gone(session, table, sorted(known.keys() - seen.keys()), n_known=len(known), n_seen=len(seen))
    session.after_commit(_keeper(session, kind.name))


def _pages(
    client: HubSpotClient, settings: HubSpotSettings, kind: ObjectKind, since: datetime | None
) -> Iterator[list[dict[str, Any]]]:
    if since is None:
        return client.all_objects(kind.name, kind.properties)
    since_ms = int((since - timedelta(minutes=settings.overlap_minutes)).timestamp() * 1000)
    return client.modified_since(
        kind.name, kind.properties, modified_property=kind.modified_property, since_ms=since_ms
    )


def _row(item: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    # when something was last touched is no content: a search answers with it, a list may not
    volatile = {"hs_lastmodifieddate", "lastmodifieddate", "hs_object_id", "createdate"}
    properties = {name: value for name, value in item["properties"].items() if name not in volatile}
    return {
        "id": str(item["id"]),
        "created_at": item.get("createdAt"),
        "updated_at": item.get("updatedAt"),
        "properties": properties,
        "is_deleted": False,
        "loaded_at": now,
    }


def _mark_gone(session: Session, table: Table, gone: list[str], *, n_known: int, n_seen: int) -> None:
    if not gone:
        return
    if n_seen == 0:
        session.is_partial = True
        session.problem(
            table.name,
            "full load",
            f"HubSpot delivered none of {n_known} known objects, so nothing was marked as deleted",
            "Check the token's scopes and account",
        )
        return
    session.written[table.name] += len(gone)
    session.after_commit(lambda: destination.mark_gone(session.connection, dataset=DATASET, table=table, keys=gone))


def _keeper(session: Session, kind: str) -> Callable[[], None]:
    return lambda: session.books.set_done_until(kind, session.now)


def _link_calls(session: Session) -> None:
    """Bring `call_links` in line with what is known now; only differences are written."""
    session.connection.execute(
        "create table if not exists raw_hubspot.call_links (call_id text, object_type text, object_id text, "
        "matched_by text not null, primary key (call_id, object_type, object_id))"
    )
    row = session.connection.execute("select to_regclass('raw_gong.calls')").fetchone()
    if row and row[0]:
        session.connection.execute(CALL_LINKS)


def _singular(target: str) -> str:
    return {"companies": "company", "contacts": "contact", "deals": "deal"}[target]
