"""Links of this server's own to a file of the bucket, for a bucket that has none which others could follow.

A link is good for one file and some time, for whoever holds it; it is signed with a key that lies beside the state, so
that a restart breaks none.
"""

import hashlib
import hmac
import secrets
import time
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode

from fastapi import Request

from dawa_assets.http.errors import RefusedRequestError
from dawa_assets.http.proxies import HOST
from modal_app.data_root.atomic_writes import read_or_create
from resources.errors import SettingsError

_BYTES = 32


def base_of(request: Request, serve_url: str | None) -> str:
    """Return the address of this server as its clients know it: the setting, or what the request was sent to.

    Raises:
        RefusedRequestError: the request names no host, and there is no setting.
    """
    if serve_url is not None:
        return serve_url
    host = request.headers.get("host", "")
    if not HOST.fullmatch(host):
        raise RefusedRequestError(
            HTTPStatus.BAD_REQUEST, "Host: is no name of a server; set DAWA_SERVE_URL, or send one"
        )
    return f"{request.scope['scheme']}://{host}{request.scope.get('root_path', '')}"


class Links:
    """Makes and checks links; the key is made in `file` when it is first needed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._key: bytes | None = None

    def make(self, base: str, key: str, seconds: int) -> str:
        """Return a URL below `base` under which the object can be read for so many seconds."""
        expires = str(int(time.time()) + seconds)
        query = urlencode({"expires": expires, "signature": self._signature(key, expires)})
        return f"{base.rstrip('/')}/files/{quote(key)}?{query}"

    def is_good(self, key: str, expires: str, signature: str) -> bool:
        """Return whether these came from a link to this object that has not run out."""
        if not (expires.isascii() and expires.isdigit() and len(expires) < 12):
            return False
        given = signature.encode("utf-8", "replace")
        return hmac.compare_digest(given, self._signature(key, expires).encode()) and time.time() < int(expires)

    def _signature(self, key: str, expires: str) -> str:
        message = f"{expires}\n{key}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret(), message, hashlib.sha256).hexdigest()

    def _secret(self) -> bytes:
        """Return the key: of several processes that make it at once, one's."""
        if self._key is None:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._key = read_or_create(self._file, lambda: secrets.token_bytes(_BYTES), mode=0o600)
            except OSError as error:
                raise SettingsError(f"{self._file}: can't be made or read: {error.strerror}; set DAWA_HOME") from None
            if len(self._key) < _BYTES:
                raise SettingsError(f"{self._file}: is no key; remove it, and a new one is made")
        return self._key
