"""Users' tokens: whether the Supabase project issued one, to a signed-in user, for now. No artists here.

A project signs with its public keys (ES256, RS256; they can be rotated at any time) or with its older secret (HS256).
Which of the two a token may be checked with is decided by what is configured, never by the token alone.
"""

import json
import logging
import threading
import time
from uuid import UUID

import httpx
import jwt

from dawa_assets.errors import UnauthorizedError
from modal_app.service_address import service_address
from resources.errors import NotNowError, SettingsError

log = logging.getLogger(__name__)

_AUDIENCE = "authenticated"
_PUBLIC = ("ES256", "RS256")
_LEEWAY_SECONDS = 5
_MAX_LENGTH = 8192
KEYS_SECONDS = 60.0
_UNCONFIRMED_SECONDS = 600.0  # keys count for so long that the project was last heard to have; it may be out of service
_ASKED_AGAIN_SECONDS = 10.0
_MAX_BYTES = 1 << 18
_REFUSED = "the token is not one of a signed-in user of this project; sign in again"


class TokenCheck:
    """Checks tokens; safe across threads.

    Args:
        secret: the project's older secret (HS256); None refuses such tokens.
        project_url: the project's address, whose public keys count and which must have issued the token; None refuses
            tokens with public keys, and asks nobody.
        keys_seconds: after how long the public keys are asked for anew: a revoked one goes on to count so long.

    Raises:
        SettingsError: the address is none, or would be asked in the clear.
    """

    def __init__(self, secret: str | None, project_url: str | None, *, keys_seconds: float = KEYS_SECONDS) -> None:
        self._secret = secret
        self._issuer: str | None = None
        self._keys: _PublicKeys | None = None
        if project_url is not None:
            try:
                address = service_address(project_url, setting="SUPABASE_URL", example="https://abc.supabase.co")
            except ValueError as error:
                raise SettingsError(str(error)) from None
            self._issuer = f"{address.url}/auth/v1"
            self._keys = _PublicKeys(f"{self._issuer}/.well-known/jwks.json", address.shown, keys_seconds)

    def user(self, token: str) -> UUID:
        """Return whose token it is.

        Raises:
            UnauthorizedError: it is none of a signed-in user of this project, or it has run out.
            NotNowError: the project's keys can't be had now.
        """
        if len(token) > _MAX_LENGTH:
            raise UnauthorizedError(_REFUSED)
        try:
            header = jwt.get_unverified_header(token)
            key, algorithm = self._key(header.get("alg"), header.get("kid"))
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=_AUDIENCE,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "aud", "sub", *(["iss"] if self._issuer else [])]},
            )
            if claims.get("role", _AUDIENCE) != _AUDIENCE:
                raise UnauthorizedError(_REFUSED)
            return UUID(str(claims["sub"]))
        except jwt.ExpiredSignatureError:
            raise UnauthorizedError("the token has run out; sign in again") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise UnauthorizedError(_REFUSED) from None

    def _key(self, algorithm: object, key_id: object) -> tuple[jwt.PyJWK | str, str]:
        """Return what this token is checked with: only a key that is of the token's own algorithm."""
        if algorithm == "HS256" and self._secret is not None:
            return self._secret, "HS256"
        if algorithm in _PUBLIC and isinstance(key_id, str) and self._keys is not None:
            key = self._keys.get(key_id)
            if key is not None and key.algorithm_name == algorithm:
                return key, key.algorithm_name
        raise UnauthorizedError(_REFUSED)


class _PublicKeys:
    """The project's public keys, kept for a while; asked for anew, but not all the time, for an unknown one."""

    def __init__(self, url: str, shown: str, seconds: float) -> None:
        self._url, self._shown, self._seconds = url, shown, seconds
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._asked_at: float | None = None

    def get(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key of this id; None where the project has none.

        Nobody but the one who asks the project waits for it, unless nothing is known yet.

        Raises:
            NotNowError: nothing is known yet, and the project does not answer.
        """
        with self._lock:
            if self._read_at is None:
                self._refresh()
            ask = self._is_due(key_id)
            if ask:
                self._asked_at = time.monotonic()
        if ask:
            self._refresh()
        if self._read_at is None or time.monotonic() - self._read_at > max(_UNCONFIRMED_SECONDS, self._seconds):
            raise NotNowError(f"{self._shown}: its public keys can't be had now; try again later")
        return self._keys.get(key_id)

    def _is_due(self, key_id: str) -> bool:
        now = time.monotonic()
        if self._asked_at is not None and now - self._asked_at < min(_ASKED_AGAIN_SECONDS, self._seconds):
            return False
        return self._read_at is None or key_id not in self._keys or now - self._read_at >= self._seconds

    def _refresh(self) -> None:
        """Ask the project; where it does not answer, what was known still counts."""
        if self._read_at is None and not self._is_due(""):
            return  # it did not answer a moment ago
        self._asked_at = time.monotonic()
        try:
            self._keys = self._read()
        except (httpx.HTTPError, ValueError, TypeError, KeyError, jwt.PyJWTError) as error:
            log.warning("%s: its public keys can't be had: %s", self._shown, type(error).__name__)
        else:
            self._read_at = time.monotonic()

    def _read(self) -> dict[str, jwt.PyJWK]:
        content = bytearray()
        with httpx.stream("GET", self._url, timeout=5.0, follow_redirects=False) as answer:
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _MAX_BYTES:
                    raise ValueError("more than keys")
        listed = json.loads(content)["keys"] if content else []
        return {
            key.key_id: key
            for given in listed
            if isinstance(given, dict) and (key := _usable(given)) is not None and isinstance(key.key_id, str)
        }


def _usable(given: dict[str, object]) -> jwt.PyJWK | None:
    """Return a public key of a kind that is taken; None for any other, secrets among them."""
    try:
        key = jwt.PyJWK.from_dict(given)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return key if key.algorithm_name in _PUBLIC else None
