"""Where the intake puts things in the bucket: keys made of what users call their files, of a length that fits."""

import hashlib

from resources.bucket.keys import encode_key, encode_segment
from resources.errors import InvalidKeyError

_MAX_SEGMENT = 200  # bytes of one encoded segment: three of them and what is around them stay below a key's limit


def export_folder(slug: str, project: str, stem: str, parse_id: str) -> str:
    """The folder of one parsed Live Set (`export_path`)."""
    return f"artists/{slug}/daw-data/{fitted(project)}/{fitted(stem)}/{parse_id}"


def kept_set(export_path: str, stem: str) -> str:
    """The key of the kept .als in that folder."""
    return f"{export_path}/{fitted(stem)}.als"


def rejected_key(slug: str, upload_id: str, folder: str, name: str) -> str:
    """Where a file lies that could not be read; its reason lies beside it, as `{name}.reason.txt`."""
    beginning = f"artists/{slug}/rejected/{fitted(upload_id)}"
    key = f"{beginning}/{folder}/{name}" if folder else f"{beginning}/{name}"
    try:
        encode_key(f"{key}.reason.txt")
    except InvalidKeyError:
        return f"{beginning}/{fitted(f'{folder}/{name}'.replace('/', ' '))}"
    return key


def fitted(name: str) -> str:
    """The name, or its beginning and a hash of it where it is too long for a segment of a key."""
    if len(encode_segment(name)) <= _MAX_SEGMENT:
        return name
    begin = name[: _MAX_SEGMENT - 9]
    while len(encode_segment(begin)) > _MAX_SEGMENT - 9:
        begin = begin[:-1]
    return f"{begin}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
