"""Where the intake puts things in the bucket: keys made of what users call their files, of a length that fits."""

import hashlib
import unicodedata

from resources.bucket.keys import FOREIGN, encode_key, encode_segment
from resources.errors import InvalidKeyError

_MAX_SEGMENT = 200  # bytes of one encoded segment: three of them and what is around them stay below a key's limit
_HASH = 9  # a dash and 8 hex digits


def export_folder(slug: str, project: str, stem: str, parse_id: str) -> str:
    """Return the folder of one parsed Live Set (`export_path`)."""
    return f"artists/{slug}/daw-data/{fitted(project)}/{fitted(stem)}/{parse_id}"


def kept_set(export_path: str, stem: str) -> str:
    """Return the key of the kept .als in that folder."""
    return f"{export_path}/{fitted(stem)}.als"


def rejected_key(slug: str, upload_id: str, folder: str, name: str) -> str:
    """Return where a file lies that could not be read; its reason lies beside it, as `{name}.reason.txt`."""
    beginning = f"artists/{slug}/rejected/{fitted(upload_id)}"
    key = "/".join([beginning, *(fitted(part) for part in folder.split("/") if part), fitted(name)])
    try:
        encode_key(f"{key}.reason.txt")
    except InvalidKeyError:
        return f"{beginning}/{fitted(f'{folder} {name}'.replace('/', ' '))}"
    return key


def fitted(name: str) -> str:
    """Return the name as one segment of a key that a row may hold; one that had to be changed ends in a hash of itself.

    Too long a name is cut. Slashes, backslashes and characters without a shape become `_`, and so does a name that
    would lead elsewhere (`..`): the database lets no row name them in a path.
    """
    fit = "".join("_" if _is_refused(letter) else letter for letter in name)
    fit = "_" if fit in ("", ".", "..") else fit
    if fit == name and len(encode_segment(name)) <= _MAX_SEGMENT:
        return name
    fit = fit[: _MAX_SEGMENT - _HASH]
    while len(encode_segment(fit)) > _MAX_SEGMENT - _HASH:
        fit = fit[:-1]
    return f"{fit}-{hashlib.sha256(name.encode()).hexdigest()[: _HASH - 1]}"


def _is_refused(letter: str) -> bool:
    return letter in f"/\\{FOREIGN}" or unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp")
