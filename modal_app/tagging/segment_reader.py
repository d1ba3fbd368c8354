"""Segments as taggers read them: from the write-once cache, their bytes verified."""

import hashlib

from modal_app.audio.segment_cache import segment_path
from modal_app.data_root.layout import DataRoot
from modal_app.errors import DamagedSegmentError, JobError
from modal_app.protocol.audio import PreparedAudio, Segment
from modal_app.protocol.tagging import SegmentToTag


def find_segment(part: SegmentToTag, entry: PreparedAudio | None) -> Segment:
    """Return the cached segment that is meant.

    Raises:
        JobError: it is not in the cache, or another one is in its place.
    """
    segment = next((known for known in entry.segments if known.index == part.index), None) if entry else None
    if segment is None or segment.sha256 != part.sha256:
        raise JobError(f"{_name(part)} is not in the cache; prepare it again")
    return segment


def read_wav(part: SegmentToTag, root: DataRoot, recipe: str) -> bytes:
    """Return the bytes of a segment's wav.

    Raises:
        JobError: they can't be read, or are not those that are meant.
    """
    try:
        data = segment_path(root, part.audio_hash, recipe, part.index).read_bytes()
    except OSError as error:
        raise JobError(f"{_name(part)} can't be read: {error.strerror}; prepare it again") from None
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise DamagedSegmentError(f"{_name(part)} was damaged and is taken out of the cache; prepare it again")
    return data


def _name(part: SegmentToTag) -> str:
    return f"segment {part.index} of audio {part.audio_hash[:12]}"
