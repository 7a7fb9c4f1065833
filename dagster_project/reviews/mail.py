"""E-mail: plain text and HTML side by side, pictures inline, the same bytes for the same review."""

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

TIMEOUT_S = 30
DEFAULT_PORTS = {"smtp": 587, "smtps": 465}


class MailError(RuntimeError):
    """The mail server did not take a message; the text says why."""


@dataclass(frozen=True)
class InlineImage:
    content_id: str
    png: bytes


def build_mail(
    *,
    message_id: str,
    sent_at: datetime,
    sender: str,
    recipient: str,
    subject: str,
    plain_text: str,
    html: str | None = None,
    images: Sequence[InlineImage] = (),
) -> EmailMessage:
    """A message whose identity and boundaries come from `message_id`: built again, it is the same bytes."""
    mail = EmailMessage(policy=SMTP)
    mail["Message-ID"] = f"<{message_id}@call-coach>"
    mail["Date"] = format_datetime(sent_at)
    mail["From"] = sender
    mail["To"] = recipient
    mail["Subject"] = " ".join(subject.split())
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(plain_text)
    if html is not None:
        mail.add_alternative(html, subtype="html")
        body = mail.get_body(("html",))
        assert body is not None  # noqa: S101 - added a line above
        for image in images:
            body.add_related(
                image.png,
                "image",
                "png",
                cid=f"<{image.content_id}>",
                disposition="inline",
                filename=f"{image.content_id}.png",
            )
    for number, part in enumerate(part for part in mail.walk() if part.is_multipart()):
        part.set_boundary(f"=_{number}_{message_id}")
    return mail


def send_mail(smtp_url: str, mail: EmailMessage) -> None:
    """Hand one message to the server. Raises MailError."""
    parts = urlsplit(smtp_url)
    host, port = parts.hostname or "localhost", parts.port or DEFAULT_PORTS[parts.scheme]
    secure = ssl.create_default_context()
    try:
        with (
            smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=secure)
            if parts.scheme == "smtps"
            else smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        ) as server:
            if parts.scheme == "smtp":
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=secure)
                    server.ehlo()
                elif parts.username:
                    raise MailError(
                        f"{host} offers no encryption, so the password was not sent. Use smtps:// or STARTTLS."
                    )
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(mail)
    except (smtplib.SMTPException, OSError) as error:
        raise MailError(f"{host}:{port} did not take the message: {error}") from error
