"""Memory stays flat however long a file is."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

CODE = """
import sys
from pathlib import Path
from modal_app.audio.prepare import segment_local_file
prepared = segment_local_file(Path(sys.argv[1]), Path(sys.argv[2]))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(len(prepared.segments), prepared.source_samples, int(peak.split()[1]) // 1024)
"""


def long_mp3(path: Path, seconds: int, music: Callable[..., np.ndarray], encode: Callable[..., Path]) -> Path:
    """Twelve seconds encoded once and laid end to end: mp3 frames stand alone, and encoding an hour takes minutes."""
    piece = encode(path.with_suffix(".piece.mp3"), music(48_000 * 12, 2, rate=48_000), 48_000, "libmp3lame", 320_000)
    data = piece.read_bytes()
    first = data.index(b"\xff\xfb", 10 if data.startswith(b"ID3") else 0)
    length = 960  # a frame of 320 kbit/s at 48 kHz; the first one only holds the encoder's table
    frames = data[first + length :]
    assert frames[:2] == b"\xff\xfb"
    assert len(frames) % length == 0
    with path.open("wb") as file:
        for _ in range(seconds // 12):
            file.write(frames)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("minutes", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_a_long_mp3_stays_under_150_mb(
    tmp_path: Path, music: Callable[..., np.ndarray], encode: Callable[..., Path], minutes: int
) -> None:
    path = long_mp3(tmp_path / "long.mp3", minutes * 60, music, encode)
    out = tmp_path / "out"
    out.mkdir()
    answer = subprocess.run(
        [sys.executable, "-c", CODE, str(path), str(out)], capture_output=True, text=True, check=True
    )
    segments, samples, megabytes = map(int, answer.stdout.split())
    assert segments >= minutes * 4
    assert abs(samples - minutes * 60 * 48_000) < 3 * 1_152 * minutes * 5
    assert megabytes < 150
