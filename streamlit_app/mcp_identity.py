"""Whose eyes an MCP request looks through: from its token, or from the configuration of a local process."""

import hashlib
import time
from threading import Lock

from fastmcp.server.auth import AccessToken, TokenVerifier
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.dependencies import get_access_token

from streamlit_app.queries.database import Database
from streamlit_app.queries.people import people
from streamlit_app.queries.viewer import ADMIN, LEADER, Person, UnknownViewerError, Viewer, viewer_for
from streamlit_app.settings import Settings, TokenGrant

PEOPLE_TTL_S = 60.0


class HashedTokenVerifier(TokenVerifier):
    """Static bearer tokens of which only the SHA-256 is configured."""

    def __init__(self, grants: dict[str, TokenGrant]) -> None:
        super().__init__(required_scopes=["read"])
        self._grants = {digest.lower(): grant for digest, grant in grants.items()}

    async def verify_token(self, token: str) -> AccessToken | None:
        grant = self._grants.get(hashlib.sha256(token.encode()).hexdigest())
        if grant is None or "read" not in grant.scopes:
            return None
        return AccessToken(
            token=token, client_id=grant.viewer, scopes=list(grant.scopes), claims={"viewer": grant.viewer}
        )


class AnyOfVerifier(TokenVerifier):
    """The first verifier that knows the token decides."""

    def __init__(self, verifiers: list[TokenVerifier]) -> None:
        super().__init__(required_scopes=["read"])
        self._verifiers = verifiers

    async def verify_token(self, token: str) -> AccessToken | None:
        for verifier in self._verifiers:
            found = await verifier.verify_token(token)
            if found is not None:
                return found
        return None


def verifier_from(settings: Settings) -> TokenVerifier | None:
    """The verifier the settings ask for; none when no token is configured."""
    verifiers: list[TokenVerifier] = []
    if settings.mcp_tokens:
        verifiers.append(HashedTokenVerifier(settings.mcp_tokens))
    if settings.has_jwt:
        verifiers.append(
            JWTVerifier(
                public_key=settings.mcp_jwt_public_key,
                jwks_uri=settings.mcp_jwks_url,
                issuer=settings.mcp_jwt_issuer,
                audience=settings.mcp_jwt_audience,
                required_scopes=["read"],
            )
        )
    if not verifiers:
        return None
    return verifiers[0] if len(verifiers) == 1 else AnyOfVerifier(verifiers)


class Identity:
    """Maps the caller of the current request to a viewer; never reads a tool's arguments."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._people: tuple[Person, ...] = ()
        self._people_until = 0.0
        self._lock = Lock()

    def _known_people(self) -> tuple[Person, ...]:
        with self._lock:
            if time.monotonic() >= self._people_until:
                self._people = people(self._database)
                self._people_until = time.monotonic() + PEOPLE_TTL_S
            return self._people

    def caller(self) -> str:
        """A name for limits and the audit log, known before the database is asked."""
        token = get_access_token()
        return token.client_id if token else f"local:{self._settings.local_viewer}"

    def viewer(self) -> Viewer:
        """Who asks. A token names a person by rep id or e-mail address, and its scopes say whether they may write."""
        token = get_access_token()
        if token is not None:
            claims = token.claims or {}
            who = str(claims.get("viewer") or claims.get("email") or claims.get("sub") or "")
            can_write = "write" in token.scopes
        elif self._settings.local_viewer is not None:
            who, can_write = self._settings.local_viewer, True
        else:
            raise UnknownViewerError(
                "This server does not know who is asking: no token came with the request and no local viewer is "
                "configured (CALL_COACH_LOCAL_VIEWER)."
            )
        for local in (ADMIN, LEADER):
            # only our own configuration may use these names: a JWT's subject is chosen elsewhere
            if who.casefold() == local.viewer_id and (token is None or "viewer" in (token.claims or {})):
                return Viewer(viewer_id=local.viewer_id, name=local.name, role=local.role, can_write=can_write)
        return viewer_for(
            who,
            people=self._known_people(),
            leaders=self._settings.leaders,
            admins=self._settings.admins,
            can_write=can_write,
        )
