"""The `tag` job: segments in the cache to words. The one place that knows which taggers there are."""

import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modal_app.audio.cache import find_prepared, forget, segment_path
from modal_app.config import DataRoot
from modal_app.errors import DawaError, JobError
from modal_app.protocol import (
    Event,
    FailedTags,
    PreparedAudio,
    Segment,
    SegmentTags,
    SegmentToTag,
    TagRequest,
    TagResult,
)
from modal_app.tagging import offline
from modal_app.tagging.offline import Tagging

_WORKERS = min(4, os.cpu_count() or 1)


class _DamagedError(JobError):
    """A cached segment's bytes are not those of its hash."""


@dataclass(frozen=True)
class Tagger:
    """A way to describe segments, with the names that its rows are keyed by."""

    model: str
    tag_prompt_version: str
    tag: Callable[[npt.NDArray[np.float32], Segment, float | None], Tagging]


def _offline(signal: npt.NDArray[np.float32], segment: Segment, bpm: float | None) -> Tagging:
    return offline.tag_silence() if segment.silent else offline.tag_segment(signal, segment.gain_db, bpm)


TAGGERS = {"offline": Tagger(offline.MODEL, offline.TAG_PROMPT_VERSION, _offline)}


def hint_of(bpm: float | None) -> str:
    """The known facts as part of a row's key: `bpm=124`, `bpm=120.5`, or nothing. At most two decimals."""
    return f"bpm={round(bpm, 2):.10g}" if bpm else ""


def tag(request: TagRequest, root: DataRoot, emit: Callable[[Event], None]) -> TagResult:
    """Describe the request's segments; one that is missing or damaged fails alone."""
    tagger = TAGGERS[request.tagger]
    wanted = {(part.sha256, hint_of(part.bpm)): part for part in request.segments}
    entries = {key: find_prepared(root, key, request.recipe) for key in {part.audio_hash for part in wanted.values()}}
    tagged: list[SegmentTags] = []
    failed: list[FailedTags] = []
    damaged: set[str] = set()
    with ThreadPoolExecutor(_WORKERS) as pool:
        jobs = [
            (part, pool.submit(_tag_one, tagger, part, entries[part.audio_hash], root, request.recipe))
            for part in wanted.values()
        ]
        try:
            for done, (part, job) in enumerate(jobs, 1):
                try:
                    tagged.append(job.result())
                    message = f"segment {part.index}: {tagged[-1].text}"
                except DawaError as error:
                    if isinstance(error, _DamagedError):
                        damaged.add(part.audio_hash)
                    failed.append(FailedTags(sha256=part.sha256, reason=str(error)))
                    message = str(error)
                emit(Event(kind="progress", message=message, done=done, total=len(jobs)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for audio_hash in damaged:
        forget(root, audio_hash, request.recipe)
    return TagResult(tagged=tagged, failed=failed)


def read_segment(part: SegmentToTag, entry: PreparedAudio | None, root: DataRoot, recipe: str) -> tuple[Segment, bytes]:
    """A cached segment's description and the bytes of its wav, verified.

    Raises:
        JobError: it is not in the cache, or its bytes are not those that are meant.
    """
    name = f"segment {part.index} of audio {part.audio_hash[:12]}"
    segment = next((known for known in entry.segments if known.index == part.index), None) if entry else None
    if segment is None or segment.sha256 != part.sha256:
        raise JobError(f"{name} is not in the cache; prepare it again")
    try:
        data = segment_path(root, part.audio_hash, recipe, part.index).read_bytes()
    except OSError as error:
        raise JobError(f"{name} can't be read: {error.strerror}; prepare it again") from None
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise _DamagedError(f"{name} was damaged and is taken out of the cache; prepare it again")
    return segment, data


def _tag_one(
    tagger: Tagger, part: SegmentToTag, entry: PreparedAudio | None, root: DataRoot, recipe: str
) -> SegmentTags:
    import soundfile

    segment, data = read_segment(part, entry, root, recipe)
    signal, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    tagging = tagger.tag(signal, segment, part.bpm)
    return SegmentTags(
        sha256=part.sha256,
        model=tagger.model,
        tag_prompt_version=tagger.tag_prompt_version,
        hint=hint_of(part.bpm),
        text=tagging.text,
        tags=tagging.tags,
        figures=tagging.figures,
    )
