import functools
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.gong.simulator.server import Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant
from dlt_pipelines.gong.source import load
from dlt_pipelines.report import LoadReport


def make_user(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"55{number:017d}",
        "emailAddress": f"rep{number}@seller.example",
        "created": "2025-01-02T08:00:00.123456+02:00",
        "active": True,
        "emailAliases": [],
        "trustedEmailAddress": None,
        "firstName": f"Rep{number}",
        "lastName": "Example",
        "title": "Account Executive",
        "phoneNumber": None,
        "extension": None,
        "personalMeetingUrls": [f"https://meet.example.com/rep{number}?pwd=secret"],
        "settings": {"webConferencesRecorded": True},
        "managerId": None,
        "meetingConsentPageUrl": None,
        "spokenLanguages": [{"language": "en-US", "primary": True}],
        **fields,
    }


def make_call(number: int, *, started: datetime, **meta: Any) -> dict[str, Any]:
    return {
        "metaData": {
            "id": f"77{number:017d}",
            "url": f"https://app.gong.io/call?id=77{number:017d}",
            "title": f"Call {number}",
            "scheduled": started.isoformat(),
            "started": started.isoformat(),
            "duration": 1800,
            "primaryUserId": "5500000000000000001",
            "direction": "Conference",
            "system": "Zoom",
            "scope": "External",
            "media": "Video",
            "language": "eng",
            "workspaceId": "6600001000000001",
            "sdrDisposition": None,
            "clientUniqueId": None,
            "customData": None,
            "purpose": None,
            "meetingUrl": f"https://meet.example.com/{number}?pwd=secret",
            "isPrivate": False,
            "calendarEventId": None,
            **meta,
        },
        "context": [
            {
                "system": "HubSpot",
                "objects": [
                    {
                        "objectType": "Account",
                        "objectId": f"acc{number % 3}",
                        "timing": "Now",
                        "fields": [{"name": "size", "value": 28}, {"name": "price", "value": 4166.67}],
                    }
                ],
            }
        ],
        "parties": [
            {"id": f"99{number}1", "speakerId": f"88{number}1", "affiliation": "Internal", "methods": ["Attendee"]},
            {"id": f"99{number}2", "speakerId": None, "affiliation": "External", "methods": ["Invitee"]},
        ],
        "content": {"topics": [{"name": "Pricing", "duration": 90}], "brief": "They talked."},
        "interaction": {"speakers": [{"id": f"99{number}1", "userId": None, "talkTime": 75.98}], "questions": {}},
        "collaboration": {},
    }


def make_transcript(call: dict[str, Any], *texts: str) -> dict[str, Any]:
    return {
        "callId": call["metaData"]["id"],
        "transcript": [
            {
                "speakerId": "881",
                "topic": None,
                "sentences": [
                    {"start": 1000 * at, "end": 1000 * at + 900, "text": text}
                    for at, text in enumerate(texts or ("Hello there.", "How are you?"))
                ],
            }
        ],
    }


def make_tenant(*, calls: int = 5, now: datetime | None = None, days: float = 10.0) -> Tenant:
    """Calls spread evenly over the last `days`, every one with a transcript."""
    now = now or datetime.now(UTC)
    made = [
        make_call(number, started=now - timedelta(days=days * (calls - number) / (calls + 1), hours=1))
        for number in range(calls)
    ]
    return Tenant(
        users=[make_user(1), make_user(2, managerId="5500000000000000001")],
        calls=made,
        transcripts={call["metaData"]["id"]: make_transcript(call) for call in made},
    )


def gong_settings(url: str, **fields: Any) -> GongSettings:
    # the real three requests a second would make every story slow; test_quota.py holds the loader to them
    given = {"api_key": "key", "api_secret": "secret", "requests_per_second": 1000, **fields}
    return GongSettings(api_base_url=url, _env_file=None, **given)


@pytest.fixture(scope="session")
def gong_template(postgres_server: Any) -> Iterator[str]:
    """A database in which the loader has made its tables already: making them anew costs every test a second."""
    name = "gong_template"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("create database gong_template template call_coach_template")
    with Simulator(Tenant()).serve() as url:
        load(database_url=postgres_server.url(name), settings=gong_settings(url), streams=["users"])
    yield name
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("drop database gong_template with (force)")


@pytest.fixture
def database_url(postgres_server: Any, gong_template: str) -> Iterator[str]:
    """A fresh database with empty raw tables."""
    name = f"gong_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"create database {name} template {gong_template}")
        yield postgres_server.url(name)
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant()


@pytest.fixture
def simulator(tenant: Tenant) -> Simulator:
    return Simulator(tenant)


@pytest.fixture
def gong_url(simulator: Simulator) -> Iterator[str]:
    with simulator.serve() as url:
        yield url


@pytest.fixture
def settings(gong_url: str) -> GongSettings:
    return gong_settings(gong_url)


@pytest.fixture
def load_gong(database_url: str, settings: GongSettings) -> Callable[..., LoadReport]:
    return functools.partial(load, database_url=database_url, settings=settings)


@pytest.fixture
def rows(database_url: str) -> Callable[..., list[dict[str, Any]]]:
    def fetch(query: str, parameters: Any = None) -> list[dict[str, Any]]:
        with psycopg.connect(database_url, row_factory=dict_row) as connection:
            return connection.execute(query, parameters).fetchall()

    return fetch
