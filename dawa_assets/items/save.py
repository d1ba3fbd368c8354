"""A pair of audio and text that somebody saves at once: an item of its own, beside the pipeline's.

The files are in the bucket before there is a row, so whoever is killed leaves no item, or a whole one. The item's id is
made from what it is of: the same pair saved again, because the answer was lost, is the same item and the same files.
"""

import hashlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from dawa_assets.items.audio import training_folder
from dawa_assets.items.quality import keep_measured
from dawa_assets.pipeline.file_transfer import object_hash, plain_reason
from dawa_assets.prompting.edit import why_no_caption
from dawa_assets.prompting.fingerprint import human_fingerprint
from dawa_assets.prompting.rules import PromptRules
from dawa_assets.tables import training_items
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.saved_pairs import SavedPair, insert_saved_pair, say_again
from dawa_assets.tables.training_items import Audio
from modal_app.data_root.digests import sha256_file
from modal_app.errors import InputError, UnreadableAudioError
from resources.errors import BucketError
from resources.ports import Ports

_ANY_TEMPO = PromptRules(tempo=120)
_VERSION = 8  # of UUIDs: "made by a rule of one's own"; nobody else who writes items makes such


@dataclass(frozen=True)
class NewPair:
    """What is saved, beside the audio. `author` is whoever saves it, where that is known."""

    parse_id: str
    als_filename: str | None
    project_name: str | None
    text: str
    author: str | None = None


def save_pair(ports: Ports, artist: Artist, new: NewPair, audio: Path) -> UUID:
    """Save a pair as a ready item, and give its id; the text is a person's from now on, and the latest for this audio.

    A parse id that the artist has no summary of is kept as it is.

    Raises:
        InputError: the text can be no caption.
        UnreadableAudioError: the file can't be decoded as audio.
        BucketError: the files could not be put into their place.
    """
    from modal_app.audio.decode import probe

    text = new.text.replace("\r\n", "\n").replace("\r", "\n").strip()
    reason = why_no_caption(text, _ANY_TEMPO.broken(text)) if text else "is empty"
    if reason is not None:
        raise InputError(f"promptText: the text {reason}; mend it")
    try:
        info = probe(audio, measure=True)
    except UnreadableAudioError as error:
        raise UnreadableAudioError(f"the audio: {plain_reason(error, audio.name)}") from None
    sha256 = sha256_file(audio)
    item_id, is_saved = _its_id(ports, artist, new, text, sha256)
    if is_saved:
        with ports.database.transaction() as connection:
            say_again(connection, item_id)
        return item_id
    folder = training_folder(artist.slug, item_id)
    content = text.encode()
    pair = SavedPair(
        id=item_id,
        parse_id=new.parse_id,
        als_filename=new.als_filename,
        project_name=new.project_name,
        audio=Audio(f"{folder}/audio.{info.extension}", sha256, info.extension, info.duration_seconds, info.warnings),
        prompt_path=f"{folder}/prompt.txt",
        text=text,
        text_hash=hashlib.sha256(content).hexdigest(),
        author=new.author,
    )
    ports.bucket.put(pair.audio.path, audio)  # also where an earlier attempt left it: what is old may be pruned
    if object_hash(ports.bucket, pair.audio.path) != sha256:
        raise BucketError(f"{pair.audio.path}: what the bucket holds is not what was written; save it again")
    ports.bucket.put(pair.prompt_path, content)
    with ports.database.transaction() as connection:
        if insert_saved_pair(connection, artist.id, pair, human_fingerprint(item_id, text)):
            keep_measured(connection, artist.id, {sha256: info.measured})
        else:
            say_again(connection, item_id)
    return item_id


def is_saved_pairs_id(item_id: UUID) -> bool:
    """Whether an id is one of those that are made here: files of such an id without a row were left on the way."""
    return item_id.version == _VERSION


def _its_id(ports: Ports, artist: Artist, new: NewPair, text: str, sha256: str) -> tuple[UUID, bool]:
    """Return the id of this very pair, and whether it is saved already.

    Another one where that has become something else.

    One that failed since, for its files' sake, is to be saved again under its id.
    """
    for take in itertools.count():
        item_id = _pair_id(artist, new, text, sha256, take)
        with ports.database.transaction() as connection:
            item = training_items.get_item(connection, item_id)
        if item is None:
            return item_id, False
        if item.audio_hash == sha256 and item.prompt_text == text and not item.excluded:
            return item_id, item.status != "failed"
    raise AssertionError  # pragma: no cover - counting does not end


def _pair_id(artist: Artist, new: NewPair, text: str, sha256: str, take: int) -> UUID:
    parts = [str(artist.id), new.parse_id, new.als_filename, new.project_name, text, sha256, take]
    number = int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:16], "big")
    number = number & ~(0xF000 << 64) | (_VERSION << 76)
    return UUID(int=number & ~(0xC000 << 48) | (0x8000 << 48))
