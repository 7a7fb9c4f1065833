import functools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from dlt_pipelines.bookkeeping import subject_sha256
from dlt_pipelines.errors import KeyRejectedError
from dlt_pipelines.hubspot.settings import HubSpotSettings
from dlt_pipelines.hubspot.simulator.server import Account, RefusalError, Simulator
from dlt_pipelines.hubspot.source import load
from dlt_pipelines.report import LoadReport

Load = Callable[..., LoadReport]
Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def account() -> Account:
    account = Account()
    account.put("companies", "11", name="Acme", domain="acme.example")
    account.put("contacts", "21", email="Lee@Acme.example", firstname="Lee")
    account.put("deals", "31", dealname="Acme pilot", amount="4166.67", dealstage="closedwon", hs_is_closed="true")
    account.put("deals", "32", dealname="Acme renewal", amount=None)
    account.associate("deals", "31", "companies", "11")
    account.associate("deals", "31", "contacts", "21")
    account.associate("contacts", "21", "companies", "11")
    return account


@pytest.fixture
def simulator(account: Account) -> Simulator:
    return Simulator(account)


@pytest.fixture
def settings(simulator: Simulator) -> Iterator[HubSpotSettings]:
    with simulator.serve() as url:
        yield HubSpotSettings(access_token="t", base_url=url, requests_per_second=1000, _env_file=None)


@pytest.fixture
def load_hubspot(database_url: str, settings: HubSpotSettings) -> Load:
    return functools.partial(load, database_url=database_url, settings=settings)


@pytest.fixture
def rows(database_url: str) -> Rows:
    def fetch(query: str, parameters: Any = None) -> list[dict[str, Any]]:
        with psycopg.connect(database_url, row_factory=dict_row) as connection:
            return connection.execute(query, parameters).fetchall()

    return fetch


def execute(database_url: str, statement: str, parameters: Any = None) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statement, parameters)


def test_deals_companies_and_contacts_arrive_with_their_associations(load_hubspot: Load, rows: Rows) -> None:
    report = load_hubspot()
    assert report.problems == ()
    assert {name: stream.rows_written for name, stream in report.streams.items()} == {
        "companies": 1,
        "contacts": 1,
        "deals": 2,
    }
    deal = rows("select * from raw_hubspot.deals order by id")[0]
    assert (deal["company_id"], deal["company_ids"], deal["contact_ids"]) == ("11", ["11"], ["21"])
    assert deal["properties"]["amount"] == "4166.67"
    assert deal["is_deleted"] is False
    assert rows("select company_id, company_ids from raw_hubspot.deals where id = '32'") == [
        {"company_id": None, "company_ids": []}
    ]


def test_a_second_load_writes_nothing_and_a_change_writes_one_row(
    load_hubspot: Load, rows: Rows, account: Account
) -> None:
    load_hubspot()
    assert load_hubspot().rows_written == 0
    assert load_hubspot(mode="full").rows_written == 0
    account.put("deals", "32", amount="100")
    assert load_hubspot().rows_written == 1
    assert rows("select properties ->> 'amount' as amount from raw_hubspot.deals where id = '32'") == [
        {"amount": "100"}
    ]


def test_an_incremental_load_asks_only_for_what_changed(load_hubspot: Load, account: Account) -> None:
    old = datetime.now(UTC) - timedelta(days=3)
    for number in range(100, 350):
        account.put("contacts", str(number), modified=old, email=f"guest{number}@acme.example")
    assert load_hubspot().streams["contacts"].rows_written == 251
    report = load_hubspot()
    assert report.streams["contacts"].rows_read == 1


def test_a_search_beyond_its_limit_goes_on_from_the_last_change(
    load_hubspot: Load, rows: Rows, account: Account, simulator: Simulator, settings: HubSpotSettings
) -> None:
    load_hubspot()
    simulator.search_limit = 200
    narrow = settings.model_copy(update={"search_limit": 200})
    now = datetime.now(UTC)
    for number in range(100, 650):
        account.put(
            "contacts", str(number), modified=now + timedelta(milliseconds=number), email=f"g{number}@a.example"
        )
    load_hubspot(settings=narrow)
    assert rows("select count(*) as n from raw_hubspot.contacts") == [{"n": 551}]


def test_a_full_load_marks_what_is_gone_unless_everything_is(load_hubspot: Load, rows: Rows, account: Account) -> None:
    load_hubspot()
    del account.objects["deals"]["32"]
    account.objects["companies"].clear()
    report = load_hubspot(mode="full")
    assert rows("select id from raw_hubspot.deals where is_deleted") == [{"id": "32"}]
    assert rows("select id from raw_hubspot.companies where is_deleted") == []
    assert [problem.stream for problem in report.problems] == ["companies"]


def test_a_missing_scope_is_named_and_the_others_load(load_hubspot: Load, simulator: Simulator, rows: Rows) -> None:
    simulator.missing_scopes.add("crm.objects.contacts.read")
    report = load_hubspot()
    assert [(problem.stream, problem.key) for problem in report.problems] == [("contacts", "crm.objects.contacts.read")]
    assert rows("select count(*) as n from raw_hubspot.deals") == [{"n": 2}]


def test_a_spent_day_ends_the_load_as_partial_and_the_next_one_finishes_it(
    load_hubspot: Load, simulator: Simulator, rows: Rows
) -> None:
    limit = {"status": "error", "message": "You have reached your daily limit.", "policyName": "DAILY"}
    simulator.refusals.append(RefusalError(429, limit))
    assert load_hubspot().is_partial
    assert not load_hubspot().is_partial
    assert rows("select count(*) as n from raw_hubspot.deals") == [{"n": 2}]


def test_a_short_limit_is_waited_out(load_hubspot: Load, simulator: Simulator) -> None:
    limit = {"status": "error", "message": "You have reached your secondly limit.", "policyName": "SECONDLY"}
    simulator.refusals.append(RefusalError(429, limit))
    simulator.refusals.append(RefusalError(429, limit, headers={"Retry-After": "0"}))
    assert not load_hubspot().is_partial


def test_a_missing_token_names_its_variable(database_url: str, settings: HubSpotSettings) -> None:
    with pytest.raises(KeyRejectedError, match="HUBSPOT_ACCESS_TOKEN"):
        load(database_url=database_url, settings=HubSpotSettings(base_url=settings.base_url, _env_file=None))


def test_calls_are_linked_by_their_crm_ids_and_else_by_their_guests(
    database_url: str, load_hubspot: Load, rows: Rows
) -> None:
    execute(database_url, "create schema raw_gong")
    execute(database_url, "create table raw_gong.calls (id text, context jsonb, parties jsonb, is_deleted boolean)")
    named = [{"system": "HubSpot", "objects": [{"objectType": "Opportunity", "objectId": "32"}]}]
    guest = [{"emailAddress": "lee@acme.example", "affiliation": "External", "context": []}]
    for call_id, context, parties in (("a", named, guest), ("b", [], guest), ("c", [], [])):
        execute(
            database_url,
            "insert into raw_gong.calls values (%s, %s, %s, false)",
            [call_id, Jsonb(context), Jsonb(parties)],
        )
    load_hubspot()
    links = rows("select call_id, object_type, object_id, matched_by from raw_hubspot.call_links order by 1, 2, 3")
    assert [tuple(link.values()) for link in links] == [
        ("a", "company", "11", "email"),
        ("a", "contact", "21", "email"),
        ("a", "deal", "32", "context"),
        ("b", "company", "11", "email"),
        ("b", "contact", "21", "email"),
        ("b", "deal", "31", "email"),
    ]
    before = rows("select xmin::text, ctid::text from raw_hubspot.call_links order by ctid")
    load_hubspot()
    assert rows("select xmin::text, ctid::text from raw_hubspot.call_links order by ctid") == before


def test_an_erased_account_does_not_come_back(database_url: str, load_hubspot: Load, rows: Rows) -> None:
    execute(
        database_url,
        "insert into ops.tombstones (subject_kind, subject_sha256, erased_by) values ('account', %s, 'test')",
        [subject_sha256("11")],
    )
    load_hubspot()
    assert rows("select id from raw_hubspot.companies") == []
    assert rows("select id from raw_hubspot.contacts") == []
    assert rows("select id from raw_hubspot.deals") == [{"id": "32"}]
