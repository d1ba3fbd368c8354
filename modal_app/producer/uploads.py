"""The names that clients give: file names, paths of uploaded files, URLs. Which can be used, and where they lead.

Checked twice: as text when a request comes in, and where the file is read, because links can lead elsewhere.
"""

import re
import unicodedata
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from modal_app.data_root.layout import DataRoot
from modal_app.errors import InputError

MOUNT = "/data"
"""What clients call the data root, wherever it lies."""
AUDIO_SUFFIXES = frozenset(
    (".wav", ".wave", ".w64", ".aif", ".aiff", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac", ".caf")
)
_MAX_NAME_LENGTH = 200  # bytes; file systems take 255
_MAX_PATH_LENGTH = 1_000
_MAX_URL_LENGTH = 4_000
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_PORTS = {"http": 80, "https": 443}
_NO_LETTERS = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, direction and joiners, surrogates, line ends


def public_path(path: str) -> str:
    """Return what clients call a path below the data root."""
    return f"{MOUNT}/{path}"


def checked_filename(name: str) -> str:
    """Return the name of an audio file, as it is.

    Raises:
        InputError: it is no plain name, or not of an audio file.
    """
    if not _is_plain(name):
        raise InputError(
            f"filename {_shown(name)}: is no plain file name; use at most {_MAX_NAME_LENGTH} bytes without slashes, "
            "control characters, or a dot or space at an end"
        )
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in AUDIO_SUFFIXES:
        raise InputError(f"filename {_shown(name)}: is not called like an audio file; use e.g. beat.wav or beat.mp3")
    return name


def checked_upload_path(path: str, producer_id: str) -> str:
    """Return a path as clients write it (`/data/uploads/<producer>/<job>/<file>`), below the data root.

    Raises:
        InputError: it does not lie among the producer's own uploads.
    """
    below = path.removeprefix(f"{MOUNT}/")
    parts = below.split("/")
    own = len(path) <= _MAX_PATH_LENGTH and len(parts) >= 3 and parts[:2] == ["uploads", producer_id]
    if not own or not all(_is_plain(part) for part in parts[2:]):
        raise InputError(
            f"upload path {_shown(path)}: is none of this producer; use the `path` that store-upload answered"
        )
    return below


def find_upload(root: DataRoot, path: str, producer_id: str) -> Path:
    """Return the uploaded file at a path below the data root. Links are followed, and must not lead out.

    Raises:
        InputError: there is no such file among the producer's own.
    """
    own = root.uploads(producer_id).resolve()
    try:
        file = (root.root / checked_upload_path(path, producer_id)).resolve(strict=True)
        found = file.is_relative_to(own) and own.is_relative_to(root.root.resolve()) and file.is_file()
    except (OSError, RuntimeError, ValueError):
        found = False
    if not found:
        raise InputError(f"{_shown(PurePosixPath(path).name)}: there is no such upload; upload it again")
    return file


def checked_url(url: str) -> str:
    """Return a URL that may be fetched, by its text alone: http or https, their own port, no password in it.

    Raises:
        InputError: it may not; the message shows no query, which may be a signature.
    """
    try:
        split = urlsplit(url)
        host, port = split.hostname or "", split.port
    except ValueError:
        raise InputError("an upload URL can't be read; write it like https://example.com/beat.wav") from None
    if len(url) > _MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        raise InputError(
            f"an upload URL has more than {_MAX_URL_LENGTH} characters, or bare ones; shorten or encode it (%20)"
        )
    if split.scheme not in _PORTS or not host:
        raise InputError("an upload URL is neither http nor https; write it like https://example.com/beat.wav")
    if split.username is not None or split.password is not None:
        raise InputError(f"the upload URL at {host} has a user name in it; sign it by its query instead")
    if not _is_host(host) or not _reads_the_same(url, host):
        raise InputError("an upload URL names a host that is none; write it like https://example.com/beat.wav")
    if port not in (None, _PORTS[split.scheme]):
        raise InputError(f"the upload URL at {host} names port {port}; only the usual ports (443, 80) are fetched")
    return url


def _is_host(host: str) -> bool:
    """Return whether it is an address, or a name; not an address in a form that some read as another (`0177.0.0.1`)."""
    try:
        ip_address(host)
    except ValueError:
        last = host.removesuffix(".").rpartition(".")[2]
        return _NAME.fullmatch(host) is not None and not last[:1].isdigit()
    return "%" not in host


def _reads_the_same(url: str, host: str) -> bool:
    """Return whether who fetches it takes the same for its host."""
    import httpx

    try:
        read = httpx.URL(url)
        return (
            bool(read.host) and read.raw_host.decode("ascii") == host
        )  # `host` is what names of other scripts fail at
    except (httpx.InvalidURL, ValueError):
        return False


def _is_plain(name: str) -> bool:
    return (
        0 < len(name.encode("utf-8", "surrogatepass")) <= _MAX_NAME_LENGTH
        and name.strip(" .") == name
        and not set(name) & set("/\\")
        and not any(unicodedata.category(letter) in _NO_LETTERS for letter in name)
    )


def _shown(text: str) -> str:
    """Return as a message may show it: escaped, one line, not long."""
    shown = ascii(text[:200])
    return shown if len(shown) <= 200 else f"{shown[:199]}…"
