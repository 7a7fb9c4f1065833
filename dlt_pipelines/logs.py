"""Log lines: plain for people, or one JSON object a line with the ids of the work at hand; never with a secret.

The ids (`event_key`, `call_id`, `run_id`, `request_id`, ...) live in structlog's context variables: whoever begins a
piece of work binds them with `bound_contextvars`, and every line written inside it carries them.
"""

import functools
import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from structlog.contextvars import merge_contextvars
from structlog.processors import JSONRenderer, TimeStamper, format_exc_info
from structlog.stdlib import ProcessorFormatter, add_log_level, add_logger_name

PACKAGES = ("dagster_project", "dlt_pipelines", "knowledge", "streamlit_app")
SECRET_NAME = re.compile(r"_(KEY|SECRET|TOKEN|PASSWORD)S?$|^(SMTP_URL|SLACK_WEBHOOK_URL)$")
# shorter values are words that also stand for something else
SHORTEST_SECRET = 8
# the parts of a plain line; everything else that is bound is an id
WRITTEN_OUT = frozenset({"at", "level", "logger", "event", "exception"})
PASSWORD_IN_URL = re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+@")


class LogSettings(BaseSettings):
    """How much is logged, and how."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, populate_by_name=True)

    log_level: str = "INFO"
    log_format: Literal["text", "json"] = Field(default="text", validation_alias="CALL_COACH_LOG_FORMAT")

    @field_validator("log_level")
    @classmethod
    def _is_a_level(cls, value: str) -> str:
        if value.upper() not in logging.getLevelNamesMapping():
            raise ValueError("it must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()


def write_logs(settings: LogSettings) -> None:
    """Send our packages' lines from the chosen level up, and other packages' warnings, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[
                TimeStamper(fmt="iso", utc=True, key="at"),
                add_log_level,
                add_logger_name,
                merge_contextvars,
                format_exc_info,
            ],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                JSONRenderer(ensure_ascii=False, default=str) if settings.log_format == "json" else _plain,
                lambda _, __, line: without_secrets(str(line)),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in PACKAGES:
        logging.getLogger(name).setLevel(settings.log_level)


def _plain(_: Any, __: str, line: Mapping[str, Any]) -> str:
    ids = "".join(f" {name}={value}" for name, value in sorted(line.items()) if name not in WRITTEN_OUT)
    text = f"{line['at']} {line['level'].upper()} {line['logger']}: {line['event']}{ids}"
    return f"{text}\n{line['exception']}" if "exception" in line else text


def without_secrets(text: str) -> str:
    """The text with every secret of the environment, and every password inside a URL, blotted out."""
    for secret in _secrets():
        text = text.replace(secret, "***")
    return PASSWORD_IN_URL.sub(r"\1:***@", text)


@functools.cache
def _secrets() -> tuple[str, ...]:
    values = [value for name, value in os.environ.items() if SECRET_NAME.search(name) and "PUBLIC" not in name]
    parts = {part.strip() for value in values for part in (value, *value.split(","))}
    # the longest first, so that no end of one is left standing
    return tuple(sorted((part for part in parts if len(part) >= SHORTEST_SECRET), key=len, reverse=True))
