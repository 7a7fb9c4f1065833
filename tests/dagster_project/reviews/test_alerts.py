from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dagster_project.reviews.alerts import Cause, JobState, announce, causes_of_data, causes_of_jobs
from dagster_project.reviews.settings import ReviewSettings

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TABLES = "ops.alerts, ops.dead_letters, ops.webhook_inbox, analysis.requests, ops.reviews"


@pytest.fixture
def connection(module_database_url: str) -> Any:
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute(f"truncate {TABLES} cascade")
        yield connection


def settings(mail: Any = None, slack: Any = None, **more: Any) -> ReviewSettings:
    return ReviewSettings(
        smtp_url=mail.url if mail else None,
        slack_webhook_url=slack.url if slack else None,
        leaders=(),
        operators=("ops@example.com",),
        **more,
    )


def job(name: str, *, has_failed: bool = False, hours_ago: float = 1) -> JobState:
    return JobState(name, f"run-of-{name}", has_failed, "marts: disk is full", NOW - timedelta(hours=hours_ago))


def request(connection: psycopg.Connection, **columns: Any) -> None:
    values = {
        "dimension": "discovery",
        "requested_model": "m",
        "model": "m",
        "is_sandbox": False,
        "status": "ok",
        "cache_outcome": "miss",
        **columns,
    }
    connection.execute(
        f"insert into analysis.requests ({', '.join(values)}) values ({', '.join(['%s'] * len(values))})",
        list(values.values()),
    )


def names(causes: list[Cause]) -> list[str]:
    return [cause.cause for cause in causes]


def test_when_all_is_well_nothing_is_said(connection: Any, tmp_path: Path, mail_server: Any, slack_server: Any) -> None:
    chosen = settings(mail_server, slack_server)
    for _ in range(30):
        request(connection, position="follower", input_tokens=100, cache_read_tokens=900, cost_usd=0.1)
    of_jobs = causes_of_jobs([job("sync"), job("pipeline")], chosen, synced_at=NOW - timedelta(hours=1), now=NOW)
    causes = [*of_jobs, *causes_of_data(connection, chosen)]
    assert causes == []
    announce(connection, causes, chosen, folder=tmp_path)
    assert (mail_server.raw, slack_server.messages, list(tmp_path.iterdir())) == ([], [], [])


def test_failed_runs_and_stale_data_are_causes() -> None:
    chosen = settings()
    old, fresh = NOW - timedelta(hours=7), NOW - timedelta(hours=5)
    jobs = [job("sync"), job("weekly_review", has_failed=True)]
    assert names(causes_of_jobs(jobs, chosen, synced_at=old, now=NOW)) == ["run:weekly_review", "stale:sync"]
    failed = [job("sync", has_failed=True)]
    assert names(causes_of_jobs(failed, chosen, synced_at=fresh, now=NOW)) == ["run:sync"]
    assert names(causes_of_jobs(failed, chosen, synced_at=old, now=NOW)) == ["run:sync", "stale:sync"]
    assert causes_of_jobs([], chosen, now=NOW) == []


def test_records_set_aside_and_parked_events_are_causes(connection: Any) -> None:
    connection.execute(
        "insert into ops.dead_letters (source, stream, key, error, status) values "
        "('gong', 'calls', '1', 'no id', 'open'), ('gong', 'calls', '2', 'no id', 'open'), "
        "('gong', 'users', '3', 'no id', 'resolved')"
    )
    connection.execute(
        "insert into ops.webhook_inbox (endpoint, event_key, scheme, body, body_sha256, status, reason, finished_at) "
        "values ('gong', 'k', 'hmac', '', '', 'parked', 'the body is not JSON', now())"
    )
    causes = causes_of_data(connection, settings())
    assert names(causes) == ["dead_letters:gong.calls", "inbox:parked"]
    assert causes[0].detail == "2 could not be loaded, last: no id"


def test_spend_above_the_daily_line_is_a_cause_and_the_sandboxs_is_not(connection: Any) -> None:
    request(connection, cost_usd=90, is_sandbox=True, model="sandbox")
    request(connection, cost_usd=4)
    assert causes_of_data(connection, settings(daily_spend_alert_usd=5)) == []
    request(connection, cost_usd=1.5)
    (cause,) = causes_of_data(connection, settings(daily_spend_alert_usd=5))
    assert cause.cause.startswith("spend:")
    assert "$5.50" in cause.detail


def test_a_cache_that_is_read_too_seldom_is_a_cause_once_there_is_enough_to_judge(connection: Any) -> None:
    for n in range(19):
        request(connection, position="follower", input_tokens=900, cache_read_tokens=100 if n else 0)
    assert causes_of_data(connection, settings()) == []
    for _ in range(11):
        request(connection, position="follower", input_tokens=900, cache_read_tokens=0)
    causes = causes_of_data(connection, settings())
    assert names(causes) == ["cache:hit_rate", "cache:followers"]
    assert causes[1].detail.startswith("18 of 30 follower requests")


def test_a_cause_is_announced_once_by_every_channel_and_again_only_after_it_was_gone(
    connection: Any, tmp_path: Path, mail_server: Any, slack_server: Any
) -> None:
    chosen = settings(mail_server, slack_server)
    broken = causes_of_jobs([job("sync", has_failed=True)], chosen, now=NOW)
    assert announce(connection, broken, chosen, folder=tmp_path).announced == ("run:sync",)
    for _ in range(3):
        assert announce(connection, broken, chosen, folder=tmp_path).still_open == ("run:sync",)
    assert (len(mail_server.raw), len(slack_server.messages)) == (1, 1)
    assert mail_server.mails[0]["Subject"] == "call-coach: sync failed"
    assert mail_server.recipients == ["ops@example.com"]
    assert "disk is full" in slack_server.messages[0]["text"]
    assert announce(connection, [], chosen, folder=tmp_path).resolved == ("run:sync",)
    assert announce(connection, broken, chosen, folder=tmp_path).announced == ("run:sync",)
    assert len(mail_server.raw) == 2


def test_a_message_that_could_not_be_sent_is_tried_again_and_the_others_are_not_told_twice(
    connection: Any, tmp_path: Path, mail_server: Any, slack_server: Any
) -> None:
    chosen = settings(mail_server, slack_server)
    broken = causes_of_jobs([job("sync", has_failed=True)], chosen, now=NOW)
    slack_server.status = 500
    for _ in range(3):
        report = announce(connection, broken, chosen, folder=tmp_path)
        assert report.announced == ()
        assert "Slack answered 500" in report.problems[0]
    slack_server.status = 200
    assert announce(connection, broken, chosen, folder=tmp_path).announced == ("run:sync",)
    assert (len(mail_server.raw), len(slack_server.messages)) == (1, 1)


def test_without_a_channel_the_message_is_a_file(connection: Any, tmp_path: Path) -> None:
    chosen = settings()
    announce(connection, causes_of_jobs([job("sync", has_failed=True)], chosen, now=NOW), chosen, folder=tmp_path / "a")
    (path,) = (tmp_path / "a").iterdir()
    assert "sync failed" in path.read_text()
