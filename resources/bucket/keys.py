"""Which keys a bucket may be asked for, and how the characters that Storage refuses are written in ASCII.

Supabase Storage takes letters, digits and some punctuation only. Every other character, and `=` itself, becomes
`=XX` for each of its UTF-8 bytes, so that a name can be told back from what is stored. Folders and Storage get
the same encoded keys: a bucket can be copied from one to the other.

Other programs put objects there under names that this never gives (`Lost=Name.als`). Such a segment is called by
`FOREIGN` and what is stored, as it is, so that nothing that lies in a bucket is out of sight.
"""

import re

from resources.errors import InvalidKeyError

MAX_KEY_BYTES = 1024  # S3's limit, which Storage's hosted backend inherits; counted after encoding
FOREIGN = "\ufdd0"
"""Begins a segment that somebody else named. A code point that is no character, and never will be one."""

_REFUSED = re.compile(r"[^A-Za-z0-9_!\-.*'() &$@;:+,?]")
_ESCAPE = re.compile(r"((?:=[0-9A-F]{2})+)")
_TAKEN = re.compile(r"[A-Za-z0-9_!\-.*'() &$@;:+,?=]+")  # what Storage takes
_MARK = "".join(f"={byte:02X}" for byte in FOREIGN.encode())


def check_key(key: str) -> str:
    """Return the key itself, if a bucket may be asked for it.

    Raises:
        InvalidKeyError: it is empty, absolute, too long, or no Unicode, or has an empty segment, `.`, `..` or a NUL, or
            one that calls itself foreign and is not.
    """
    if not key:
        raise InvalidKeyError("object key: it is empty")
    if "\0" in key:
        raise InvalidKeyError(f"object key {key!r}: it has a NUL in it")
    for segment in key.split("/"):
        if segment in ("", ".", ".."):
            raise InvalidKeyError(f"object key {key[:200]!r}: a segment is empty, `.` or `..`")
        if segment.startswith(FOREIGN) and not _is_foreign(segment[1:]):
            raise InvalidKeyError(f"object key {key[:200]!r}: a segment begins with what no name may begin with")
    try:
        length = len("/".join(encode_segment(segment) for segment in key.split("/")).encode())
    except UnicodeEncodeError:
        raise InvalidKeyError(f"object key {key[:200]!r}: it is not valid Unicode") from None
    if length > MAX_KEY_BYTES:
        raise InvalidKeyError(f"object key {key[:80]!r}…: it takes {length} bytes, {MAX_KEY_BYTES} is the limit")
    return key


def encode_key(key: str) -> str:
    """Return the key as it is stored: Storage's alphabet only, at most `MAX_KEY_BYTES` long. Checked by `check_key`."""
    return "/".join(encode_segment(segment) for segment in check_key(key).split("/"))


def decode_key(stored: str) -> str:
    """Return the key that was stored under this name, by us or by somebody else.

    Raises:
        InvalidKeyError: Storage would not take this name, so it is no object.
    """
    segments = []
    for segment in stored.split("/"):
        plain = _decoded(segment)
        if plain is None and not _is_foreign(segment):
            raise InvalidKeyError(f"{stored!r}: not the name of an object")
        segments.append(f"{FOREIGN}{segment}" if plain is None else plain)
    return check_key("/".join(segments))


def plain_name(key: str) -> str:
    """Return a key, or a part of one, for people and for rows: foreign segments as they are stored."""
    return key.replace(FOREIGN, "")


def encode_segment(segment: str) -> str:
    """Return one segment as it is stored, unchecked: to see how long it gets."""
    if segment.startswith(FOREIGN):
        return segment[1:]
    return _REFUSED.sub(lambda match: "".join(f"={byte:02X}" for byte in match.group().encode()), segment)


def _decoded(stored: str) -> str | None:
    """Return the segment that is stored as this; None where none of ours is."""
    try:
        segment = _ESCAPE.sub(lambda run: bytes.fromhex(run.group().replace("=", "")).decode(), stored)
    except UnicodeDecodeError:
        return None
    is_ours = segment not in ("", ".", "..") and "\0" not in segment and "/" not in segment
    return segment if is_ours and not stored.startswith(_MARK) and encode_segment(segment) == stored else None


def _is_foreign(stored: str) -> bool:
    """Return whether Storage takes this for a segment's name, and none of ours is stored so."""
    return _TAKEN.fullmatch(stored) is not None and stored not in (".", "..") and _decoded(stored) is None
