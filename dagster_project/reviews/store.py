"""Reviews in Postgres: kept as they were rendered, so that a message sent again is the same bytes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dagster_project.reviews import rendering
from dagster_project.reviews.document import Document
from dagster_project.reviews.writing import Kind, Review

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Image:
    content_id: str
    alt_text: str
    png: bytes


@dataclass(frozen=True)
class StoredReview:
    """A rendered review. `version` is the hash of what it says."""

    review_id: str
    week_start: date
    kind: Kind
    recipient_id: str
    version: str
    subject: str
    markdown: str
    html: str
    plain_text: str
    slack_blocks: list[dict[str, Any]]
    slack_text: str
    rendered_at: datetime
    images: tuple[Image, ...]
    address: str | None = None


def keep(connection: Connection, week_start: date, review: Review) -> StoredReview:
    """Store a review unless the same one is there already; returns what is stored."""
    document = review.document
    markdown, html = rendering.markdown(document), rendering.html(document)
    version = hashlib.sha256(f"{markdown}\0{html}".encode()).hexdigest()[:12]
    review_id = f"{week_start.isoformat()}.{review.kind}.{review.recipient_id}.{version}"
    facts = {
        "plain_text": rendering.plain_text(document),
        "slack_text": rendering.slack_fallback(document),
        "address": review.address,
    }
    added = connection.execute(
        """
        insert into ops.reviews (
            review_id, week_start, kind, recipient_id, version, subject, markdown, html, slack_blocks, facts
        ) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (review_id) do nothing
        """,
        (
            review_id,
            week_start,
            review.kind,
            review.recipient_id,
            version,
            document.title,
            markdown,
            html,
            Jsonb(rendering.slack_blocks(document), dumps=_plain_json),
            Jsonb(facts, dumps=_plain_json),
        ),
    )
    if added.rowcount:
        _keep_images(connection, review_id, document)
    return load(connection, review_id)


def _plain_json(value: Any) -> str:
    # jsonb holds no NUL and no lone surrogate
    return json.dumps(value).replace("\\u0000", "")


def _keep_images(connection: Connection, review_id: str, document: Document) -> None:
    for picture in document.pictures:
        connection.execute(
            "insert into ops.review_images (review_id, content_id, alt_text, png) values (%s, %s, %s, %s)",
            (review_id, picture.content_id, picture.alt_text, picture.png),
        )


def load(connection: Connection, review_id: str) -> StoredReview:
    """The review as it was stored. Raises LookupError."""
    row = connection.execute(
        """
        select week_start, kind, recipient_id, version, subject, markdown, html, slack_blocks, facts, rendered_at
        from ops.reviews where review_id = %s
        """,
        (review_id,),
    ).fetchone()
    if row is None:
        raise LookupError(f"There is no review {review_id}.")
    week_start, kind, recipient_id, version, subject, markdown, html, slack_blocks, facts, rendered_at = row
    with connection.cursor(row_factory=class_row(Image)) as cursor:
        images = cursor.execute(
            "select content_id, alt_text, png from ops.review_images where review_id = %s order by content_id",
            (review_id,),
        ).fetchall()
    return StoredReview(
        review_id=review_id,
        week_start=week_start,
        kind=kind,
        recipient_id=recipient_id,
        version=version,
        subject=subject,
        markdown=markdown,
        html=html,
        plain_text=facts["plain_text"],
        slack_blocks=slack_blocks,
        slack_text=facts["slack_text"],
        rendered_at=rendered_at,
        images=tuple(images),
        address=facts.get("address"),
    )


def claim_delivery(
    connection: Connection, review: StoredReview, *, channel: str, address: str, is_forced: bool
) -> int | None:
    """Note that a delivery begins; None when this week's review went to this address before, in whatever version.

    A delivery that was interrupted stays `sending`: it may have arrived, so only force sends it again.
    """
    if not is_forced:
        before = connection.execute(
            """
            select 1
            from ops.review_deliveries as deliveries
            inner join ops.reviews as reviews on deliveries.review_id = reviews.review_id
            where
                reviews.week_start = %s and reviews.kind = %s and reviews.recipient_id = %s
                and deliveries.channel = %s and deliveries.address = %s and deliveries.status in ('sent', 'sending')
            limit 1
            """,
            (review.week_start, review.kind, review.recipient_id, channel, address),
        ).fetchone()
        if before:
            return None
    row = connection.execute(
        """
        insert into ops.review_deliveries as known (review_id, channel, address, status)
        values (%s, %s, %s, 'sending')
        on conflict (review_id, channel, address) do update
        set status = 'sending', error = null, attempted_at = now()
        where known.status = 'failed' or %s
        returning delivery_id
        """,
        (review.review_id, channel, address, is_forced),
    ).fetchone()
    return int(row[0]) if row else None


def end_delivery(connection: Connection, delivery_id: int, *, status: str, error: str | None = None) -> None:
    connection.execute(
        "update ops.review_deliveries set status = %s, error = %s, attempted_at = now() where delivery_id = %s",
        (status, error, delivery_id),
    )


def note_file(connection: Connection, review: StoredReview, path: str) -> None:
    """Record that a review was written to a file; writing it again is no second delivery."""
    connection.execute(
        """
        insert into ops.review_deliveries as known (review_id, channel, address, status)
        values (%s, 'file', %s, 'written')
        on conflict (review_id, channel, address) do update set attempted_at = now()
        """,
        (review.review_id, path),
    )


def reviews_of_week(connection: Connection, week_start: date) -> Sequence[str]:
    """The newest review of each recipient."""
    rows = connection.execute(
        """
        select distinct on (kind, recipient_id) review_id from ops.reviews
        where week_start = %s
        order by kind, recipient_id, rendered_at desc
        """,
        (week_start,),
    )
    return [row[0] for row in rows]
