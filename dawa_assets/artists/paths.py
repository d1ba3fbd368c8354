"""Paths that rows name: which of them may be looked up in the bucket for their artist.

Other programs write rows too, and the bucket is asked with the pipeline's own rights. So whoever reads a stored path
asks here first; a path that is refused is as good as a file that is not there.
"""

import unicodedata

from resources.bucket.base import Bucket, StoredObject
from resources.bucket.keys import check_key
from resources.errors import InvalidKeyError

_MAX_SHOWN = 120


def is_own(slug: str, path: str | None) -> bool:
    """Return whether a path is a key below the artist's folder.

    `dawa_is_under` says the same of a row that is written.
    """
    if path is None or not path.startswith(f"artists/{slug}/"):
        return False
    if any(letter == "\\" or unicodedata.category(letter) == "Cc" for letter in path):
        return False
    try:
        check_key(path)
    except InvalidKeyError:
        return False
    return True


def own_object(bucket: Bucket, slug: str, path: str | None) -> StoredObject | None:
    """Return the object at a path that a row names; None where there is none, or where it is not the artist's."""
    return bucket.stat(path) if path is not None and is_own(slug, path) else None


def shown_path(path: str) -> str:
    """Return a path for a message: on one line and not long, whatever somebody wrote into the row."""
    short = path if len(path) <= _MAX_SHOWN else f"{path[:_MAX_SHOWN]}…"
    return "".join(letter if letter.isprintable() else "�" for letter in short)
