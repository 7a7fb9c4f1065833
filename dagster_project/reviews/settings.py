"""Where reviews and alerts go. Without a mail server or a Slack address nothing is sent."""

from email.utils import parseaddr
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class ReviewSettings(BaseSettings):
    """Channels and recipients, from the environment."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True, populate_by_name=True
    )

    smtp_url: Annotated[SecretStr | None, Field(validation_alias="SMTP_URL")] = None
    """smtp://user:password@host:587 (STARTTLS where offered) or smtps://host:465."""
    mail_from: Annotated[str, Field(validation_alias="CALL_COACH_MAIL_FROM")] = "Call coach <call-coach@localhost>"
    slack_webhook_url: Annotated[SecretStr | None, Field(validation_alias="SLACK_WEBHOOK_URL")] = None
    """Leadership's channel: it gets the leadership page and the alerts, and never a named rep."""
    leaders: Annotated[tuple[str, ...], NoDecode, Field(validation_alias="CALL_COACH_LEADERS")] = ()
    operators: Annotated[tuple[str, ...], NoDecode, Field(validation_alias="CALL_COACH_OPERATORS")] = ()
    """Who hears of failures; the leaders do not have to."""
    dashboard_url: Annotated[str, Field(validation_alias="CALL_COACH_DASHBOARD_URL")] = "http://127.0.0.1:8501"

    daily_spend_alert_usd: Annotated[float, Field(validation_alias="CALL_COACH_ALERT_DAILY_USD", gt=0)] = 100.0
    cache_hit_alert: Annotated[float, Field(validation_alias="CALL_COACH_ALERT_CACHE_HIT", ge=0, le=1)] = 0.5
    stale_after_hours: Annotated[float, Field(validation_alias="CALL_COACH_ALERT_STALE_HOURS", gt=0)] = 6.0

    @field_validator("leaders", "operators", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        if self.smtp_url and urlsplit(self.smtp_url.get_secret_value()).scheme not in ("smtp", "smtps"):
            raise ValueError("SMTP_URL must look like smtp://user:password@mail.example.com:587")
        if "@" not in parseaddr(self.mail_from)[1]:
            raise ValueError("CALL_COACH_MAIL_FROM must hold an e-mail address")
        return self
