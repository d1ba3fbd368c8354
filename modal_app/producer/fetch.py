"""From a stranger's URL to a file, without reaching what is not on the public internet. No decoding here.

A host's name is resolved once, every address it has must be public, and the connection goes to that very address: a
name that means something else a moment later leads nowhere. Redirects are followed one by one, each checked the same.
httpx-secure looks at the address of each connection again.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from modal_app.errors import InputError, JobError
from modal_app.producer.uploads import checked_url
from modal_app.service_address import trusted_certificates

if TYPE_CHECKING:
    import httpx

Endpoint = tuple[str, int]
"""An address and a port."""

_REDIRECTS = (301, 302, 303, 307, 308)
_MAY_PASS = (408, 425, 429, 500, 502, 503, 504)
_UNICAST = IPv6Network("2000::/3")
_NOT_PUBLIC = (  # what Python takes for public, or took until lately
    IPv4Network("192.0.0.0/24"),  # of protocols; a cloud's metadata among them
    IPv4Network("192.88.99.0/24"),  # relays
    IPv4Network("168.63.129.16/32"),  # a cloud's own services, reached from its machines only
    IPv6Network("3fff::/20"),  # documentation
)
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class FetchLimits:
    """What one file may cost."""

    most_bytes: int = 500_000_000
    seconds: float = 600.0
    silent_seconds: float = 30.0
    bytes_a_second: float = 20_000.0  # on average, once it has gone on for a while
    slow_after_seconds: float = 30.0
    redirects: int = 5
    pauses: tuple[float, ...] = (0.5, 2.0)  # before a transfer that broke is begun again


class _BrokenError(Exception):
    """A transfer that may succeed when it is begun again. The message is a reason."""


class Fetcher:
    """Fetches files from the public internet.

    `resolve` gives the addresses of a host, by default those that the system knows; at an endpoint in `permitted` an
    address need not be public; `trusted` vouches for certificates. They are there to try this on one machine, and no
    setting reaches them.
    """

    def __init__(
        self,
        limits: FetchLimits | None = None,
        *,
        resolve: Callable[[str, int], list[Endpoint]] | None = None,
        permitted: Collection[Endpoint] = (),
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits or FetchLimits()
        self._resolve = resolve or _resolved_by_the_system
        self._permitted = frozenset(permitted)
        self._trusted = trusted

    def fetch(self, url: str, target: Path, name: str) -> None:
        """Write what a URL gives to `target`; `name` is what messages call it. They never show the URL.

        Raises:
            InputError: the URL may not be fetched, gives nothing, or too much.
            JobError: the transfer failed.
        """
        for pause in (*self._limits.pauses, None):
            try:
                asyncio.run(self._within_time(url, target, name))
            except _BrokenError as error:
                if pause is None:
                    raise JobError(f"{name}: the download failed ({error}); try again, or upload the file") from None
                time.sleep(pause)
            else:
                return

    async def _within_time(self, url: str, target: Path, name: str) -> None:
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._follow(url, target, name)
        except TimeoutError:
            raise InputError(
                f"{name}: the download took longer than {self._limits.seconds:g} s; upload the file instead"
            ) from None

    async def _follow(self, url: str, target: Path, name: str) -> None:
        for _ in range(self._limits.redirects + 1):
            _check(url, name)
            location = await self._ask(url, target, name)
            if location is None:
                return
            try:
                further = urljoin(url, location)
            except ValueError:
                raise InputError(f"{name}: its server redirects to what is no URL; give the file's own URL") from None
            if urlsplit(url).scheme == "https" and urlsplit(further).scheme == "http":
                raise InputError(f"{name}: its server redirects from https to http; give a URL that stays with https")
            url = further
        raise InputError(f"{name}: its server redirects more than {self._limits.redirects} times; give the last URL")

    async def _ask(self, url: str, target: Path, name: str) -> str | None:
        """Write what one URL gives; or the place that it redirects to."""
        import httpx
        from httpx_secure import SSRFProtectionError, httpx_ssrf_protection

        parsed = httpx.URL(url)  # `checked_url` has read it so already
        endpoints = await self._endpoints(parsed, name)
        timeout = httpx.Timeout(self._limits.silent_seconds, connect=_CONNECT_SECONDS)
        async with httpx.AsyncClient(
            trust_env=False, timeout=timeout, verify=self._trusted or trusted_certificates()
        ) as client:
            httpx_ssrf_protection(
                client,
                check_globally_reachable=not self._permitted,
                custom_validator=lambda _host, address, port: self._may_reach((str(address), port)),
            )
            for number, (address, port) in enumerate(endpoints, 1):
                request = client.build_request(
                    "GET",
                    parsed.copy_with(host=address, port=port),
                    headers={"Host": parsed.netloc.decode("ascii"), "Accept-Encoding": "identity"},
                    extensions={"sni_hostname": parsed.raw_host.decode("ascii")},
                )
                try:
                    answer = await client.send(request, stream=True)
                except SSRFProtectionError:
                    raise _not_public(name) from None
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    if number < len(endpoints):
                        continue
                    raise _BrokenError(type(error).__name__) from None
                except httpx.HTTPError as error:
                    raise _BrokenError(type(error).__name__) from None
                try:
                    return await self._take(answer, target, name)
                except httpx.HTTPError as error:
                    raise _BrokenError(type(error).__name__) from None
                finally:
                    await answer.aclose()
        raise _BrokenError("no address")

    async def _endpoints(self, url: "httpx.URL", name: str) -> list[Endpoint]:
        """Return where the URL's host is; all of it must be public."""
        host, port = url.host, url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await asyncio.to_thread(self._resolve, host, port)
        except (OSError, UnicodeError):
            raise _BrokenError("its host is not known") from None
        if not found:
            raise _BrokenError("its host has no address")
        if not all(self._may_reach(endpoint) for endpoint in found):
            raise _not_public(name)
        return found

    def _may_reach(self, endpoint: Endpoint) -> bool:
        return endpoint in self._permitted or is_public(endpoint[0])

    async def _take(self, answer: "httpx.Response", target: Path, name: str) -> str | None:
        limits = self._limits
        if answer.status_code in _REDIRECTS and "location" in answer.headers:
            return answer.headers["location"]
        if answer.status_code in _MAY_PASS:
            raise _BrokenError(f"HTTP {answer.status_code}")
        if answer.status_code != 200:
            raise InputError(f"{name}: its server answers HTTP {answer.status_code}; check the URL, or sign it anew")
        if answer.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise InputError(f"{name}: its server sends it compressed, unasked; upload the file instead")
        declared = answer.headers.get("content-length", "")
        size, started = 0, time.monotonic()
        too_large = InputError(f"{name}: has more than {limits.most_bytes} bytes; give a shorter file")
        if declared.isdecimal() and int(declared) > limits.most_bytes:
            raise too_large
        with target.open("wb") as file:
            async for chunk in answer.aiter_raw():
                size += len(chunk)
                if size > limits.most_bytes:
                    raise too_large
                file.write(chunk)
                seconds = time.monotonic() - started
                if seconds > limits.slow_after_seconds and size < limits.bytes_a_second * seconds:
                    raise InputError(f"{name}: comes at {size / seconds:.0f} bytes a second; upload the file instead")
        if not size:
            raise InputError(f"{name}: its server gives an empty file; check the URL")
        return None


def is_public(address: str) -> bool:
    """Return whether an address is one of the public internet.

    One that hides another in itself (mapped, NAT64, …) is not.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and (found not in _UNICAST or found.sixtofour or found.teredo):
        return False
    if any(found.version == network.version and found in network for network in _NOT_PUBLIC):
        return False
    return found.is_global and not found.is_multicast


def _resolved_by_the_system(host: str, port: int) -> list[Endpoint]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(entry[4][0]), port) for entry in found))


def _check(url: str, name: str) -> None:
    try:
        checked_url(url)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _not_public(name: str) -> InputError:
    return InputError(f"{name}: its URL leads to an address that is not on the public internet; upload the file")
