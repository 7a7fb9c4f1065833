"""What the HubSpot loader can be told. The environment is read here and nowhere else in this package."""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class HubSpotSettings(BaseSettings):
    """Access to one HubSpot account. Every field reads `HUBSPOT_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="HUBSPOT_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    access_token: SecretStr = SecretStr("")
    base_url: str = "https://api.hubapi.com"

    overlap_minutes: int = Field(default=15, ge=0)
    """HubSpot's search lags behind its writes: this much before the last read is read again."""
    search_limit: int = Field(default=10_000, ge=200)
    """HubSpot refuses to page a search beyond this many results."""
    requests_per_second: int = Field(default=4, ge=1)
    """Search allows five a second for an account, the tightest of HubSpot's limits."""
    daily_requests: int = Field(default=100_000, ge=1)
    patience_s: float = Field(default=120.0, ge=0)
    timeout_s: float = Field(default=60.0, gt=0)
    max_attempts: int = Field(default=5, ge=1)
    lock_wait_s: float = Field(default=900.0, ge=0)

    @field_validator("base_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"HUBSPOT_BASE_URL must look like https://api.hubapi.com, not {value!r}")
        return value.strip().rstrip("/")
