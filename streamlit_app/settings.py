"""What the dashboard and the MCP server read from their surroundings."""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

type_of_scope = Literal["read", "write"]


class TokenGrant(BaseModel):
    """Who a static bearer token stands for, and what it may do."""

    model_config = ConfigDict(frozen=True)

    viewer: str
    scopes: tuple[type_of_scope, ...] = ("read",)


class Settings(BaseSettings):
    """Values from the environment; nothing is read before an instance is made."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, populate_by_name=True)

    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    # local mode: everyone who reaches the port is this person, so it is off unless set and binds loopback only
    local_viewer: str | None = Field(default=None, validation_alias="CALL_COACH_LOCAL_VIEWER")
    leaders: Annotated[tuple[str, ...], NoDecode] = Field(default=(), validation_alias="CALL_COACH_LEADERS")
    admins: Annotated[tuple[str, ...], NoDecode] = Field(default=(), validation_alias="CALL_COACH_ADMINS")
    statement_timeout_s: float = Field(default=10.0, gt=0, validation_alias="CALL_COACH_STATEMENT_TIMEOUT_S")
    dashboard_url: str = Field(default="http://127.0.0.1:8501", validation_alias="CALL_COACH_DASHBOARD_URL")

    # keyed by the SHA-256 of the token: the setting itself opens nothing
    mcp_tokens: dict[str, TokenGrant] = Field(default_factory=dict, validation_alias="CALL_COACH_MCP_TOKENS")
    mcp_jwt_public_key: str | None = Field(default=None, validation_alias="CALL_COACH_MCP_JWT_PUBLIC_KEY")
    mcp_jwks_url: str | None = Field(default=None, validation_alias="CALL_COACH_MCP_JWKS_URL")
    mcp_jwt_issuer: str | None = Field(default=None, validation_alias="CALL_COACH_MCP_JWT_ISSUER")
    mcp_jwt_audience: str | None = Field(default=None, validation_alias="CALL_COACH_MCP_JWT_AUDIENCE")
    mcp_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), validation_alias="CALL_COACH_MCP_ALLOWED_HOSTS"
    )

    @field_validator("leaders", "admins", "mcp_allowed_hosts", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("mcp_tokens", mode="before")
    @classmethod
    def _parse_tokens(cls, value: object) -> object:
        if isinstance(value, str):
            return json.loads(value) if value.strip() else {}
        return value

    @property
    def has_jwt(self) -> bool:
        return self.mcp_jwt_public_key is not None or self.mcp_jwks_url is not None

    @property
    def has_tokens(self) -> bool:
        return bool(self.mcp_tokens) or self.has_jwt
