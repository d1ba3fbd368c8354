"""Files as a client announces them before it sends anything, and which of them are refused then."""

from dataclasses import dataclass

from resources.bucket.keys import check_key
from resources.bucket.limits import MAX_UPLOAD_BYTES
from resources.errors import InvalidKeyError

_MEDIA_TYPES = frozenset(  # beside audio/*: what browsers call Live Sets, and audio that could hold pictures too
    (
        *("", "application/octet-stream", "application/gzip", "application/x-gzip", "text/xml", "application/xml"),
        *("application/ogg", "video/ogg", "video/mp4"),
    )
)


@dataclass(frozen=True)
class GivenFile:
    """A file that is announced: its name, with its folders as in a browser, its size in bytes, what a browser calls it.

    `media_type` is empty where the browser knows none, as of a Live Set.
    """

    path: str
    size: int
    media_type: str = ""


def why_refused(key: str, given: GivenFile) -> str | None:
    """Return why a file that would lie under this key of the inbox is not taken; None where it is."""
    if not key.isprintable():
        return "a name with control characters or broken letters; rename it"
    try:
        check_key(key)
    except InvalidKeyError:
        return "the name, with its folders, is too long or leads elsewhere; rename it"
    if given.size > MAX_UPLOAD_BYTES:
        return f"larger than {MAX_UPLOAD_BYTES:,} bytes; bounce it at a lower rate or in pieces"
    kind = given.media_type.partition(";")[0].strip().lower()
    if kind.startswith("audio/") or kind in _MEDIA_TYPES:
        return None
    shown = kind[:60] if kind.isprintable() else repr(kind[:60])
    return f"its content type {shown} is neither audio's nor a Live Set's; send the sound itself"
