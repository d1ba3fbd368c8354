"""Files that can't be used: moved aside with the reason beside them.

The order is what makes it safe to be killed anywhere: the ledger says where a file goes, it is copied, the copy's
hash is compared, the ledger says that it is there, and only then the file is deleted from the inbox.
"""

import logging

from dawa_assets.intake.inbox import remove_taken
from dawa_assets.intake.layout import rejected_key
from dawa_assets.pipeline.file_transfer import object_hash
from dawa_assets.pipeline.step import Step
from dawa_assets.tables import uploads
from dawa_assets.tables.arriving_files import ArrivingFile, begin_files
from dawa_assets.tables.uploads import InboxFile
from resources.errors import ObjectNotFoundError

log = logging.getLogger(__name__)


def reject(step: Step, file: InboxFile, sha256: str, reason: str) -> bool:
    """Move a file aside, with its reason beside it. False where its bytes were replaced meanwhile: nothing was done."""
    bucket, artist = step.ports.bucket, step.artist
    key = rejected_key(artist.slug, file.upload_id, file.folder, file.name)
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        [upload] = begin_files(connection, artist.id, [ArrivingFile(file, sha256, key)]).values()
    try:
        bucket.copy(file.stored.key, key)
    except ObjectNotFoundError:
        log.info("%s: gone from the inbox", file.stored.key)
    if object_hash(bucket, key) != sha256:
        bucket.delete([key])
        with step.ports.database.transaction() as connection:
            uploads.forget(connection, upload)
        return False
    bucket.put(f"{key}.reason.txt", f"{reason}\n".encode())
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        uploads.finish_rejected(connection, upload, reason)
    remove_taken(bucket, file)
    log.warning("rejected %s: %s", file.name, reason)
    return True
