"""Pictures that are drawn for an asset's page alone: kept in the artist's folder, so that the page can link to them.

One object a picture, overwritten by the next: a page of an earlier run shows the latest. Beside it is what decided how
it looks, so that what would look the same is not drawn again. No row names them; the folder is known to `dawa verify`,
and goes with the artist.
"""

import hashlib
from collections.abc import Callable, Mapping

from resources.bucket.base import Bucket

FOLDER = "pages"
"""Below the artist's folder."""


def keep_pictures(
    bucket: Bucket, slug: str, names: Mapping[str, str], of: str, draw: Callable[[], Mapping[str, bytes]]
) -> dict[str, str]:
    """Keep pictures for the page, and return their keys by their titles; what is there already is not drawn.

    Args:
        bucket: where.
        slug: whose page.
        names: under which each title is kept.
        of: what decides how they look: other text, other pictures.
        draw: makes PNGs by titles; one that it does not make is not kept.
    """
    digest = hashlib.sha256(of.encode()).hexdigest()
    keys = {title: f"artists/{slug}/{FOLDER}/{name}.png" for title, name in names.items()}
    if all(_is_of(bucket, key, digest) for key in keys.values()):
        return keys
    drawn = draw()
    for title, png in drawn.items():
        bucket.put(keys[title], png)
        bucket.put(_digest_key(keys[title]), digest.encode())
    return {title: key for title, key in keys.items() if title in drawn}


def _is_of(bucket: Bucket, key: str, digest: str) -> bool:
    """Return whether a picture is there that was drawn of this."""
    if bucket.stat(key) is None or bucket.stat(_digest_key(key)) is None:
        return False
    with bucket.open(_digest_key(key)) as stream:
        return stream.read(len(digest)) == digest.encode()


def _digest_key(key: str) -> str:
    return f"{key.removesuffix('.png')}.sha256"
