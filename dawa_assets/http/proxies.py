"""What a proxy says of a request that it hands on: believed of the proxies in DAWA_WEB_PROXIES, of nobody else.

Anybody can send these headers: strangers would choose where links lead, and whose wrong passwords are counted.
"""

import re
from collections.abc import Collection
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


class TrustedProxies:
    """Wraps an app: of a trusted proxy's request, the scheme, the client, the host and the prefix are what it says.

    `X-Forwarded-For` is read from its end, to the first address that is no trusted proxy's; of `X-Forwarded-Host` the
    last one counts, which the nearest proxy wrote.
    """

    def __init__(self, app: ASGIApp, networks: Collection[str]) -> None:
        self._app = app
        self._networks = [ip_network(network) for network in networks]
        by_proxy: Any = ProxyHeadersMiddleware
        self._by_proxy: ASGIApp = by_proxy(app, [str(network) for network in self._networks])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, as it was sent to the proxy."""
        client = scope.get("client")
        if scope["type"] != "http" or client is None or (address := self._trusted(client[0])) is None:
            await self._app(scope, receive, send)
            return
        headers = MutableHeaders(raw=list(scope["headers"]))
        host = _last(headers, "x-forwarded-host")
        if HOST.fullmatch(host):
            headers["host"] = host
        prefix = _last(headers, "x-forwarded-prefix").rstrip("/")
        root = prefix if _PREFIX.fullmatch(prefix) else scope.get("root_path", "")
        scope = {**scope, "client": (address, client[1]), "headers": headers.raw, "root_path": root}
        await self._by_proxy(scope, receive, send)

    def _trusted(self, given: str) -> str | None:
        """Return the address, if it is a trusted proxy's; an IPv4 address that hides in an IPv6 one is itself."""
        try:
            found = ip_address(given)
        except ValueError:
            return None
        found = (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
        return str(found) if any(found in network for network in self._networks) else None


def _last(headers: Headers, name: str) -> str:
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()
