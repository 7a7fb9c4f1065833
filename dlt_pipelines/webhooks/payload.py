"""What a stored event says. Only a hint: which call it is about; the call itself is read from Gong's API."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

OLDEST_YEAR, LATEST_YEAR = 1970, 9999
PLAIN_CALL_ID = re.compile(r"[\x21-\x7e]{1,100}")


class OddEventError(ValueError):
    """The bytes are genuine and say nothing that can be acted on; the text says why."""


@dataclass(frozen=True)
class Hint:
    """The call an event is about. `started_at` is the sender's word and may be missing."""

    call_id: str
    started_at: datetime | None
    is_test: bool


def read_hint(body: bytes) -> Hint:
    """Raises OddEventError."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise OddEventError(f"the body is not JSON ({type(error).__name__})") from error
    if not isinstance(event, dict):
        raise OddEventError("the body is not a JSON object")
    is_test = event.get("isTest") is True
    meta = _object(_object(event.get("callData")).get("metaData"))
    call_id = meta.get("id")
    if isinstance(call_id, int) and not isinstance(call_id, bool):
        call_id = str(call_id)
    if not isinstance(call_id, str) or not PLAIN_CALL_ID.fullmatch(call_id):
        if is_test:
            return Hint(call_id="", started_at=None, is_test=True)
        raise OddEventError("callData.metaData.id is missing or is not an id")
    return Hint(call_id=call_id, started_at=_moment(meta.get("started")), is_test=is_test)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    # at the calendar's edges another zone's clock, or Postgres, names a year that Python does not have
    if not OLDEST_YEAR <= moment.year < LATEST_YEAR:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
