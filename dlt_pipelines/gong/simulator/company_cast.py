"""Who works at the seeded company, whom they call, and when."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from dlt_pipelines.gong.simulator.company_phrases import Phrases, load_phrases

N_WEEKS = 12


class Ids:
    """Numeric strings of 19 digits, as Gong's are; never twice the same."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._given: set[str] = set()

    def new(self, first_digit: str) -> str:
        while True:
            identifier = first_digit + f"{self._rng.randrange(10**18):018d}"
            if identifier not in self._given:
                self._given.add(identifier)
                return identifier


@dataclass(frozen=True)
class Rep:
    user: dict[str, Any]
    role: str
    n_calls: int
    base: Mapping[str, float]
    drift: Mapping[str, float]
    strong: tuple[str, ...]
    weak: tuple[str, ...]
    # number of the call -> what is special about it
    special: Mapping[int, str]

    @property
    def name(self) -> str:
        return f"{self.user['firstName']} {self.user['lastName']}"

    def chance(self, dimension: str, marker_id: str, progress: float) -> float:
        """How likely the rep shows a behaviour at a point of the twelve weeks (0 to 1)."""
        chance = self.base[dimension] + self.drift.get(dimension, 0.0) * (progress - 0.5)
        chance += 0.25 * any(_covers(entry, marker_id) for entry in self.strong)
        chance -= 0.32 * any(_covers(entry, marker_id) for entry in self.weak)
        return min(0.95, max(0.05, chance))


def _covers(entry: str, marker_id: str) -> bool:
    """`ds1_problem_depth` covers every marker of ds1, a marker id only itself."""
    return entry == marker_id or (
        entry not in load_phrases().by_marker and entry.split("_")[0] == marker_id.split("_")[0]
    )


@dataclass(frozen=True)
class Account:
    name: str
    domain: str
    industry: str
    employees: int
    account_id: str
    deal_id: str
    amount: int
    contacts: tuple[dict[str, str], ...]
    cloud: str
    warehouse: str
    legacy: str
    competitor: str | None


@dataclass(frozen=True)
class Slot:
    """When a call takes place and what is special about it."""

    rep_index: int
    started: datetime
    progress: float
    remark: str


def cast_people(phrases: Phrases, ids: Ids, *, first_day: date) -> tuple[list[dict[str, Any]], list[Rep]]:
    created = (first_day - timedelta(days=200)).isoformat() + "T08:00:00Z"

    def user(name: list[str], title: str, manager_id: str | None) -> dict[str, Any]:
        first, last = name
        return {
            "id": ids.new("5"),
            "emailAddress": f"{first}.{last}@orchestrate.example".lower(),
            "created": created,
            "active": True,
            "emailAliases": [],
            "trustedEmailAddress": None,
            "firstName": first,
            "lastName": last,
            "title": title,
            "phoneNumber": None,
            "extension": None,
            "personalMeetingUrls": [],
            "settings": {
                "webConferencesRecorded": True,
                "preventWebConferenceRecording": False,
                "telephonyCallsImported": False,
                "emailsImported": False,
                "preventEmailImport": False,
                "nonRecordedMeetingsImported": False,
                "gongConnectEnabled": False,
            },
            "managerId": manager_id,
            "meetingConsentPageUrl": None,
            "spokenLanguages": [{"language": "en-US", "primary": True}],
        }

    leader = user(phrases.people["vice_president"], "VP Sales", None)
    managers = [user(manager["name"], "Sales Manager", leader["id"]) for manager in phrases.people["managers"]]
    reps = [
        Rep(
            user=user(rep["name"], rep["title"], managers[rep["manager"]]["id"]),
            role=_role(rep["title"]),
            n_calls=rep["calls"],
            base=rep["base"],
            drift=rep.get("drift", {}),
            strong=tuple(rep["strong"]),
            weak=tuple(rep["weak"]),
            special=rep.get("special", {}),
        )
        for rep in phrases.people["reps"]
    ]
    return [leader, *managers, *(rep.user for rep in reps)], reps


def _role(title: str) -> str:
    lowered = title.lower()
    if "engineer" in lowered:
        return "SE"
    return "CSM" if "customer success" in lowered else "AE"


def cast_accounts(phrases: Phrases, ids: Ids, rng: random.Random) -> list[Account]:
    people = phrases.people
    accounts = []
    for entry in people["accounts"]:
        names = [
            (rng.choice(people["customer_first_names"]), rng.choice(people["customer_last_names"])) for _ in range(4)
        ]
        contacts = tuple(
            {
                "name": f"{first} {last}",
                "first": first,
                "email": f"{first}.{last}@{entry['domain']}".lower(),
                "title": rng.choice(people["customer_titles"]),
                "contact_id": ids.new("2"),
            }
            for first, last in dict(names).items()
        )
        accounts.append(
            Account(
                name=entry["name"],
                domain=entry["domain"],
                industry=entry["industry"],
                employees=entry["employees"],
                account_id=ids.new("1"),
                deal_id=ids.new("1"),
                amount=rng.randrange(12, 140) * 1000,
                contacts=contacts,
                cloud=rng.choice(people["clouds"]),
                warehouse=rng.choice(people["warehouses"]),
                legacy=rng.choice(people["legacies"]),
                competitor=rng.choice(["Airflow", "Airflow", "Temporal", "Dagster", None, None]),
            )
        )
    return accounts


def schedule(reps: list[Rep], monday: date, rng: random.Random) -> list[Slot]:
    """Spread each rep's calls unevenly over the weeks; the special ones sit in weeks that are long over."""
    first_monday = monday - timedelta(weeks=N_WEEKS - 1)
    slots = []
    for rep_index, rep in enumerate(reps):
        taken: set[datetime] = set()
        n_days = N_WEEKS * 5
        for number in range(rep.n_calls):
            position = (number + 0.5) / rep.n_calls * n_days + rng.uniform(-2.4, 2.4)
            day = min(n_days - 1, max(0, int(position)))
            while True:
                started = datetime.combine(
                    first_monday + timedelta(days=day // 5 * 7 + day % 5),
                    time(hour=rng.randrange(13, 22), minute=rng.choice((0, 30))),
                    tzinfo=UTC,
                ) + timedelta(seconds=rng.randrange(5, 170))
                if started.replace(minute=0, second=0) not in taken:
                    taken.add(started.replace(minute=0, second=0))
                    break
            slots.append(
                Slot(
                    rep_index=rep_index,
                    started=started,
                    progress=day / (n_days - 1),
                    remark=rep.special.get(number, ""),
                )
            )
    return slots
