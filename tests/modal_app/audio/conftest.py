"""Signals and files that the audio tests make for themselves, and where the real recordings lie."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from modal_app.data_root.layout import DataRoot
from modal_app.protocol.audio import AudioSource

Signal = npt.NDArray[np.float32]


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path / "data")


@pytest.fixture
def music() -> Callable[..., Signal]:
    return synthesise


@pytest.fixture
def encode() -> Callable[..., Path]:
    return encode_with_ffmpeg


@pytest.fixture
def source_of() -> Callable[[Path], AudioSource]:
    def describe(path: Path) -> AudioSource:
        return AudioSource(audio_hash=hashlib.sha256(path.read_bytes()).hexdigest(), url=path.as_uri(), name=path.name)

    return describe


def synthesise(samples: int, channels: int = 1, *, rate: int = 44_100, level: float = 0.3, seed: int = 0) -> Signal:
    """Tones that differ from channel to channel and a little noise: shape (samples, channels), peak near `level`."""
    time = np.arange(samples)[:, None] / rate
    tones = np.sin(2 * np.pi * (220 + 110 * np.arange(channels)) * time)
    noise = np.random.default_rng(seed).standard_normal((samples, channels))
    return (level * (0.9 * tones + 0.02 * noise)).astype(np.float32)


def encode_with_ffmpeg(path: Path, signal: Signal, rate: int, codec: str, bit_rate: int = 128_000) -> Path:
    """Write a (samples, channels) signal through one of FFmpeg's encoders; the path's suffix chooses the container."""
    import av

    layout = {1: "mono", 2: "stereo", 6: "5.1"}[signal.shape[1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = bit_rate
        for start in range(0, len(signal), 44_100):
            block = np.ascontiguousarray(signal[start : start + 44_100].T)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate = rate
            frame.pts = start
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path
