"""Who may: users with a token, for the artists that they are linked to, or whoever has the password, for all.

Who asks is found out by a request's headers before anything else of it is read (`request_limits.py`); here is by
what rule.
"""

import hmac
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from dawa_assets.errors import UnauthorizedError, UnknownArtistError
from dawa_assets.http.tokens import TokenCheck
from dawa_assets.tables.artists import Artist, find_artist
from modal_app.errors import DawaError
from modal_app.web.messages import PASSWORD_FIELD
from modal_app.web.options import is_set
from resources.database.base import Database
from resources.settings import Settings

bearer_scheme = HTTPBearer(
    auto_error=False, scheme_name="user", description="A signed-in user's token of the Supabase project (its JWT)."
)
password_scheme = APIKeyHeader(
    name=PASSWORD_FIELD, auto_error=False, scheme_name="password", description="NAWFSIDE_APP_PASSWORD"
)


@dataclass(frozen=True)
class Caller:
    """Who asks: a user, or (None) somebody who may see every artist."""

    user: UUID | None = None

    def artist(self, database: Database, artist_id: UUID) -> Artist:
        """Return the artist of this id.

        Raises:
            UnknownArtistError: there is none, or the caller may not know of them.
        """
        with database.transaction() as connection:
            found = find_artist(connection, str(artist_id), self.user, by=("id",))
        if found is None:
            raise UnknownArtistError(
                f"artist {artist_id}: there is none of this id that you may see; look the id up again"
            )
        return found

    def artist_called(self, database: Database, slug: str) -> Artist:
        """Return the artist of this slug; raises as `artist`."""
        found = None
        if slug.isascii() and slug.isprintable() and len(slug) <= 200:
            with database.transaction() as connection:
                found = find_artist(connection, slug, self.user, by=("slug",))
        if found is None:
            raise UnknownArtistError(
                f"artist {slug[:80]!r}: there is none of this name that you may see; look the name up again"
            )
        return found


EVERYBODY = Caller()


class Access:
    """What is configured, and who gets in by it; without settings, everybody."""

    def __init__(self, settings: Settings | None) -> None:
        self._password = b""
        self._tokens: TokenCheck | None = None
        if settings is None:
            return
        password = settings.app_password.get_secret_value() if is_set(settings.app_password) else ""  # type: ignore[union-attr]
        secret = settings.supabase_jwt_secret.get_secret_value() if settings.supabase_jwt_secret is not None else ""
        self._password = password.encode("utf-8", "surrogateescape")
        if secret or settings.supabase_url:
            self._tokens = TokenCheck(secret or None, settings.supabase_url, keys_seconds=settings.jwks_seconds)

    @property
    def by_password(self) -> bool:
        """Whether there is a password."""
        return bool(self._password)

    @property
    def by_token(self) -> bool:
        """Whether users' tokens can be checked."""
        return self._tokens is not None

    @property
    def is_open(self) -> bool:
        """Whether everybody gets in."""
        return not (self.by_password or self.by_token)

    def caller(self, password: str | None, token: str | None) -> Caller:
        """Return who asks, by what came with the request.

        Raises:
            UnauthorizedError: it is wrong, or something is needed and nothing came.
        """
        if self.is_open:
            return EVERYBODY
        if password is not None and self.by_password:
            # A header's bytes come as Latin-1, a form's as UTF-8.
            given = [password.encode(encoding, "replace") for encoding in ("latin-1", "utf-8")]
            if not sum(hmac.compare_digest(one, self._password) for one in given):
                raise UnauthorizedError("the password is wrong; send the one of NAWFSIDE_APP_PASSWORD")
            return EVERYBODY
        if token is not None and self._tokens is not None:
            return Caller(self._tokens.user(token))
        ways = [*(["the header x-train-password"] * self.by_password), *(["a user's bearer token"] * self.by_token)]
        raise UnauthorizedError(f"this server is protected; send {' or '.join(ways)}")


@dataclass(frozen=True)
class Identity:
    """What a request's headers say of who asks: a caller, or why there is none."""

    caller: Caller | None = None
    refusal: DawaError | None = None

    def require(self) -> Caller:
        """Return the caller; raises as `Access.caller`."""
        if self.caller is None:
            raise self.refusal or UnauthorizedError("it is not known who asks; sign in, or send the password")
        return self.caller


def identity_of(request: Request) -> Identity:
    """Return what the gate found out about who sends this request."""
    identity: Identity = request.state.identity
    return identity


async def _caller(
    request: Request,
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)],
    _password: Annotated[str | None, Depends(password_scheme)],
) -> Caller:
    return identity_of(request).require()


async def _everybody(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    """For what is no one artist's: a user's token is not enough."""
    if caller.user is not None:
        raise UnauthorizedError("this is not bound to one of your artists; send the password")
    return caller


MAY_BE_NAMED = [Depends(bearer_scheme), Depends(password_scheme)]
"""A route's dependencies: its page shows by what a caller is known, and the route looks at the identity itself."""

CallerOf = Annotated[Caller, Depends(_caller)]
"""A route's parameter: who asks."""

EVERYBODY_ONLY = Depends(_everybody)
"""A route's dependency: who asks may see every artist."""
