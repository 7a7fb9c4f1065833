"""The weekly reviews of one week: written, kept, put into files and, when asked to, sent.

Reps get their own review by e-mail and managers their team's. The Slack channel gets leadership's page alone, because
it names no rep. Without a mail server and a Slack address, everything is in the files and nothing is sent.
"""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import psycopg

from dagster_project.reviews import slack, store
from dagster_project.reviews.facts import read_facts
from dagster_project.reviews.mail import InlineImage, MailError, build_mail, send_mail
from dagster_project.reviews.settings import ReviewSettings
from dagster_project.reviews.slack import SlackError
from dagster_project.reviews.store import StoredReview
from dagster_project.reviews.writing import write_reviews

logger = logging.getLogger(__name__)

PLAIN_ADDRESS = re.compile(r"[^\s<>,;:\"@]+@[^\s<>,;:\"@]+")


@dataclass(frozen=True)
class ReviewReport:
    """What became of a week's reviews. `problems` has a line for each that could not be delivered."""

    week_start: date
    reps: int
    teams: int
    leadership: int
    sent: int
    sent_before: int
    failed: int
    folder: Path
    problems: tuple[str, ...] = ()


def review_week(
    *,
    database_url: str,
    week_start: date,
    settings: ReviewSettings,
    folder: Path,
    deliver: bool = False,
    force: bool = False,
    with_pictures: bool = True,
) -> ReviewReport:
    """Write the reviews of the week that starts on `week_start`, and send them if `deliver`.

    Args:
        folder: gets `<week>/<kind>-<recipient>.md`, `.html`, `.eml` and `.slack.json`, whether or not anything is sent.
        deliver: send; a review that went to an address once is not sent there again.
        force: send again all the same.
        with_pictures: draw the charts; drawing takes 0.4 s a review.
    """
    reviews = write_reviews(
        read_facts(database_url, week_start), dashboard_url=settings.dashboard_url, with_pictures=with_pictures
    )
    target = folder / week_start.isoformat()
    target.mkdir(parents=True, exist_ok=True)
    counts = {"sent": 0, "sent_before": 0, "failed": 0}
    problems = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        for review in reviews:
            with connection.transaction():
                stored = store.keep(connection, week_start, review)
                path = _write_files(target, stored, settings)
                store.note_file(connection, stored, str(path))
            if not deliver:
                continue
            if settings.smtp_url and review.kind != "leadership" and not _addresses(stored, settings):
                problems.append(f"The {stored.kind} review for {stored.recipient_id} has no e-mail address to go to.")
            for channel, address, send in _ways(stored, settings):
                outcome, problem = _send(connection, stored, channel, address, send, force)
                counts[outcome] += 1
                if problem:
                    problems.append(problem)
                    logger.warning("%s", problem)
    kinds = [review.kind for review in reviews]
    return ReviewReport(
        week_start=week_start,
        reps=kinds.count("rep"),
        teams=kinds.count("team"),
        leadership=kinds.count("leadership"),
        folder=target,
        problems=tuple(problems),
        **counts,
    )


def _ways(review: StoredReview, settings: ReviewSettings) -> list[tuple[str, str, Callable[[], None]]]:
    """Where a review goes: channel, address and how."""
    ways: list[tuple[str, str, Callable[[], None]]] = []
    if settings.smtp_url:
        smtp_url = settings.smtp_url.get_secret_value()
        for address in _addresses(review, settings):
            ways.append(("email", address, partial(send_mail, smtp_url, _mail(review, settings, address))))
    if settings.slack_webhook_url and review.kind == "leadership":
        webhook = settings.slack_webhook_url.get_secret_value()
        post = partial(slack.post, webhook, text=review.slack_text, blocks=review.slack_blocks)
        ways.append(("slack", "leadership", post))
    return ways


def _addresses(review: StoredReview, settings: ReviewSettings) -> tuple[str, ...]:
    if review.kind == "leadership":
        return tuple(leader for leader in settings.leaders if PLAIN_ADDRESS.fullmatch(leader))
    return (review.address,) if review.address and PLAIN_ADDRESS.fullmatch(review.address) else ()


def _mail(review: StoredReview, settings: ReviewSettings, address: str) -> EmailMessage:
    return build_mail(
        message_id=re.sub(r"[^A-Za-z0-9.]", "-", review.review_id),
        sent_at=review.rendered_at,
        sender=settings.mail_from,
        recipient=address,
        subject=review.subject,
        plain_text=review.plain_text,
        html=review.html,
        images=[InlineImage(image.content_id, image.png) for image in review.images],
    )


def _send(
    connection: store.Connection,
    review: StoredReview,
    channel: str,
    address: str,
    send: Callable[[], None],
    force: bool,
) -> tuple[str, str | None]:
    delivery_id = store.claim_delivery(connection, review, channel=channel, address=address, is_forced=force)
    if delivery_id is None:
        return "sent_before", None
    try:
        send()
    except (MailError, SlackError) as error:
        store.end_delivery(connection, delivery_id, status="failed", error=str(error))
        return "failed", f"The {review.kind} review for {review.recipient_id} was not sent by {channel}: {error}"
    store.end_delivery(connection, delivery_id, status="sent")
    return "sent", None


def _write_files(target: Path, review: StoredReview, settings: ReviewSettings) -> Path:
    name = f"{review.kind}-{re.sub(r'[^A-Za-z0-9_-]', '_', review.recipient_id)}"
    path = target / f"{name}.md"
    path.write_text(review.markdown)
    (target / f"{name}.html").write_text(_with_local_pictures(review, target, name))
    (target / f"{name}.slack.json").write_text(_slack_json(review))
    address = next(iter(_addresses(review, settings)), "nobody@localhost")
    (target / f"{name}.eml").write_bytes(bytes(_mail(review, settings, address)))
    return path


def _with_local_pictures(review: StoredReview, target: Path, name: str) -> str:
    """The page for a browser: the pictures beside it instead of in the mail."""
    page = review.html
    for image in review.images:
        picture = target / f"{name}-{image.content_id}.png"
        picture.write_bytes(image.png)
        page = page.replace(f'src="cid:{image.content_id}"', f'src="{picture.name}"')
    return page


def _slack_json(review: StoredReview) -> str:
    return json.dumps({"text": review.slack_text, "blocks": review.slack_blocks}, indent=2, ensure_ascii=False) + "\n"
