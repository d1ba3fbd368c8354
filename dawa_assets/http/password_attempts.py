"""Wrong passwords, by who sent them: whoever sends many is not looked at for a while, so that guessing takes ages.

Behind a proxy that is not trusted (DAWA_WEB_PROXIES) all its clients are one sender.
"""

import time
from http import HTTPStatus
from ipaddress import ip_network

from dawa_assets.http.errors import RefusedRequestError

_FREE = 30
_SECONDS_EACH = 3.0
_MAX_SENDERS = 10_000


class FailedAttempts:
    """Counts wrong passwords of each sender (an IPv4 address, an IPv6 network of 64 bits); they wear off.

    Args:
        free: how many are taken one after the other without a pause.
        seconds_each: after how many seconds one of them is forgotten.
    """

    def __init__(self, free: int = _FREE, seconds_each: float = _SECONDS_EACH) -> None:
        self._free = free
        self._seconds_each = seconds_each
        self._forgotten_at: dict[str, float] = {}  # by sender: when the last one is

    def note(self, address: str) -> None:
        """Count a password that was wrong, or missing where it was needed."""
        now = time.monotonic()
        sender = _sender(address)
        until = max(self._forgotten_at.pop(sender, now), now) + self._seconds_each
        self._forgotten_at[sender] = until
        if len(self._forgotten_at) > _MAX_SENDERS:
            self._forgotten_at = {name: at for name, at in self._forgotten_at.items() if at > now}
            while len(self._forgotten_at) > _MAX_SENDERS:
                del self._forgotten_at[next(iter(self._forgotten_at))]

    def require_patience(self, address: str) -> None:
        """Let pass who has not sent too many.

        Raises:
            RefusedRequestError: 429; it says when to come again.
        """
        wait = self._forgotten_at.get(_sender(address), 0.0) - time.monotonic() - self._free * self._seconds_each
        if wait > -self._seconds_each:
            seconds = max(int(wait + self._seconds_each) + 1, 1)
            raise RefusedRequestError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"too many requests without the right password came from your address; try again in {seconds} s",
                {"Retry-After": str(seconds)},
            )


def _sender(address: str) -> str:
    try:
        return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address
    except ValueError:
        return address
