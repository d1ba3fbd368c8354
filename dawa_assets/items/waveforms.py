"""Waveforms of the bucket's audio, and copies to listen by: decoded once for each content and kept on this machine.

All of it may be deleted at any time. Browsers find places in mp3, AAC and Ogg by estimates (Chromium is off by 70 to
170 ms after a seek in an mp3), and some containers they can't play; a copy is FLAC of the very samples that the
waveform was measured from, so that sound and picture agree.
"""

import hashlib
import logging
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeVar
from zipfile import BadZipFile

import numpy as np

from dawa_assets.pipeline.file_transfer import local_copy, plain_reason
from dawa_assets.pipeline.local_files import waveform_file, waveforms_folder
from modal_app.audio.waveform import Loudness, Waveform, measure_waveform
from modal_app.data_root.scratch import locked, scratch_folder, sweep
from modal_app.errors import UnreadableAudioError
from resources.errors import ObjectNotFoundError
from resources.ports import Ports
from resources.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_COPIES_BYTES = 4 * 2**30
"""Of all copies together: some twenty hours of music. Those that nobody has played for longest go first."""

_PLAYED_EXACTLY = frozenset({".wav", ".wave", ".flac"})


def needs_copy(key: str) -> bool:
    """Return whether browsers can't be trusted to play the file, by its name, at the place that they say."""
    return PurePosixPath(key).suffix.lower() not in _PLAYED_EXACTLY


def is_measured(settings: Settings, sha256: str | None) -> bool:
    """Return whether the waveform of a content is kept: reading it takes a moment, measuring it takes a while."""
    return sha256 is not None and waveform_file(settings, sha256, "npz").exists()


def is_copied(settings: Settings, sha256: str) -> bool:
    """Return whether the copy of a content is kept."""
    return waveform_file(settings, sha256, "flac").exists()


def waveform_of(ports: Ports, key: str, sha256: str | None) -> tuple[str, Waveform]:
    """Return the waveform of an object, and its SHA-256, which is taken from the bytes where it is not known.

    Who asks for what somebody else is decoding waits for that.

    Raises:
        ObjectNotFoundError: it is gone.
        UnreadableAudioError: it can't be decoded.
    """
    return _kept(ports, key, sha256, lambda found: _read(waveform_file(ports.settings, found, "npz")), needs_copy(key))


def open_copy(ports: Ports, key: str, sha256: str | None) -> BinaryIO:
    """Open the copy of an object that one listens by, a FLAC file; it stays readable when it is removed meanwhile.

    Raises:
        ObjectNotFoundError: it is gone.
        UnreadableAudioError: it can't be decoded, or its copy would be too large to keep.
    """
    copy = _kept(ports, key, sha256, lambda found: _open(waveform_file(ports.settings, found, "flac")), True)[1]
    if not copy.seek(0, os.SEEK_END):  # what was too large is kept empty, so that it isn't decoded again and again
        copy.close()
        raise UnreadableAudioError(f"{key}: has no copy to listen by, it would be too large; play the file itself")
    copy.seek(0)
    return copy


def _kept(
    ports: Ports, key: str, sha256: str | None, find: Callable[[str], T | None], with_copy: bool
) -> tuple[str, T]:
    """Return an object's SHA-256 and what `find` finds for it, after decoding where that is nothing."""
    if sha256 is not None and (kept := find(sha256)) is not None:
        return sha256, kept
    shelf = waveforms_folder(ports.settings) / hashlib.sha256(key.encode()).hexdigest()[:2]
    shelf.mkdir(parents=True, exist_ok=True)
    with locked(shelf):
        if sha256 is not None and (kept := find(sha256)) is not None:
            return sha256, kept
        with local_copy(ports.bucket, key, key.rpartition("/")[2]) as local:
            if (kept := find(local.sha256)) is None:
                log.info("measuring the waveform of %s", key)
                try:
                    _decode(ports.settings, local.path, local.sha256, with_copy)
                except UnreadableAudioError as error:
                    raise UnreadableAudioError(f"the audio: {plain_reason(error, local.path.name)}") from None
                kept = find(local.sha256)
        if kept is None:
            raise ObjectNotFoundError(f"{key}: what was decoded of it was removed meanwhile; ask again")
        return local.sha256, kept


def _decode(settings: Settings, path: Path, sha256: str, with_copy: bool) -> None:
    place, copy_place = waveform_file(settings, sha256, "npz"), waveform_file(settings, sha256, "flac")
    place.parent.mkdir(parents=True, exist_ok=True)
    sweep(waveforms_folder(settings) / "scratch")  # a killed process leaves a copy as large as a song
    with scratch_folder(waveforms_folder(settings) / "scratch") as folder:
        copy = folder / "copy.flac" if with_copy else None
        measured = measure_waveform(path, copy)
        np.savez_compressed(
            folder / "waveform.npz",
            low=measured.low,
            high=measured.high,
            rms=measured.rms,
            figures=np.array([measured.seconds, measured.sample_rate, measured.channels]),
            loudness=np.array([np.nan if each is None else each for each in astuple(measured.loudness)]),
        )
        if copy is not None:
            _make_room(settings, copy.stat().st_size)
            copy.replace(copy_place)
        (folder / "waveform.npz").replace(place)


def _make_room(settings: Settings, size: int) -> None:
    """Remove the copies that were opened longest ago, until there is room for another one of `size` bytes."""
    kept = []
    for path in waveforms_folder(settings).glob("*/*.flac"):
        with suppress(FileNotFoundError):  # another process makes room too
            kept.append((path.stat().st_mtime, path.stat().st_size, path))
    total = size + sum(size for _, size, _ in kept)
    for _, freed, path in sorted(kept):
        if total <= MAX_COPIES_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= freed


def _open(place: Path) -> BinaryIO | None:
    with suppress(FileNotFoundError):
        os.utime(place)  # `_make_room` goes by it
        return place.open("rb")
    return None


def _read(place: Path) -> Waveform | None:
    """Read what is kept of a content; what is missing, or was damaged on the disk, counts as not there."""
    damage = (OSError, ValueError, KeyError, BadZipFile, EOFError, zlib.error, RuntimeError)  # by zipfile, by numpy
    with suppress(*damage), np.load(place) as kept:
        seconds, sample_rate, channels = kept["figures"].tolist()
        loudness = [None if np.isnan(each) else float(each) for each in kept["loudness"]]
        return Waveform(
            seconds=seconds,
            sample_rate=int(sample_rate),
            channels=int(channels),
            low=kept["low"],
            high=kept["high"],
            rms=kept["rms"],
            loudness=Loudness(*loudness),
        )
    return None
