"""What values of settings may be, and how they are read: each says in a line what it takes. No setting here."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator

from modal_app.config import BackendKind


def known_price(given: str) -> str:
    """Return a price in US dollars per million tokens."""
    if not re.fullmatch(r"\d+(\.\d+)?/\d+(\.\d+)?", given):
        raise ValueError("write input/output US dollars per million tokens, like 0.15/0.60")
    return given


def known_address(given: str) -> str:
    """Return an address of a site."""
    if not re.fullmatch(r"https?://[^\s()]+", given):
        raise ValueError("write an address like https://music.example.com")
    return given


Price = Annotated[str, AfterValidator(known_price)]
"""Input and output price in US dollars per million tokens: `0.15/0.60`."""

OptionalPath = Annotated[Path | None, BeforeValidator(lambda given: given or None)]
"""A path; an empty text is none, and not the folder that a command runs in."""


def known_backend(name: str) -> str:
    """Return the name of a generator that is here."""
    known = [kind.value for kind in BackendKind]
    if name not in known:
        raise ValueError(f"no generator is called {name!r}; there are {', '.join(known)}")
    return name


def known_zone(name: str) -> str:
    """Return the name of a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"no time zone is called {name!r}; `UTC` and `Europe/Berlin` are two") from None
    return name


def listed(given: object) -> object:
    """Return the parts of a text with commas; None for an empty one."""
    if not isinstance(given, str):
        return given
    return tuple(part.strip() for part in given.split(",") if part.strip()) or None


def known_origins(origins: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return origins as browsers write them: lower case, nothing after the port, no port that goes without saying."""
    return origins and tuple(_origin(origin) for origin in origins)


def _origin(given: str) -> str:
    try:
        split = urlsplit(given)
        host, port = split.hostname or "", split.port
    except ValueError:
        host, port, split = "", None, urlsplit("")
    usual = {"http": 80, "https": 443}
    if split.scheme not in usual or not host or "*" in host or "@" in given or split.path.strip("/") or split.query:
        raise ValueError("name each origin as a browser does, `https://dashboard.example.com`, with commas between")
    shown = f"[{host}]" if ":" in host else host
    return f"{split.scheme}://{shown}" + (f":{port}" if port not in (None, usual[split.scheme]) else "")


def known_networks(networks: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return addresses or networks, each as it is usually written."""
    try:
        return networks and tuple(str(ip_network(network)) for network in networks)
    except ValueError:
        raise ValueError("name addresses or networks, `10.0.0.5,172.16.0.0/12`, with commas between") from None
