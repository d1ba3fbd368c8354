"""Segments in the cache, held against those that a training was asked for."""

from modal_app.errors import JobError
from modal_app.protocol.audio import PreparedAudio
from modal_app.protocol.training import Example


def checked_manifest(example: Example, manifest: PreparedAudio | None) -> PreparedAudio:
    """Return the manifest of an example's file.

    Raises:
        JobError: the segment is not in the cache, or is not the one that was meant.
    """
    if manifest is None or example.index >= len(manifest.segments):
        raise JobError(f"segment {example.index} of {example.song} is not in the cache; prepare it again")
    if manifest.segments[example.index].sha256 != example.sha256:
        raise JobError(f"segment {example.index} of {example.song} is another one now; prepare and tag it again")
    return manifest
