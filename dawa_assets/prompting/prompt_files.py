"""Texts that somebody else saved as `prompt.txt`: read into the row where that has none, and never lost.

The row is what counts, the file its projection (`update.py`). Other programs know it the other way round: they write
the file, and may leave the row's text out.
"""

import logging

from dawa_assets.artists.paths import is_own
from dawa_assets.pipeline.step import Step
from dawa_assets.prompting.fingerprint import human_fingerprint
from dawa_assets.tables import training_items
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.leases import Lease
from dawa_assets.tables.training_items import Item
from resources.errors import ObjectNotFoundError
from resources.ports import Ports

log = logging.getLogger(__name__)

_MAX_BYTES = 1 << 16  # a prompt has a few hundred; what is larger is none


def import_prompt_files(ports: Ports, artist: Artist, held: Lease) -> int:
    """Give items that were saved with a text in their file only that text, as a person's; how many got theirs."""
    with ports.database.transaction() as connection:
        saved = training_items.items_with_saved_texts(connection, artist.id)
    taken = 0
    for item in saved:
        path = item.prompt_path or ""
        content = _read(ports, artist, path)
        text = None if content is None else _text_of(content, path)
        if text is None:
            continue
        with ports.database.transaction() as connection:
            held.check(connection)
            taken += training_items.import_text(connection, item, text)
    return taken


def saved_file_is(step: Step, item: Item, path: str, content: bytes) -> bool:
    """Return whether a file that somebody else wrote holds the row's text already, to the byte.

    Where it holds another one, that is kept in the history of prompts: the caller is about to replace it.
    """
    found = _read(step.ports, step.artist, path)
    if found == content:
        return True
    text = None if found is None else _text_of(found, path)
    if text is not None and text != content.decode().strip():
        with step.ports.database.transaction() as connection:
            step.held.check(connection)
            fingerprint = human_fingerprint(item.id, text)
            training_items.keep_former_text(connection, step.artist.id, item, fingerprint, text)
    return False


def _read(ports: Ports, artist: Artist, path: str) -> bytes | None:
    """Return the bytes of a file of the artist, up to a little more than a text has; None where there is none."""
    if not is_own(artist.slug, path):
        return None
    try:
        with ports.bucket.open(path) as stream:
            return stream.read(_MAX_BYTES + 1)
    except ObjectNotFoundError:
        return None


def _text_of(content: bytes, path: str) -> str | None:
    """Return the text without blanks around it; None where there is none to speak of."""
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        text = "\0"
    if len(content) > _MAX_BYTES or "\0" in text:
        log.warning("%s: not a prompt's text in UTF-8; it is not taken over", path)
        return None
    return text or None
