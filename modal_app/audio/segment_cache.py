"""The write-once cache of segments: `cache/segments/<audio hash>/<recipe>/seg_0000.wav …, manifest.json`.

An entry appears whole or not at all. One that was damaged since (a file missing or short, a manifest that can't be
read) counts as absent and is replaced. Nothing here makes segments.
"""

import os
from pathlib import Path

from pydantic import ValidationError

from modal_app.audio.recipe import RECIPES
from modal_app.audio.segments import segment_name
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import discard
from modal_app.errors import JobError
from modal_app.protocol.audio import PreparedAudio

MANIFEST = "manifest.json"


def find_prepared(root: DataRoot, audio_hash: str, recipe: str) -> PreparedAudio | None:
    """Return the entry's manifest if the entry is there and whole, by its manifest and the sizes of its files."""
    folder = root.segments(audio_hash, recipe)
    try:
        prepared = PreparedAudio.model_validate_json((folder / MANIFEST).read_bytes())
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)}
    except (OSError, ValidationError):
        return None
    whole = all(
        sizes.get(segment_name(segment.index)) == RECIPES[recipe].file_bytes(segment.samples)
        for segment in prepared.segments
    )
    return prepared if whole and (prepared.audio_hash, prepared.recipe) == (audio_hash, recipe) else None


def segment_path(root: DataRoot, audio_hash: str, recipe: str, index: int) -> Path:
    """Return where a segment of an entry lies."""
    return root.segments(audio_hash, recipe) / segment_name(index)


def forget(root: DataRoot, audio_hash: str, recipe: str) -> None:
    """Take an entry out whose files proved to be damaged though their sizes are right: it will be made again."""
    discard(root.segments(audio_hash, recipe), root.scratch())


def keep(root: DataRoot, folder: Path, prepared: PreparedAudio) -> PreparedAudio:
    """Make `folder`, which holds the segments, the cache's entry, and return what the cache now holds.

    Where another process was quicker its entry stays: it has the same bytes, and somebody may be reading it.
    """
    (folder / MANIFEST).write_text(prepared.model_dump_json(indent=1) + "\n")
    target = root.segments(prepared.audio_hash, prepared.recipe)
    target.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(10):
        try:
            folder.rename(target)
        except OSError:
            there = find_prepared(root, prepared.audio_hash, prepared.recipe)
            if there:
                return there
            discard(target, root.scratch())
        else:
            return prepared
    raise JobError(f"{target}: can't be replaced though it is damaged; remove it by hand")
