"""The seeded company in Gong's words: items of the extensive listing, trackers, scorecards and their answers."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from dlt_pipelines.gong.simulator.company_cast import Rep
from dlt_pipelines.gong.simulator.company_dialogue import SHARES
from dlt_pipelines.gong.simulator.company_phrases import load_phrases
from dlt_pipelines.gong.simulator.company_plot import CONFIRMING, NEGATIVE, Plot, Verdict
from dlt_pipelines.gong.simulator.company_timing import speaker_id

WORKSPACE_ID = "6600000000000000001"
SCORECARD_ID = "3300000000000000001"

REVIEW_DELAY = timedelta(hours=20)

Transcript = list[dict[str, Any]]


class CallRecord:
    """One call as the extensive listing shows it."""

    def __init__(self, plot: Plot, *, rng: random.Random, subject: str) -> None:
        self.plot = plot
        self.rng = rng
        self.subject = subject

    def item(self, transcript: Transcript, end_ms: int) -> dict[str, Any]:
        started = self.plot.slot.started
        duration = round(end_ms / 1000) + self.rng.randint(2, 20)
        title = "Deal round" if self.plot.is_internal else f"{self.plot.account.name} - {self.plot.call_type}"
        parties = self._parties(transcript)
        return {
            "metaData": {
                "id": self.plot.call_id,
                "url": f"https://app.gong.io/call?id={self.plot.call_id}",
                "title": title,
                "scheduled": started.replace(second=0).isoformat(),
                "started": started.isoformat(),
                "duration": duration,
                "primaryUserId": self.plot.rep.user["id"],
                "direction": "Conference",
                "system": self.rng.choice(("Zoom", "Google Meet", "Microsoft Teams")),
                "scope": "Internal" if self.plot.is_internal else "External",
                "media": "Video",
                "language": "deu" if self.plot.is_german else "eng",
                "workspaceId": WORKSPACE_ID,
                "sdrDisposition": None,
                "clientUniqueId": None,
                "customData": None,
                "purpose": None,
                "meetingUrl": f"https://meet.example.com/{self.plot.call_id}?pwd=example",
                "isPrivate": self.plot.is_private,
                "calendarEventId": None,
            },
            "context": self._context(),
            "parties": parties,
            "content": self._content(title, duration, transcript),
            "interaction": self._interaction(transcript, parties, duration),
            "collaboration": {},
        }

    def _parties(self, transcript: Transcript) -> list[dict[str, Any]]:
        heard = {monologue["speakerId"] for monologue in transcript}

        def party(number: int, side: str, **known: Any) -> dict[str, Any]:
            speaker = speaker_id(self.plot.call_id, side)
            return {
                "id": f"9{int(self.plot.call_id[-15:]):015d}{number:03d}",
                **known,
                "speakerId": speaker if speaker in heard else None,
                "methods": ["Invitee", "Attendee"],
            }

        def internal(number: int, side: str, rep: Rep) -> dict[str, Any]:
            return party(
                number,
                side,
                emailAddress=rep.user["emailAddress"],
                name=rep.name,
                title=rep.user["title"],
                userId=rep.user["id"],
                affiliation="Internal",
                context=[],
            )

        parties = [internal(1, "rep", self.plot.rep)]
        if self.plot.colleague is not None:
            parties.append(internal(2, "team", self.plot.colleague))
        if self.plot.is_internal:
            return parties
        for number, (side, contact) in enumerate(zip(("customer", "quiet", "third"), self.plot.speakers, strict=False)):
            parties.append(self._external(party, number + 3, side, contact))
        for contact in self.plot.silent:
            parties.append(self._external(party, 8, "silent", contact))
        return parties

    def _external(self, party: Any, number: int, side: str, contact: dict[str, str]) -> dict[str, Any]:
        """Gong leaves out what it does not know of a guest."""
        known: dict[str, Any] = {"name": contact["name"], "affiliation": "External"}
        if self.rng.random() < 0.85:
            known["emailAddress"] = contact["email"]
        if self.rng.random() < 0.6:
            known["title"] = contact["title"]
        known["context"] = (
            [
                {
                    "system": "Salesforce",
                    "objects": [
                        {
                            "objectType": "Contact",
                            "objectId": contact["contact_id"],
                            "fields": [{"name": "Name", "value": contact["name"]}],
                            "timing": "Now",
                        }
                    ],
                }
            ]
            if self.rng.random() < 0.7
            else []
        )
        item: dict[str, Any] = party(number, side, **known)
        return item

    def _context(self) -> list[dict[str, Any]]:
        # about one call in ten has no CRM object attached
        if self.plot.is_internal or self.rng.random() < 0.1:
            return []
        stages = ("Qualification", "Technical validation", "Proposal", "Negotiation", "Closed Won")
        is_renewal = self.plot.rep.role == "CSM"
        stage = "Renewal" if is_renewal else stages[min(3, int(self.plot.slot.progress * 4.5))]
        close_date = (self.plot.slot.started + timedelta(days=self.rng.randint(20, 110))).date().isoformat()
        # Gong passes on whatever the CRM holds: numbers arrive as numbers or as text
        amount: Any = self.plot.account.amount if self.rng.random() < 0.8 else f"{self.plot.account.amount}.00"
        return [
            {
                "system": "Salesforce",
                "objects": [
                    {
                        "objectType": "Opportunity",
                        "objectId": self.plot.account.deal_id,
                        "timing": "Now",
                        "fields": [
                            {
                                "name": "Name",
                                "value": f"{self.plot.account.name} - {'renewal' if is_renewal else 'new business'}",
                            },
                            {"name": "StageName", "value": stage},
                            {"name": "Amount", "value": amount},
                            {"name": "CloseDate", "value": close_date},
                            {"name": "Probability", "value": self.rng.choice((10, 25, 50, 75, 90))},
                        ],
                    },
                    {
                        "objectType": "Account",
                        "objectId": self.plot.account.account_id,
                        "timing": "Now",
                        "fields": [
                            {"name": "Name", "value": self.plot.account.name},
                            {"name": "Industry", "value": self.plot.account.industry},
                            {"name": "NumberOfEmployees", "value": self.plot.account.employees},
                            {"name": "Website", "value": f"https://{self.plot.account.domain}"},
                        ],
                    },
                ],
            }
        ]

    def _content(self, title: str, duration: int, transcript: Transcript) -> dict[str, Any]:
        shares = SHARES.get(self.plot.call_type, SHARES["default"])
        names = ("Opening", "Discovery", "Solution", "Objection", "Next Steps")
        starts = [sum(shares[:number]) * duration for number in range(len(shares))]
        return {
            "structure": [
                {"name": name, "duration": round(share * duration)} for name, share in zip(names, shares, strict=True)
            ],
            "topics": [
                {"name": name, "duration": round(share * duration)} for name, share in zip(names, shares, strict=True)
            ],
            "trackers": [self._tracked(tracker, transcript) for tracker in trackers()],
            "brief": f"{self.plot.rep.name} and {self.plot.account.name} talked about {self.subject}.",
            "outline": [
                {
                    "section": name,
                    "startTime": round(start, 2),
                    "duration": round(share * duration, 2),
                    "items": [{"text": f"{name} with {self.plot.account.name}", "startTime": round(start, 2)}],
                }
                for name, start, share in zip(names, starts, shares, strict=True)
            ],
            "highlights": [{"title": "Next Steps", "items": []}],
            "callOutcome": None,
            "keyPoints": [{"text": title}],
        }

    def _tracked(self, tracker: dict[str, Any], transcript: Transcript) -> dict[str, Any]:
        keywords = tracker["languageKeywords"][0]["keywords"]
        occurrences = [
            {"startTime": sentence.get("start", 0) / 1000, "speakerId": monologue["speakerId"], "phrase": keyword}
            for monologue in transcript
            for sentence in monologue["sentences"]
            for keyword in keywords
            if keyword in sentence["text"].lower()
        ]
        return {
            "id": tracker["trackerId"],
            "name": tracker["trackerName"],
            "count": len(occurrences),
            "type": "KEYWORD",
            "occurrences": [
                {"startTime": found["startTime"], "speakerId": found["speakerId"]} for found in occurrences
            ],
            "phrases": [
                {
                    "phrase": keyword,
                    "count": sum(found["phrase"] == keyword for found in occurrences),
                    "occurrences": [
                        {"startTime": found["startTime"], "speakerId": found["speakerId"]}
                        for found in occurrences
                        if found["phrase"] == keyword
                    ],
                }
                for keyword in keywords
                if any(found["phrase"] == keyword for found in occurrences)
            ],
        }

    def _interaction(self, transcript: Transcript, parties: list[dict[str, Any]], duration: int) -> dict[str, Any]:
        seconds: dict[str, float] = {}
        longest: dict[str, float] = {}
        questions = {True: 0, False: 0}
        ours = {party["speakerId"] for party in parties if party["affiliation"] == "Internal"}
        for monologue in transcript:
            speaker = monologue["speakerId"]
            length = 0.0
            for sentence in monologue["sentences"]:
                length += (sentence.get("end", 0) - sentence.get("start", 0)) / 1000 if len(sentence) == 3 else 0.0
                questions[speaker in ours] += sentence["text"].endswith("?")
            seconds[speaker] = seconds.get(speaker, 0.0) + length
            longest[speaker] = max(longest.get(speaker, 0.0), length)
        rep_speaker = parties[0]["speakerId"]
        talked = sum(seconds.values()) or 1.0
        others = [longest[speaker] for speaker in longest if speaker not in ours]
        return {
            "speakers": [
                {
                    "id": party["id"],
                    "userId": party.get("userId"),
                    "talkTime": round(seconds.get(party["speakerId"] or "", 0.0), 2),
                }
                for party in parties
            ],
            "interactionStats": [
                {"name": "Talk Ratio", "value": round(seconds.get(rep_speaker, 0.0) / talked, 2)},
                {"name": "Longest Monologue", "value": round(longest.get(rep_speaker, 0.0), 1)},
                {"name": "Longest Customer Story", "value": round(max(others, default=0.0), 1)},
                {"name": "Interactivity", "value": round(len(transcript) / max(duration / 60, 1) / 2, 2)},
                {"name": "Patience", "value": round(0.3 + 0.7 * self.plot.engagement, 2)},
            ],
            "video": [{"name": "Browser", "duration": round(duration * 0.4)}],
            "questions": {"companyCount": questions[True], "nonCompanyCount": questions[False]},
        }


def trackers() -> list[dict[str, Any]]:
    banks = {"Competitors": ["airflow", "temporal", "dagster"], "Pricing": ["price", "budget", "plan"]}
    return [
        {
            "trackerId": f"440000000000000000{number}",
            "trackerName": name,
            "workspaceId": WORKSPACE_ID,
            "languageKeywords": [{"language": "eng", "keywords": keywords, "includeRelatedForms": True}],
            "affiliation": "Anyone",
            "partOfQuestion": False,
            "saidAt": "Anytime",
            "saidAtInterval": None,
            "saidAtUnit": None,
            "saidInTopics": [],
            "filterQuery": "{}",
            "created": "2026-01-05T09:00:00Z",
            "creatorUserId": None,
            "updated": "2026-01-05T09:00:00Z",
            "updaterUserId": None,
        }
        for number, (name, keywords) in enumerate(banks.items(), start=1)
    ]


def scorecard() -> dict[str, Any]:
    """The form managers fill in: one question per criterion, 1 to 5."""
    return {
        "scorecardId": SCORECARD_ID,
        "scorecardName": "Call coaching",
        "workspaceId": WORKSPACE_ID,
        "enabled": True,
        "updaterUserId": "-1",
        "created": "2026-01-05T09:00:00Z",
        "updated": "2026-01-05T09:00:00Z",
        "reviewMethod": "MANUAL",
        "questions": [
            {
                "questionId": _question_id(number),
                "questionRevisionId": _question_id(number + 100),
                "questionText": text,
                "questionType": "RANGE",
                "isOverall": False,
                "minRange": "1",
                "maxRange": "5",
                "answerGuide": None,
                "answerOptions": [],
                "created": "2026-01-05T09:00:00Z",
                "updated": "2026-01-05T09:00:00Z",
                "updaterUserId": "-1",
            }
            for number, text in enumerate(load_phrases().scorecard.values(), start=1)
        ],
    }


def manager_scores(
    item: dict[str, Any], truth: Mapping[str, Verdict], *, rep: Rep, rng: random.Random
) -> dict[str, Any]:
    """A manager's answers: mostly the level that was earned, sometimes one beside it, nothing without an occasion."""
    answers = []
    for number, prefix in enumerate(load_phrases().scorecard, start=1):
        level = earned_level({marker: verdict for marker, verdict in truth.items() if marker.startswith(prefix)})
        if level is not None:
            level = min(5, max(1, level + rng.choices((-1, 0, 1), weights=(15, 70, 15))[0]))
        answers.append(
            {
                "questionId": _question_id(number),
                "questionRevisionId": _question_id(number + 100),
                "isOverall": False,
                "score": level,
                "answerText": None,
                "notApplicable": level is None,
                "selectedOptions": None,
            }
        )
    reviewed_at = datetime.fromisoformat(item["metaData"]["started"]) + REVIEW_DELAY
    return {
        "answeredScorecardId": "33" + item["metaData"]["id"][2:],
        "scorecardId": SCORECARD_ID,
        "scorecardName": "Call coaching",
        "callId": item["metaData"]["id"],
        "callStartTime": item["metaData"]["started"],
        "reviewedUserId": rep.user["id"],
        "reviewerUserId": rep.user["managerId"],
        "reviewTime": reviewed_at.isoformat(),
        "visibilityType": "PUBLIC",
        "answers": answers,
    }


def daily_stats(calls: list[dict[str, Any]], users: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Gong's interaction statistics per person and day: means of the calls they hosted."""
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for call in calls:
        meta = call["metaData"]
        of_day = values.setdefault((meta["primaryUserId"], meta["started"][:10]), {})
        for stat in call["interaction"]["interactionStats"]:
            of_day.setdefault(stat["name"], []).append(stat["value"])
    addresses = {user["id"]: user["emailAddress"] for user in users}
    return [
        {
            "day": day,
            "userId": user_id,
            "userEmailAddress": addresses[user_id],
            "personInteractionStats": [
                {"name": name, "value": round(sum(numbers) / len(numbers), 2)} for name, numbers in of_day.items()
            ],
        }
        for (user_id, day), of_day in sorted(values.items())
    ]


def library_folders() -> list[dict[str, Any]]:
    return [
        {
            "id": f"220000000000000000{number}",
            "name": name,
            "parentFolderId": None,
            "createdBy": None,
            "updated": "2026-01-05T09:00:00Z",
            "workspaceId": WORKSPACE_ID,
        }
        for number, name in enumerate(("Good discovery", "Objections well met"), start=1)
    ]


def earned_level(truth: Mapping[str, Verdict]) -> int | None:
    """The level, 1 to 5, that a criterion's planted answers earn; None where nothing applied."""
    applicable = {m: v for m, v in truth.items() if m not in NEGATIVE and v != "not_applicable"}
    if not applicable:
        return None
    met = sum(verdict == "yes" for verdict in applicable.values())
    level = 1 + math.floor(4 * met / len(applicable) + 0.5)
    confirmations = [verdict == "yes" for marker, verdict in applicable.items() if marker in CONFIRMING]
    if not confirmations or not all(confirmations):
        level = min(level, 4)
    if any(truth.get(marker) == "yes" for marker in NEGATIVE):
        level = min(level, 2)
    return level


def _question_id(number: int) -> str:
    return f"3300000000000001{number:03d}"
