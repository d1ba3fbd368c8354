"""The way to a Supabase project's Storage: one HTTP client, its keys, what is tried again, and errors in plain words.

Storage answers most errors as HTTP 400 with the real code in the body, so every answer passes through one reader here,
whether storage3 asked or this package did. No message, log line or URL made here holds a key or a token.
"""

import base64
import json
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx
from storage3.utils import StorageException

from modal_app.service_address import ServiceAddress, service_address, trusted_certificates
from resources.errors import BucketError, InvalidKeyError, ObjectNotFoundError, SettingsError, StorageRefusalError

_Answer = TypeVar("_Answer")

_PASSING = frozenset({408, 423, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 544})
_PAUSED = 540
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_MAX_REASON_LENGTH = 200  # characters of what the server says that get into a message


class _StrangeAnswerError(Exception):
    """What came back is no answer of Storage's."""


@dataclass(frozen=True)
class Retries:
    """How often and how long a call is tried before it fails; times in seconds."""

    tries: int = 5
    seconds: float = 60.0
    first_pause: float = 0.5
    longest_pause: float = 15.0


class Tries:
    """The tries of one call so far."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self.start_over()

    def start_over(self) -> None:
        """The call got on: count anew."""
        self._failed = 0
        self._until = time.monotonic() + self._retries.seconds

    def pause(self, error: Exception) -> bool:
        """Wait as long as is due after this failure; False where another try is of no use or too late."""
        self._failed += 1
        if self._failed >= self._retries.tries or not _may_pass(error):
            return False
        pause = min(self._retries.first_pause * 2 ** (self._failed - 1), self._retries.longest_pause)
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 - only spreads the tries of many callers
        if isinstance(error, StorageRefusalError) and error.retry_after is not None:
            pause = max(pause, error.retry_after)
        if time.monotonic() + pause > self._until:
            return False
        time.sleep(pause)
        return True


class StorageLink:
    """One project's Storage, safe to use from many threads.

    Raises:
        SettingsError: the address or the key can't be used.
    """

    def __init__(self, url: str, secret_key: str, bucket: str, retries: Retries) -> None:
        self.base, address = _checked_address(url)
        self._host = address.shown
        self._key = _checked_key(secret_key)
        self._bucket = bucket
        self.retries = retries
        self.http = httpx.Client(
            http2=False,
            headers={"apikey": self._key, "Authorization": f"Bearer {self._key}", "Accept-Encoding": "identity"},
            timeout=_TIMEOUT,
            trust_env=not address.is_here,
            verify=trusted_certificates(),
            event_hooks={"response": [_read_refusal]},
        )

    def call(self, subject: str, ask: Callable[[], _Answer]) -> _Answer:
        """Ask, and ask again as long as that may help. `subject` is what errors name: a key, or the bucket.

        Raises:
            ObjectNotFoundError, InvalidKeyError, BucketError: one line that says what, why and what to do.
        """
        tries = Tries(self.retries)
        while True:
            try:
                return ask()
            except (StorageRefusalError, httpx.HTTPError) as error:
                if not tries.pause(error):
                    raise self.error_of(subject, error) from None
            except (StorageException, ValueError, LookupError, TypeError) as error:
                raise self.error_of(subject, _StrangeAnswerError(type(error).__name__)) from None

    def error_of(self, subject: str, error: Exception) -> BucketError:
        """Return the port's error for a failed call, without any key."""
        if isinstance(error, StorageRefusalError):
            return self._refused(subject, error)
        if isinstance(error, _StrangeAnswerError):
            return BucketError(f"{subject}: {self._host} gave no answer of Storage's ({error}); check SUPABASE_URL")
        reason = self._plain(str(error)).rstrip(".") or type(error).__name__
        if isinstance(error, httpx.TimeoutException):
            reason = f"no answer in time ({type(error).__name__})"
        return BucketError(
            f"{subject}: Storage at {self._host} can't be reached: {reason}; check SUPABASE_URL and the network"
        )

    def _refused(self, subject: str, refusal: StorageRefusalError) -> BucketError:
        reason = self._plain(refusal.message) or "it gives no reason"
        if refusal.no_object:
            return ObjectNotFoundError(f"{subject}: no such object in the bucket")
        if refusal.no_bucket:
            return BucketError(
                f"{subject}: the bucket {self._bucket!r} is gone from the project; it is made anew at the next start"
            )
        if refusal.code in ("InvalidKey", "KeyTooLongError", "KeyTooLong"):
            return InvalidKeyError(f"object key {subject!r}: Storage takes no such key ({reason})")
        if refusal.name_too_long:
            return InvalidKeyError(
                f"object key {subject!r}: Storage at {self._host} keeps files on a disk, where no part of a key may "
                "have more than 255 bytes; give it a shorter name"
            )
        if refusal.status == 415:
            return BucketError(
                f"{subject}: the bucket {self._bucket!r} does not take files of this type ({reason}); allow every type "
                "in its settings in the project's dashboard, under Storage"
            )
        if refusal.status in (401, 403):
            return BucketError(
                f"{subject}: Storage refuses the key ({reason}); "
                "set SUPABASE_SECRET_KEY to the project's secret key, from its dashboard under API Keys"
            )
        if refusal.status == 413:
            return BucketError(
                f"{subject}: is larger than the project allows ({reason}); raise the limit in its dashboard's Storage "
                "settings, and the bucket's own where it has one"
            )
        if refusal.status == _PAUSED:
            return BucketError(f"{subject}: the Supabase project is paused; restore it in its dashboard")
        if refusal.status in _PASSING:
            return BucketError(f"{subject}: Storage is in trouble: {reason} ({refusal.status}); try again later")
        return BucketError(f"{subject}: Storage refused: {reason} ({refusal.status}); look at the project's dashboard")

    def _plain(self, text: str) -> str:
        line = " ".join(text.split()).replace(self._key, "…")
        return line if len(line) <= _MAX_REASON_LENGTH else line[:_MAX_REASON_LENGTH] + "…"


def _read_refusal(response: httpx.Response) -> None:
    """Raise `StorageRefusalError` for all answers but success, redirects too: the key goes to no other host."""
    if response.is_success:
        return
    response.read()
    status, code, message = response.status_code, "", ""
    try:
        content = json.loads(response.content)
        code = str(content.get("code") or content.get("error") or "")
        message = str(content.get("message") or content.get("error") or "")
        status = int(content.get("statusCode") or status)
    except (ValueError, AttributeError, TypeError):
        plain = response.headers.get("content-type", "").startswith("text/plain")
        message = response.text if plain else f"HTTP {status} {response.reason_phrase}"
    raise StorageRefusalError(status, code, message, _seconds(response.headers.get("retry-after")))


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def _may_pass(error: Exception) -> bool:
    if isinstance(error, StorageRefusalError):
        return error.status in _PASSING and not error.name_too_long
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return False
    return isinstance(error, httpx.TransportError) and not _untrusted(error)


def _untrusted(error: BaseException | None) -> bool:
    """Return the server's certificate is no good: asking again can't help."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _checked_address(url: str) -> tuple[str, ServiceAddress]:
    """Storage's base address with `/` at its end, and what was given."""
    try:
        address = service_address(url, setting="SUPABASE_URL", example="https://<project>.supabase.co")
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return address.url.removesuffix("/storage/v1") + "/storage/v1/", address


def _checked_key(key: str) -> str:
    """The key, if it can be the secret one: to the others, Storage shows an empty bucket rather than an error."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError("SUPABASE_SECRET_KEY: it is empty or has characters that no key has; copy it again")
    if key.startswith("sb_publishable_") or _role(key) == "anon":
        raise SettingsError("SUPABASE_SECRET_KEY: this is the public key; set the secret one (sb_secret_…)")
    return key


def _role(key: str) -> str | None:
    """Return the role that a legacy key, a JWT, says it has."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(key.split(".")[1] + "=="))
        return str(claims.get("role"))
    except (IndexError, ValueError, AttributeError):
        return None
