"""A folder of the inbox: one upload, with the files that it holds and whether all of them are there."""

from dataclasses import dataclass

from dawa_assets.tables.uploads import InboxFile
from resources.bucket.base import StoredObject


@dataclass(frozen=True)
class InboxFolder:
    """One folder of the inbox.

    `marker` is the `_complete` that closes it. `complete`: it is closed, or has been quiet for long enough.
    """

    slug: str
    upload_id: str
    files: list[InboxFile]
    complete: bool
    marker: StoredObject | None = None
