"""Signals whose tempo, key and percussion are known because they were made so; and a worker that asks Gemini."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from modal_app.protocol.tagging import SegmentToTag
from tests.fakes.model_server.control import ModelServer
from tests.fakes.model_server.fixtures import model_server, model_server_process
from tests.fakes.model_server.gemini_api import KEY
from tests.modal_app.tagging.gemini_worker import N, Worker, copy_segments, make_segments

__all__ = ["model_server", "model_server_process"]

RATE = 44_100
Signal = npt.NDArray[np.float32]

_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)


@pytest.fixture
def clicks() -> Callable[..., Signal]:
    return make_clicks


@pytest.fixture
def drums() -> Callable[..., Signal]:
    return make_drums


@pytest.fixture
def chords() -> Callable[..., Signal]:
    return make_chords


def make_clicks(bpm: float, seconds: float = 15) -> Signal:
    """Bursts of noise, one a beat."""
    noise = np.random.default_rng(0)
    signal = np.zeros(int(seconds * RATE) + RATE)
    for beat in np.arange(0, seconds, 60 / bpm):
        start = round(beat * RATE)
        signal[start : start + 2_000] += noise.standard_normal(2_000) * np.exp(-np.arange(2_000) / 300)
    return (0.25 * signal[: int(seconds * RATE)]).astype(np.float32)


def make_drums(bpm: float, seconds: float = 15, seed: int = 0) -> Signal:
    """Kick on each beat, snare on every second, hats on eighths that swing a little and vary in level."""
    random = np.random.default_rng(seed)
    time = np.arange(RATE // 3) / RATE
    kick = np.sin(2 * np.pi * (50 * time + 3 * (1 - np.exp(-time * 30)))) * np.exp(-time * 12)
    snare = 0.5 * random.standard_normal(RATE // 5) * np.exp(-np.arange(RATE // 5) / RATE * 25)
    hat = 0.3 * np.diff(random.standard_normal(3_001)) * np.exp(-np.arange(3_000) / RATE * 80)
    signal = np.zeros(int(seconds * RATE) + RATE)
    for eighth in range(int(seconds * bpm / 30)):
        at = eighth * 30 / bpm + random.normal(0, 0.002)
        hits = [hat * random.uniform(0.5, 1)] + [kick] * (eighth % 2 == 0) + [snare] * (eighth % 4 == 2)
        for hit in hits:
            start = max(0, round(at * RATE))
            signal[start : start + len(hit)] += hit
    return (0.3 * signal[: int(seconds * RATE)]).astype(np.float32)


def make_chords(tonic: int, mode: str, seconds: float = 15) -> Signal:
    """I IV V I in a key (tonic 0 = C), as triads with a bass, each tone with its harmonics and an attack."""
    scale = _MAJOR if mode == "major" else _MINOR
    samples = int(seconds / 4 * RATE)
    time = np.arange(samples) / RATE
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.05)
    parts = []
    for degree in (0, 3, 4, 0):
        notes = [48 + tonic + scale[(degree + step) % 7] + 12 * ((degree + step) // 7) for step in (0, 2, 4)]
        notes.append(36 + tonic + scale[degree])
        parts.append(np.sum([_tone(note, samples) for note in notes], axis=0) * fade)
    return (0.08 * np.concatenate(parts)).astype(np.float32)


@functools.cache
def _tone(note: int, samples: int) -> Signal:
    """A note with its harmonics; all keys are made of the same few dozen."""
    turns = 2 * np.pi * 440 * 2 ** ((note - 69) / 12) * np.arange(samples) / RATE
    tones = [np.sin(turns * harmonic) / harmonic**1.5 for harmonic in (1, 2, 3, 4)]
    return np.sum(tones, axis=0).astype(np.float32)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SegmentToTag]]:
    folder = tmp_path_factory.mktemp("segments")
    return folder / "data", make_segments(folder / "data", folder / "files", N, silent=3)


@pytest.fixture
def worker(prepared: tuple[Path, list[SegmentToTag]], tmp_path: Path, model_server: ModelServer) -> Iterator[Worker]:
    """Whatever a test does, the key must not be found afterwards."""
    source, segments = prepared
    copy_segments(source, tmp_path / "data")
    worker = Worker(tmp_path / "data", model_server, segments[:N])
    yield worker
    assert KEY not in worker.everything_said()


@pytest.fixture
def silent(prepared: tuple[Path, list[SegmentToTag]]) -> list[SegmentToTag]:
    return prepared[1][N:]
