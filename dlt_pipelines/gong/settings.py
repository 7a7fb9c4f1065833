"""What the Gong loader can be told. The environment is read here and nowhere else in this package."""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class GongSettings(BaseSettings):
    """Access to one Gong company. Every field reads `GONG_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="GONG_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    api_key: SecretStr = SecretStr("")
    api_secret: SecretStr = SecretStr("")
    api_base_url: str = "https://api.gong.io"

    look_back_days: int = Field(default=14, ge=0)
    """Gong has no "modified since": this many days are read again on every incremental load."""
    history_days: int = Field(default=90, ge=1)
    """How far back the first incremental load and a full load without known calls reach."""
    give_up_after_days: int = Field(default=14, ge=0)
    """How long a missing transcript or call is asked for before it is given up with a record."""
    include_private_calls: bool = False
    confirm_deletes: bool = False
    """Believe a full load also when most calls of a window are gone."""
    window_days: int = Field(default=90, ge=1)
    """Span of one paging sequence; it doubles while windows stay nearly empty."""

    requests_per_second: int = Field(default=3, ge=1)
    daily_requests: int = Field(default=10_000, ge=1)
    patience_s: float = Field(default=120.0, ge=0)
    """The longest Retry-After that is waited for; a longer one ends the load as partial."""
    timeout_s: float = Field(default=60.0, gt=0)
    max_attempts: int = Field(default=5, ge=1)
    lock_wait_s: float = Field(default=900.0, ge=0)
    """How long a second load of the same database waits for the first."""

    @field_validator("api_base_url")
    @classmethod
    def _drop_version(cls, value: str) -> str:
        url = value.strip().rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"GONG_API_BASE_URL must look like https://api.gong.io, not {value!r}")
        return url.removesuffix("/v2").rstrip("/")
