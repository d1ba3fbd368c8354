"""Which keys a bucket may be asked for, and how the characters that Storage refuses are written in ASCII.

Supabase Storage takes letters, digits and some punctuation only. Every other character, and `=` itself, becomes
`=XX` for each of its UTF-8 bytes, so that a name can be told back from what is stored. Folders and Storage get
the same encoded keys: a bucket can be copied from one to the other.
"""

import re

from resources.errors import InvalidKeyError

MAX_KEY_BYTES = 1024  # S3's limit, which Storage's hosted backend inherits; counted after encoding

_REFUSED = re.compile(r"[^A-Za-z0-9_!\-.*'() &$@;:+,?]")
_ESCAPE = re.compile(r"((?:=[0-9A-F]{2})+)")


def check_key(key: str) -> str:
    """The key itself, if a bucket may be asked for it.

    Raises:
        InvalidKeyError: it is empty, absolute, too long, or no Unicode, or has an empty segment, `.`, `..` or a NUL.
    """
    if not key:
        raise InvalidKeyError("object key: it is empty")
    if "\0" in key:
        raise InvalidKeyError(f"object key {key!r}: it has a NUL in it")
    for segment in key.split("/"):
        if segment in ("", ".", ".."):
            raise InvalidKeyError(f"object key {key[:200]!r}: a segment is empty, `.` or `..`")
    try:
        length = len(encode_segment(key.replace("/", "")).encode()) + key.count("/")
    except UnicodeEncodeError:
        raise InvalidKeyError(f"object key {key[:200]!r}: it is not valid Unicode") from None
    if length > MAX_KEY_BYTES:
        raise InvalidKeyError(f"object key {key[:80]!r}…: it takes {length} bytes, {MAX_KEY_BYTES} is the limit")
    return key


def encode_key(key: str) -> str:
    """The key as it is stored: Storage's alphabet only, at most `MAX_KEY_BYTES` long. Checked by `check_key`."""
    return "/".join(encode_segment(segment) for segment in check_key(key).split("/"))


def decode_key(stored: str) -> str:
    """The key that was stored under this name.

    Raises:
        InvalidKeyError: `encode_key` never gives this name, so it is no object of ours.
    """
    try:
        key = _ESCAPE.sub(lambda run: bytes.fromhex(run.group().replace("=", "")).decode(), stored)
        if encode_key(key) == stored:
            return key
    except (UnicodeDecodeError, InvalidKeyError):
        pass
    raise InvalidKeyError(f"{stored!r}: not the name of an object")


def encode_segment(segment: str) -> str:
    """One segment as it is stored, unchecked: to see how long it gets."""
    return _REFUSED.sub(lambda match: "".join(f"={byte:02X}" for byte in match.group().encode()), segment)
