"""Alerts: one message when a cause appears, none while it lasts, none when there is nothing to say."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

from dagster_project.reviews import slack
from dagster_project.reviews.mail import MailError, build_mail, send_mail
from dagster_project.reviews.rendering import one_line
from dagster_project.reviews.settings import ReviewSettings
from dagster_project.reviews.slack import SlackError

logger = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

# below so many requests a share says nothing
MINIMUM_REQUESTS = 20
FOLLOWER_SHARE = 0.95


@dataclass(frozen=True)
class Cause:
    """Something that needs a person. `cause` is its identity: the same cause is announced once."""

    cause: str
    title: str
    detail: str
    what_to_do: str


@dataclass(frozen=True)
class JobState:
    """How a job's last finished run ended."""

    job_name: str
    run_id: str
    has_failed: bool
    reason: str
    ended_at: datetime


@dataclass(frozen=True)
class AlertReport:
    announced: tuple[str, ...] = ()
    still_open: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def causes_of_jobs(
    jobs: Sequence[JobState],
    settings: ReviewSettings,
    *,
    synced_at: datetime | None = None,
    now: datetime | None = None,
) -> list[Cause]:
    """What the runs say: failures, and data that no sync has refreshed since `synced_at` (null: there was none yet)."""
    now = now or datetime.now(UTC)
    causes = [
        Cause(
            cause=f"run:{job.job_name}",
            title=f"{job.job_name} failed",
            detail=f"Run {job.run_id}: {job.reason}",
            what_to_do="Open the run in the Dagster UI. Running it again is safe: what is done is not done twice.",
        )
        for job in jobs
        if job.has_failed
    ]
    if synced_at and now - synced_at > timedelta(hours=settings.stale_after_hours):
        causes.append(
            Cause(
                cause="stale:sync",
                title="The data is stale",
                detail=f"The last complete sync ended at {synced_at:%Y-%m-%d %H:%M} UTC.",
                what_to_do="See whether schedule `sync` is on and the daemon runs.",
            )
        )
    return causes


DEAD_LETTERS = """
select
    'dead_letters:' || source || '.' || stream as cause,
    'Records set aside: ' || source || ' ' || stream as title,
    count(*) || ' could not be loaded, last: ' || left((array_agg(error order by last_seen_at desc))[1], 200) as detail,
    'See `call-coach dead-letters list`; `call-coach dead-letters retry` tries them again.' as what_to_do
from ops.dead_letters
where status = 'open' or (status = 'given_up' and last_seen_at > now() - interval '1 day')
group by source, stream
order by source, stream
"""

PARKED = """
select
    'inbox:parked' as cause,
    'Webhook events were parked' as title,
    count(*) || ' in the last day, last: ' || left((array_agg(reason order by finished_at desc))[1], 200) as detail,
    'The hourly sync loads their calls if Gong shows them; the reasons are in ops.webhook_inbox.' as what_to_do
from ops.webhook_inbox
where status = 'parked' and finished_at > now() - interval '1 day'
having count(*) > 0
"""

DELIVERIES = """
select
    'deliveries:failed' as cause,
    'Reviews could not be delivered' as title,
    count(*) || ' in two days, last: ' || left((array_agg(error order by attempted_at desc))[1], 200) as detail,
    'Mend SMTP_URL or SLACK_WEBHOOK_URL and run `weekly_review` of that week again: only what failed is sent.'
        as what_to_do
from ops.review_deliveries
where status = 'failed' and attempted_at > now() - interval '2 days'
having count(*) > 0
"""

SPEND = """
select
    'spend:' || current_date as cause,
    'Claude cost more than usual today' as title,
    '$' || round(sum(cost_usd), 2) || ' since midnight UTC; the line is $' || %(daily_usd)s::numeric as detail,
    'See the cost page. CALL_COACH_ALERT_DAILY_USD moves the line; budgets stop the spending.' as what_to_do
from analysis.requests
where not is_sandbox and started_at >= current_date
having sum(cost_usd) > %(daily_usd)s
"""

CACHE = """
with sent as (
    select
        sum(cache_read_tokens) as n_read,
        sum(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens) as n_prompt,
        count(*) as n_requests
    from analysis.requests
    where kind = 'live' and error_kind is null and started_at > now() - interval '1 day'
)

select
    'cache:hit_rate' as cause,
    'The prompt cache is read too seldom' as title,
    round(100.0 * n_read / n_prompt) || ' %% of the prompt tokens of ' || n_requests
        || ' requests in a day came from the cache; the line is ' || round(100 * %(cache_hit)s::numeric) || ' %%'
        as detail,
    'Look for a prompt that changed often, or calls scored one dimension at a time.' as what_to_do
from sent
where n_requests >= %(minimum_n)s and n_prompt > 0 and n_read < %(cache_hit)s * n_prompt
"""

FOLLOWERS = """
with sent as (
    select count(*) as n_requests, count(*) filter (where cache_read_tokens > 0) as n_reading
    from analysis.requests
    where position = 'follower' and error_kind is null and kind = 'live' and started_at > now() - interval '1 day'
)

select
    'cache:followers' as cause,
    'Requests of one call do not share their prefix' as title,
    n_reading || ' of ' || n_requests || ' follower requests in a day read the cache their leader wrote' as detail,
    'Followers start before the leader has written, or their prompts differ: see the ledger by request.' as what_to_do
from sent
where n_requests >= %(minimum_n)s and n_reading < %(follower_share)s * n_requests
"""

STATEMENTS: tuple[LiteralString, ...] = (DEAD_LETTERS, PARKED, DELIVERIES, SPEND, CACHE, FOLLOWERS)


def causes_of_data(connection: Connection, settings: ReviewSettings) -> list[Cause]:
    """What the tables say: records set aside, spend above the line, caches that do not work."""
    values = {
        "daily_usd": settings.daily_spend_alert_usd,
        "cache_hit": settings.cache_hit_alert,
        "minimum_n": MINIMUM_REQUESTS,
        "follower_share": FOLLOWER_SHARE,
    }
    with connection.cursor(row_factory=class_row(Cause)) as cursor:
        return [cause for statement in STATEMENTS for cause in cursor.execute(statement, values).fetchall()]


def announce(connection: Connection, causes: Sequence[Cause], settings: ReviewSettings, *, folder: Path) -> AlertReport:
    """Open a record for each new cause and send its message; close the records of causes that are gone.

    An address that could not be reached is tried again at the next look, and only that one. Without a channel the
    message goes to a file in `folder`.
    """
    for cause in causes:
        connection.execute(
            """
            insert into ops.alerts as known (cause, title, detail, what_to_do) values (%s, %s, %s, %s)
            on conflict (cause) where resolved_at is null
            do update set detail = excluded.detail, last_seen_at = now()
            """,
            (cause.cause, cause.title, cause.detail, cause.what_to_do),
        )
    gone = connection.execute(
        "update ops.alerts set resolved_at = now() where resolved_at is null and not cause = any(%s) returning cause",
        ([cause.cause for cause in causes],),
    ).fetchall()
    new = connection.execute(
        """
        select alert_id, cause, title, detail, what_to_do, opened_at, sent_to from ops.alerts
        where resolved_at is null and announced_at is null
        order by alert_id
        """
    ).fetchall()
    announced, problems = [], []
    for alert_id, name, title, detail, what_to_do, opened_at, sent_to in new:
        cause = Cause(name, title, detail, what_to_do)
        unreached = []
        for address, send in _ways(settings, folder, alert_id, cause, opened_at).items():
            if address in sent_to:
                continue
            try:
                send()
            except (MailError, SlackError) as error:
                unreached.append(f"{name}: {error}")
                continue
            connection.execute(
                "update ops.alerts set sent_to = array_append(sent_to, %s) where alert_id = %s", (address, alert_id)
            )
        problems += unreached
        if not unreached:
            logger.warning("%s: %s", cause.title, cause.detail)
            connection.execute("update ops.alerts set announced_at = now() where alert_id = %s", (alert_id,))
            announced.append(name)
    said = {row[1] for row in new}
    return AlertReport(
        announced=tuple(announced),
        still_open=tuple(cause.cause for cause in causes if cause.cause not in said),
        resolved=tuple(row[0] for row in gone),
        problems=tuple(problems),
    )


def _ways(
    settings: ReviewSettings, folder: Path, alert_id: int, cause: Cause, opened_at: datetime
) -> dict[str, Callable[[], object]]:
    """How the cause reaches each address it goes to."""
    text = f"{one_line(cause.title)}\n\n{one_line(cause.detail)}\n\n{one_line(cause.what_to_do)}\n"
    ways: dict[str, Callable[[], object]] = {}
    if settings.smtp_url:
        for recipient in settings.operators or settings.leaders:
            mail = build_mail(
                message_id=f"alert.{alert_id}.{opened_at:%Y%m%d%H%M%S}",
                sent_at=opened_at,
                sender=settings.mail_from,
                recipient=recipient,
                subject=f"call-coach: {cause.title}",
                plain_text=text,
            )
            ways[recipient] = partial(send_mail, settings.smtp_url.get_secret_value(), mail)
    if settings.slack_webhook_url:
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        ways["slack"] = partial(slack.post, settings.slack_webhook_url.get_secret_value(), text=escaped)
    if not ways:
        folder.mkdir(parents=True, exist_ok=True)
        ways["file"] = partial((folder / f"{opened_at:%Y%m%d}-{alert_id}.txt").write_text, text)
    return ways
