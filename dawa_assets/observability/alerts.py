"""Telling people by a webhook: what is sent, and how it is delivered. What is worth telling is not decided here.

The address is a secret (whoever has it can write to the channel): it is in no error and no log.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import SecretStr

from dawa_assets.errors import AlertError
from dawa_assets.pipeline.files_address import is_loopback
from resources.errors import SettingsError

PAUSES_SECONDS = (1.0, 4.0)
"""Between the attempts at one delivery."""

_TIMEOUT_SECONDS = 10.0
_MAX_LINES = 20
_MAX_LINE = 500


@dataclass(frozen=True)
class Line:
    """One thing that is told, and where it can be looked at: addresses by what they are called."""

    text: str
    links: Mapping[str, str] = field(default_factory=dict)

    def shown(self) -> str:
        """Return the line with its links as Slack writes them; what could be markup in the text is text."""
        links = [f"<{address}|{_escaped(name)}>" for name, address in self.links.items()]
        return " · ".join([_escaped(self.text[:_MAX_LINE]), *links])


@dataclass(frozen=True)
class Message:
    """What is told at once: a line on top, and one for each thing."""

    title: str
    lines: Sequence[Line]

    def body(self) -> bytes:
        """Return as JSON of Slack's incoming webhooks, which others take as well.

        What could be markup there is text.
        """
        shown = [line.shown() for line in self.lines[:_MAX_LINES]]
        if (left := len(self.lines) - len(shown)) > 0:
            shown.append(f"and {left} more")
        return json.dumps({"text": "\n".join([f"*{_escaped(self.title)}*", *(f"• {line}" for line in shown)])}).encode()


def send(address: SecretStr, message: Message, pauses: Sequence[float] = PAUSES_SECONDS) -> None:
    """Deliver a message; what can pass (no answer, 429, 5xx) is tried again after each of the pauses, in seconds.

    Raises:
        SettingsError: the address is none that a message may be sent to.
        AlertError: it was not taken.
    """
    url = _checked(address)
    for pause in (*pauses, None):
        reason, can_pass = _post(url, message.body())
        if reason is None:
            return
        if pause is None or not can_pass:
            raise AlertError(f"the alert webhook (DAWA_ALERT_WEBHOOK_URL): {reason}; check the address and its service")
        time.sleep(pause)


def _checked(address: SecretStr) -> str:
    url = address.get_secret_value().strip()
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host = ""
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise SettingsError("DAWA_ALERT_WEBHOOK_URL: is no address; give the whole https:// address of the webhook")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise SettingsError(
            "DAWA_ALERT_WEBHOOK_URL: names artists to whoever reads along; "
            "begin it with https:// (http:// only to this machine)"
        )
    return url


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A webhook answers for itself; where a redirect leads nobody has checked."""

    def redirect_request(self, *_given: object) -> None:
        return None


def _post(url: str, body: bytes) -> tuple[str | None, bool]:
    """Return why it was not taken, or None; and whether that may pass."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - checked above
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if is_loopback(urlsplit(url).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=_TIMEOUT_SECONDS):
            return None, False
    except urllib.error.HTTPError as error:
        error.close()
        return f"answered {error.code}", error.code in (408, 429) or error.code >= 500
    except (OSError, http.client.HTTPException, UnicodeError) as error:  # the last for a host that can't be one
        reason = getattr(error, "reason", error)
        return f"did not answer ({type(reason).__name__})", True


def _escaped(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return printable.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
