"""The `prepare` job: audio files to segments in the cache. Files that are in the cache are not looked at."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import BinaryIO

from modal_app.audio.decode import open_regular, read_audio
from modal_app.audio.recipe import MONO44, RECIPES, Recipe
from modal_app.audio.segment_cache import find_prepared, keep
from modal_app.audio.segments import write_segments
from modal_app.data_root.digests import sha256_stream
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import scratch_folder, sweep
from modal_app.errors import DawaError, InputError, UnreadableAudioError
from modal_app.protocol.audio import AudioSource, FailedAudio, PreparedAudio, PrepareRequest, PrepareResult
from modal_app.protocol.base import Event

_WORKERS = min(4, os.cpu_count() or 1)  # the decoder and the resampler let go of the interpreter's lock


def prepare(request: PrepareRequest, root: DataRoot, emit: Callable[[Event], None]) -> PrepareResult:
    """Bring the segments of the request's files into the cache; a file that can't be read fails alone."""
    sweep(root.scratch())
    sources = {source.audio_hash: source for source in request.sources}
    prepared = {key: there for key in sources if (there := find_prepared(root, key, request.recipe))}
    failed: dict[str, FailedAudio] = {}
    missing = [source for key, source in sources.items() if key not in prepared]
    with ThreadPoolExecutor(_WORKERS) as pool:
        jobs = {pool.submit(_prepare_one, source, request.recipe, root): source for source in missing}
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                source = jobs[job]
                try:
                    prepared[source.audio_hash] = job.result()
                except DawaError as error:
                    failed[source.audio_hash] = FailedAudio(
                        audio_hash=source.audio_hash,
                        name=source.name,
                        reason=str(error),
                        unreadable=isinstance(error, InputError),
                    )
                emit(_progress(source, prepared.get(source.audio_hash), done, len(missing)))
        finally:
            pool.shutdown(cancel_futures=True)  # else a job that is ended would first prepare all that still waits
    return PrepareResult(
        prepared=[prepared[key] for key in sources if key in prepared],
        failed=[failed[key] for key in sources if key in failed],
        computed=len(missing) - len(failed),
    )


def segment_local_file(path: Path, folder: Path) -> PreparedAudio:
    """Write the `mono44` segments of one file into `folder`, outside of any cache.

    Raises:
        UnreadableAudioError: the file can't be opened or decoded.
    """
    with open_regular(path) as file:
        audio_hash = sha256_stream(file)
        file.seek(0)
        return _segment(file, path.name, audio_hash, MONO44, folder)


def _segment(file: BinaryIO, name: str, audio_hash: str, recipe: Recipe, folder: Path) -> PreparedAudio:
    with read_audio(file, name) as audio:
        segments = write_segments(audio.blocks(recipe.channels), audio.sample_rate, folder, recipe)
        if not segments:
            kilohertz = recipe.sample_rate / 1000
            raise UnreadableAudioError(f"{name}: it is shorter than one sample at {kilohertz:g} kHz; export more of it")
        return PreparedAudio(
            audio_hash=audio_hash,
            recipe=recipe.name,
            sample_rate=recipe.sample_rate,
            source_sample_rate=audio.sample_rate,
            source_channels=audio.channels,
            source_samples=audio.samples,
            duration_seconds=audio.samples / audio.sample_rate,
            segments=segments,
            warnings=audio.warnings(),
        )


def _prepare_one(source: AudioSource, recipe: str, root: DataRoot) -> PreparedAudio:
    from modal_app.audio.fetch import fetched  # not for a file of this machine: it brings HTTP with it

    with fetched(source, root.scratch()) as file, scratch_folder(root.scratch()) as folder:
        return keep(root, folder, _segment(file, source.name, source.audio_hash, RECIPES[recipe], folder))


def _progress(source: AudioSource, prepared: PreparedAudio | None, done: int, total: int) -> Event:
    if prepared is None:
        return Event(kind="progress", level="warning", message=f"{source.name}: not prepared", done=done, total=total)
    warnings = "".join(f"; {warning}" for warning in prepared.warnings)
    return Event(
        kind="progress",
        level="warning" if warnings else "info",
        message=f"{source.name}: {len(prepared.segments)} segments{warnings}",
        done=done,
        total=total,
        figures={"seconds_of_audio": round(prepared.duration_seconds, 3)},
    )
