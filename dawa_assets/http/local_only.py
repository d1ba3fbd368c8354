"""Which requests an open server refuses because they come from elsewhere: other machines, and other sites' pages.

A server without a password is for this machine alone. A page of some other site that is open in a browser here can make
that browser send to this machine (by a name that leads here, or straight to it; by a script, a form, an image), but
it can't choose what the browser writes into `Host`, `Origin`, `Sec-Fetch-Site` and `Referer`. Browsers that send no
`Sec-Fetch-Site` are held by `Cross-Origin-Resource-Policy`, which the gate writes into every answer.
"""

from collections.abc import Collection, Iterator
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers


def is_foreign(headers: Headers, method: str, origins: Collection[str]) -> bool:
    """Return whether a request comes from elsewhere than this machine, or from a page that is not among `origins`.

    Following a link to here is no foreign page's doing: it can't see where that leads. Showing this server in a frame
    is. To a browser `localhost` and `127.0.0.1` are two sites; a page of either shows pictures and plays sounds of the
    other. A proxy on this machine that others can reach is elsewhere too, where it says so.
    """
    if not _is_here(f"//{headers.get('host')}") or not all(map(_is_here, _proxied(headers))):
        return True
    origin = headers.get("origin")
    if origin is not None:
        return not _is_here(origin) and origin not in origins
    if headers.get("sec-fetch-site") != "cross-site":
        return False
    return not _is_visit(headers, method) and not _is_shown_here(headers, method)


def is_asked_by_a_page_of_here(headers: Headers) -> bool:
    """Return whether a page of this machine asks: a page can keep a browser from saying so, not make it lie."""
    return _is_here(headers.get("referer", ""))


def _proxied(headers: Headers) -> Iterator[str]:
    """Yield what proxies say of whom they were asked by, and by what name, as addresses without a scheme."""
    for line in headers.getlist("x-forwarded-host"):
        yield from (f"//{host.strip()}" for host in line.split(","))
    for line in headers.getlist("x-forwarded-for"):
        for given in line.split(","):
            sender = given.strip()
            yield f"//[{sender}]" if sender.count(":") > 1 and not sender.startswith("[") else f"//{sender}"


def _is_visit(headers: Headers, method: str) -> bool:
    navigates = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return navigates and method in ("GET", "HEAD")


def _is_shown_here(headers: Headers, method: str) -> bool:
    shown = headers.get("sec-fetch-mode") == "no-cors" and headers.get("sec-fetch-dest") in ("image", "audio")
    return shown and method in ("GET", "HEAD") and is_asked_by_a_page_of_here(headers)


def _is_here(address: str) -> bool:
    try:
        name = urlsplit(address).hostname or ""
    except ValueError:
        return False
    try:
        found = ip_address(name)
    except ValueError:
        return name == "localhost"
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback
