"""Sends rejected uploads through the intake again: after a fix of the reader, or of the settings that it needs.

A file goes back to where it lay in the inbox, so that it is still beside the files that it was uploaded with. The
order makes it safe to be killed anywhere: copy into the inbox, verify it, delete what was kept aside, and only then
the ledger says that it waits. Whoever goes on afterwards, this command or the intake, finds the file in the inbox.
"""

import logging
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from dawa_assets.artists.paths import is_own
from dawa_assets.intake.inbox import LOOSE, complete_key
from dawa_assets.maintenance.artist_lock import chosen_artists, holding
from dawa_assets.pipeline.file_transfer import object_hash
from dawa_assets.pipeline.step import Step
from dawa_assets.tables import cleanup
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.cleanup import RejectedUpload
from modal_app.errors import InputError
from resources.errors import BucketError
from resources.ports import Ports

log = logging.getLogger(__name__)


@dataclass
class RetryReport:
    """What became of an artist's rejected uploads: names that are in the inbox again, and (name, reason) of others."""

    slug: str
    artist_name: str
    sent: list[str] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)


def retry_rejected(ports: Ports, slug: str | None = None, names: Collection[str] = ()) -> list[RetryReport]:
    """Put rejected uploads of one artist, or of all, back into the inbox; with `names`, only those files.

    A file whose copy is gone, or whose place in the inbox another one has taken, stays rejected and is reported.
    Artists of whom nothing was rejected are not in the list.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        InputError: nothing was rejected under one of the names.
        BusyError: uploads of the artist are being taken in; what was sent back before is reported by the next call.
    """
    found: dict[Artist, list[RejectedUpload]] = {}
    with ports.database.transaction() as connection:
        for artist in chosen_artists(ports, slug):
            if rejected := cleanup.rejected_uploads(connection, artist.id):
                found[artist] = rejected
    _check_names(names, [upload for rejected in found.values() for upload in rejected])
    reports = []
    for artist, rejected in found.items():
        chosen = [upload for upload in rejected if not names or upload.name in names or upload.shown in names]
        if chosen:
            with holding(ports, artist, "intake"), holding(ports, artist, "items") as step:
                reports.append(_send_back(step, chosen))
    return reports


def _check_names(names: Collection[str], rejected: list[RejectedUpload]) -> None:
    there = {upload.name for upload in rejected} | {upload.shown for upload in rejected}
    unknown = [name for name in names if name not in there]
    if unknown:
        shown = ", ".join(sorted({upload.shown for upload in rejected})[:10]) or "none"
        raise InputError(f"{unknown[0]}: no rejected upload is called so; rejected are: {shown}")


def _send_back(step: Step, rejected: list[RejectedUpload]) -> RetryReport:
    report = RetryReport(step.artist.slug, step.artist.name)
    going: dict[str, set[str]] = defaultdict(set)
    for upload in rejected:
        going[upload.upload_id].add(upload.inbox_key)
    for upload in rejected:
        with step.ports.database.transaction() as connection:
            step.held.check(connection)
            if not cleanup.is_rejected(connection, upload):
                continue  # another call was quicker
        reason = _put_into_inbox(step, upload)
        if reason is not None:
            report.left.append((upload.shown, reason))
            continue
        _close(step, upload, going[upload.upload_id])
        step.ports.bucket.delete([upload.final_key, f"{upload.final_key}.reason.txt"])
        with step.ports.database.transaction() as connection:
            step.held.check(connection)
            cleanup.send_back(connection, upload)
        log.info("%s: back in the inbox", upload.shown)
        report.sent.append(upload.shown)
    return report


def _put_into_inbox(step: Step, upload: RejectedUpload) -> str | None:
    """Bring the kept copy to its place in the inbox; why not, where it can't be done."""
    bucket, slug = step.ports.bucket, step.artist.slug
    is_in_inbox = upload.inbox_key.startswith(f"inbox/{slug}/")
    if not (is_in_inbox and is_own(slug, upload.final_key) and f"/{slug}/rejected/" in upload.final_key):
        return "its paths do not lie in the artist's own folders; upload the file again"
    there = object_hash(bucket, upload.inbox_key)
    if there == upload.sha256:
        return None  # a call that was killed brought it here
    if there is not None:
        return f"another file waits under its name; `dawa build --artist {slug}` first"
    kept = object_hash(bucket, upload.final_key)
    if kept is None:
        return "the copy that was kept is gone; upload the file again"
    if kept != upload.sha256:
        return "the copy that was kept is not the file that was rejected; upload the file again"
    bucket.copy(upload.final_key, upload.inbox_key)
    if object_hash(bucket, upload.inbox_key) != upload.sha256:
        raise BucketError(f"{upload.inbox_key}: what the bucket holds is not what was copied; run it again")
    return None


def _close(step: Step, upload: RejectedUpload, going: set[str]) -> None:
    """Mark the upload's folder as complete, unless somebody else is uploading into it."""
    if upload.upload_id == LOOSE:
        return
    marker = complete_key(step.artist.slug, upload.upload_id)
    folder = marker.rpartition("/")[0]
    if all(stored.key in going for stored in step.ports.bucket.list(folder)):
        step.ports.bucket.put(marker, b"")
