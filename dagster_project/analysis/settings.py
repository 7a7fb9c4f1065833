from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from dagster_project.settings import ROOT

OFFICIAL_URL = "https://api.anthropic.com"


class AnalysisSettings(BaseSettings):
    """What a scoring run may vary without a change of code. Every field is an environment variable.

    Budgets are in dollars; None means no limit. `model`, `effort` and `thinking` are part of the result key.
    """

    model_config = SettingsConfigDict(
        env_prefix="CALL_COACH_", env_file=ROOT / ".env", env_ignore_empty=True, extra="ignore", populate_by_name=True
    )

    api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("ANTHROPIC_API_KEY", "CALL_COACH_ANTHROPIC_API_KEY")
    )
    base_url: str = Field(
        default=OFFICIAL_URL, validation_alias=AliasChoices("ANTHROPIC_BASE_URL", "CALL_COACH_ANTHROPIC_BASE_URL")
    )
    model: str = "claude-sonnet-5-5"
    # None: what the model's entry in knowledge/models.yaml allows at the least cost
    effort: str | None = None
    thinking: str | None = None
    max_output_tokens: int = Field(default=8_000, ge=256)

    concurrency: int = Field(default=32, ge=1)
    request_timeout_s: float = Field(default=120.0, gt=0)
    call_deadline_s: float = Field(default=900.0, gt=0)
    # attempts at one request, the first included, over all kinds of errors that may pass
    max_attempts: int = Field(default=5, ge=1)
    # a Retry-After beyond this ends the run instead of holding it open
    max_retry_after_s: float = Field(default=120.0, gt=0)

    budget_call_usd: float | None = 5.0
    budget_day_usd: float | None = None
    budget_run_usd: float | None = None

    result_ttl_days: int = Field(default=90, ge=0)
    # calls above `whole_call_tokens` (None: what the model's window and price band hold) are cut into `chunk_tokens`
    whole_call_tokens: int | None = Field(default=None, ge=1)
    chunk_tokens: int = Field(default=80_000, ge=50)
    min_call_s: int = Field(default=300, ge=0)
    # languages whose calls are scored, as prefixes of Gong's codes; calls without a language are scored
    languages: str = "en"

    @property
    def origin(self) -> str:
        return self.base_url.rstrip("/").removesuffix("/v1")
