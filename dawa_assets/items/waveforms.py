"""Waveforms of the bucket's audio: measured once for each content and kept on this machine; may be deleted any time."""

import hashlib
import logging
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dawa_assets.intake.settle import local_copy, plain_reason
from modal_app.audio.scratch import locked, scratch_folder
from modal_app.audio.waveform import Loudness, Waveform, measure_waveform
from modal_app.errors import UnreadableAudioError
from resources.ports import Ports
from resources.settings import Settings

log = logging.getLogger(__name__)

_FORMAT = "w1"  # of what is kept: another one is measured anew


def waveform_of(ports: Ports, key: str, sha256: str | None) -> tuple[str, Waveform]:
    """The waveform of an object, and its SHA-256, which is taken from the bytes where it is not known.

    Who asks for what somebody else is measuring waits for that.

    Raises:
        ObjectNotFoundError: it is gone.
        UnreadableAudioError: it can't be decoded.
    """
    settings = ports.settings
    if sha256 is not None and (kept := _read(_place(settings, sha256))) is not None:
        return sha256, kept
    name = key.rpartition("/")[2]
    shelf = _folder(settings) / hashlib.sha256(key.encode()).hexdigest()[:2]
    shelf.mkdir(parents=True, exist_ok=True)
    with locked(shelf):
        if sha256 is not None and (kept := _read(_place(settings, sha256))) is not None:
            return sha256, kept
        with local_copy(ports.bucket, key, name) as local:
            if (kept := _read(_place(settings, local.sha256))) is not None:
                return local.sha256, kept
            log.info("measuring the waveform of %s", key)
            try:
                measured = measure_waveform(local.path)
            except UnreadableAudioError as error:
                raise UnreadableAudioError(f"the audio: {plain_reason(error, local.path.name)}") from None
        _keep(settings, local.sha256, measured)
        return local.sha256, measured


def forget_waveforms(settings: Settings, hashes: Iterable[str]) -> None:
    """Remove what is kept of these contents."""
    for sha256 in hashes:
        _place(settings, sha256).unlink(missing_ok=True)


def _folder(settings: Settings) -> Path:
    return settings.home / "cache" / "waveforms"


def _place(settings: Settings, sha256: str) -> Path:
    name = hashlib.sha256(sha256.encode()).hexdigest()  # rows of others may hold anything as a hash
    return _folder(settings) / name[:2] / f"{name}.{_FORMAT}.npz"


def _keep(settings: Settings, sha256: str, measured: Waveform) -> None:
    place = _place(settings, sha256)
    place.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(_folder(settings) / "scratch") as folder:
        np.savez_compressed(
            folder / "waveform.npz",
            low=measured.low,
            high=measured.high,
            rms=measured.rms,
            figures=np.array([measured.seconds, measured.sample_rate, measured.channels]),
            loudness=np.array([np.nan if each is None else each for each in astuple(measured.loudness)]),
        )
        (folder / "waveform.npz").replace(place)


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
