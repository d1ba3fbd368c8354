"""Whether items' audio lies where their rows say, and what it is where somebody else put it there.

Apart from the update of items, since building a dataset asks this too, and needs nothing else of it.
"""

from dawa_assets.artists.paths import is_own, shown_path
from dawa_assets.items.audio import AudioReport, Bounces
from dawa_assets.pipeline.step import Step, artist_step
from dawa_assets.tables import training_items
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.training_items import Item
from modal_app.errors import UnreadableAudioError
from resources.errors import ObjectNotFoundError
from resources.ports import Ports


def describe_saved_items(ports: Ports, artist: Artist) -> list[tuple[str, str]]:
    """Find out what the audio is of pairs that somebody else saved since the last update; (name, reason) of failures.

    Raises:
        BusyError: another process is updating this artist's items and did not end in time.
    """
    failed: list[tuple[str, str]] = []
    with ports.database.transaction() as connection:
        if not training_items.undescribed_items(connection, artist.id):
            return []
    with artist_step(ports, artist, "items") as step:
        with ports.database.transaction() as connection:
            saved = training_items.undescribed_items(connection, artist.id)
        for item in saved:
            audio_is_there(step, item, set(), AudioReport(), failed)
    return failed


def audio_is_there(
    step: Step, item: Item, present: set[str], report: AudioReport, failed: list[tuple[str, str]]
) -> bool:
    """Return whether an item's audio can be used; where it can't, the item fails with the reason.

    `present` are keys that are known to be in the bucket; failures go to `failed` as (name, reason).
    """
    path = item.audio_path or ""
    try:
        if not is_own(step.artist.slug, path):
            raise UnreadableAudioError(f"{shown_path(path)} is no file of the artist's own folder; upload the bounce")
        if path not in present and step.ports.bucket.stat(path) is None:
            raise ObjectNotFoundError(f"{path} is gone from the bucket; upload the bounce again")
        if item.audio_hash is None:
            Bounces(step, report).describe(item)
    except (UnreadableAudioError, ObjectNotFoundError) as error:
        with step.ports.database.transaction() as connection:
            step.held.check(connection)
            training_items.fail_audio(connection, item, str(error))
        failed.append((item.name, str(error)))
        return False
    return True
