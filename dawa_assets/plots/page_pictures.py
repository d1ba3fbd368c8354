"""Pictures that are drawn for an asset's page alone: kept in the artist's folder, so that the page can link to them.

One object a picture, overwritten by the next: a page of an earlier run shows the latest. No row names them; the folder
is known to `dawa verify`, and goes with the artist.
"""

from resources.bucket.base import Bucket

FOLDER = "pages"
"""Below the artist's folder."""


def keep_picture(bucket: Bucket, slug: str, name: str, png: bytes) -> str:
    """Keep a picture for the page under its name, and return its key; what is there already is not written again."""
    key = f"artists/{slug}/{FOLDER}/{name}.png"
    stored = bucket.stat(key)
    if stored is not None and stored.size == len(png):
        with bucket.open(key) as stream:
            if stream.read() == png:
                return key
    bucket.put(key, png)
    return key
