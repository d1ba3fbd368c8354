"""Where a service with a key may be asked: over TLS, or on this machine; and by whose word it is who it says.

Nothing is asked here.
"""

import functools
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit


@dataclass(frozen=True)
class ServiceAddress:
    """An address that a key may be sent to. `shown` is what messages call it: the host, and the port if it has one."""

    url: str
    shown: str
    is_here: bool


def service_address(url: str, *, setting: str, example: str) -> ServiceAddress:
    """Return the address that a setting gives, without a slash at its end.

    Raises:
        ValueError: it is none, it carries a password or a query, or the key would go over the network in the clear;
            one line that names the setting.
    """
    try:
        split = urlsplit(url.strip())
        host, port = split.hostname or "", split.port
    except ValueError:
        host, port, split = "", None, urlsplit("")
    if split.scheme not in ("http", "https") or not host or "@" in split.netloc or split.query or split.fragment:
        raise ValueError(f"{setting}: not an address to ask; it looks like {example}")
    here = is_on_this_machine(host)
    if split.scheme == "http" and not here:
        raise ValueError(f"{setting}: the key must not go to {host} in the clear; use https://")
    return ServiceAddress(url.strip().rstrip("/"), f"{host}:{port}" if port else host, here)


def is_on_this_machine(host: str) -> bool:
    """Return whether what is sent to this host stays on the machine: a loopback address, or `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@functools.cache
def trusted_certificates() -> ssl.SSLContext:
    """Return whom to believe; read once in a process, for that takes longer than a call."""
    import httpx

    return httpx.create_ssl_context()
