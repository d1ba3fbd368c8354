"""The `tag` job: segments in the cache to words, by the tagger that the request names. Each segment fails alone."""

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from modal_app.audio.segment_cache import find_prepared, forget
from modal_app.data_root.layout import DataRoot
from modal_app.errors import DamagedSegmentError, DawaError
from modal_app.protocol.audio import PreparedAudio
from modal_app.protocol.base import Event
from modal_app.protocol.tagging import FailedTags, SegmentTags, SegmentToTag, TagRequest, TagResult
from modal_app.tagging import offline
from modal_app.tagging.segment_reader import find_segment, read_wav
from modal_app.tagging.tag_key import OFFLINE, hint_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_WORKERS = min(4, os.cpu_count() or 1)

Emit = Callable[[Event], None]


def tag(request: TagRequest, root: DataRoot, emit: Emit) -> TagResult:
    """Describe the request's segments; one that is missing or damaged fails alone."""
    if request.tagger == "gemini":
        from modal_app.tagging.hosted import tag_hosted

        return tag_hosted(request, root, emit)
    return _tag_offline(request, root, emit)


def _tag_offline(request: TagRequest, root: DataRoot, emit: Emit) -> TagResult:
    wanted = {(part.sha256, hint_of(part.bpm)): part for part in request.segments}
    entries = {key: find_prepared(root, key, request.recipe) for key in {part.audio_hash for part in wanted.values()}}
    tagged: list[SegmentTags] = []
    failed: list[FailedTags] = []
    damaged: set[str] = set()
    with ThreadPoolExecutor(_WORKERS) as pool:
        jobs = [
            (part, pool.submit(_tag_one, part, entries[part.audio_hash], root, request.recipe))
            for part in wanted.values()
        ]
        try:
            for done, (part, job) in enumerate(jobs, 1):
                try:
                    tagged.append(job.result())
                    message = f"segment {part.index}: {tagged[-1].text}"
                except DawaError as error:
                    if isinstance(error, DamagedSegmentError):
                        damaged.add(part.audio_hash)
                    failed.append(FailedTags(sha256=part.sha256, reason=str(error)))
                    message = str(error)
                emit(Event(kind="progress", message=message, done=done, total=len(jobs)))
        finally:
            pool.shutdown(cancel_futures=True)  # else a job that is ended would first tag all that still waits
    for audio_hash in damaged:
        forget(root, audio_hash, request.recipe)
    return TagResult(tagged=tagged, failed=failed)


def _tag_one(part: SegmentToTag, entry: PreparedAudio | None, root: DataRoot, recipe: str) -> SegmentTags:
    segment = find_segment(part, entry)
    wav = read_wav(part, root, recipe)
    tagging = offline.tag_silence() if segment.silent else offline.tag_segment(_samples(wav), segment.gain_db, part.bpm)
    return SegmentTags(
        sha256=part.sha256,
        model=OFFLINE.model,
        tag_prompt_version=OFFLINE.tag_prompt_version,
        hint=hint_of(part.bpm),
        text=tagging.text,
        tags=tagging.tags,
        figures=tagging.figures,
    )


def _samples(wav: bytes) -> "npt.NDArray[np.float32]":
    import soundfile

    signal: npt.NDArray[np.float32]
    signal, _ = soundfile.read(io.BytesIO(wav), dtype="float32")
    return signal
