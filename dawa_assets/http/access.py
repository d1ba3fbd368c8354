"""Who may: users with a token, for the artists that they are linked to, or whoever has the password, for all.

With neither configured the server is open, for this machine only: then a page of some other site, open in a browser
here, must not get through either.
"""

import hmac
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Depends
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from dawa_assets.artists.store import Artist, artist_called, artist_of
from dawa_assets.errors import UnauthorizedError, UnknownArtistError
from dawa_assets.http.service import Service, service_of
from dawa_assets.http.tokens import TokenCheck
from modal_app.web.options import is_set
from resources.database import Database
from resources.settings import Settings

bearer_scheme = HTTPBearer(
    auto_error=False, scheme_name="user", description="A signed-in user's token of the Supabase project (its JWT)."
)
password_scheme = APIKeyHeader(
    name="x-train-password", auto_error=False, scheme_name="password", description="NAWFSIDE_APP_PASSWORD"
)


@dataclass(frozen=True)
class Caller:
    """Who asks: a user, or (None) somebody who may see every artist."""

    user: UUID | None = None

    def artist(self, database: Database, artist_id: UUID) -> Artist:
        """The artist of this id.

        Raises:
            UnknownArtistError: there is none, or the caller may not know of him.
        """
        with database.transaction() as connection:
            found = artist_of(connection, artist_id, self.user)
        if found is None:
            raise UnknownArtistError(f"artist {artist_id}: there is none of this id that you may see")
        return found

    def artist_called(self, database: Database, slug: str) -> Artist:
        """The artist of this slug; raises as `artist`."""
        found = None
        if slug.isascii() and slug.isprintable() and len(slug) <= 200:
            with database.transaction() as connection:
                found = artist_called(connection, slug, self.user)
        if found is None:
            raise UnknownArtistError(f"artist {slug[:80]!r}: there is none of this name that you may see")
        return found


EVERYBODY = Caller()


class Access:
    """What is configured, and who gets in by it."""

    def __init__(self, settings: Settings) -> None:
        password = settings.app_password.get_secret_value() if is_set(settings.app_password) else ""  # type: ignore[union-attr]
        secret = settings.supabase_jwt_secret.get_secret_value() if settings.supabase_jwt_secret is not None else ""
        self._password = password.encode("utf-8", "surrogateescape")
        self._tokens = TokenCheck(secret or None, settings.supabase_url) if secret or settings.supabase_url else None

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
        """Who asks, by what came with the request.

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


def is_foreign(host: str | None, origin: str | None) -> bool:
    """Whether a request to an open server names another machine, as a browser does for another site's page.

    A page can make a browser send to this machine (by a name that leads here, or straight to it), but not choose what
    the browser writes into these two headers.
    """
    return not _is_here(f"//{host}") or (origin is not None and not _is_here(origin))


def _is_here(address: str) -> bool:
    try:
        name = urlsplit(address).hostname or ""
    except ValueError:
        return False
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


async def caller_by(service: Service, bearer: HTTPAuthorizationCredentials | None, password: str | None) -> Caller:
    """Who asks, by a request's headers; raises as `Access.caller`."""
    return await service.identifying(
        service.access.caller, password, bearer.credentials if bearer is not None else None
    )


async def _caller(
    service: Annotated[Service, Depends(service_of)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)],
    password: Annotated[str | None, Depends(password_scheme)],
) -> Caller:
    return await caller_by(service, bearer, password)


async def _everybody(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    """For what is no one artist's: a user's token is not enough."""
    if caller.user is not None:
        raise UnauthorizedError("this needs the password: it is not bound to one of your artists")
    return caller


CallerOf = Annotated[Caller, Depends(_caller)]
"""A route's parameter: who asks."""

EVERYBODY_ONLY = Depends(_everybody)
"""A route's dependency: who asks may see every artist."""
