"""Slack, through an incoming webhook."""

from collections.abc import Sequence
from typing import Any

import httpx

TIMEOUT_S = 15


class SlackError(RuntimeError):
    """Slack did not take a message; the text says why and never names the address, which is a secret."""


def post(webhook_url: str, *, text: str, blocks: Sequence[dict[str, Any]] = ()) -> None:
    """Post one message. Raises SlackError."""
    message: dict[str, Any] = {"text": text, "unfurl_links": False}
    if blocks:
        message["blocks"] = list(blocks)
    try:
        answer = httpx.post(webhook_url, json=message, timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        raise SlackError(f"Slack could not be reached ({type(error).__name__}).") from error
    if answer.status_code != 200:
        raise SlackError(f"Slack answered {answer.status_code}: {answer.text[:200]}")
