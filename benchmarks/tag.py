"""What the offline tagger costs for a segment."""

from pathlib import Path

WHAT = "tagging forty 15 s segments by signal processing: tempo, key, instruments, loudness, words"
PEER = "scipy's short-time Fourier transform of the same (2,048 samples, hop 512), which any feature begins with"
FLOOR = "reading the segments"

_SEGMENTS = 40
_RATE = 44_100
_LENGTH = 15 * _RATE
_FILE = "segments.npy"


def setup(folder: Path) -> None:
    """Make forty segments: chords and drums."""
    import numpy as np

    chance = np.random.default_rng(1)
    time = np.arange(_LENGTH) / _RATE
    segments = np.empty((_SEGMENTS, _LENGTH), np.float32)
    for number in range(_SEGMENTS):
        beat = 60 / (90 + number)
        drums = chance.standard_normal(_LENGTH) * np.exp(-(time % beat) * 30)
        chord = sum(np.sin(2 * np.pi * 220 * 2 ** ((number + step) / 12) * time) for step in (0, 3, 7))
        segments[number] = 0.2 * drums + 0.1 * chord
    np.save(folder / _FILE, segments)


def ours(folder: Path) -> None:
    """Tag each."""
    import numpy as np

    from modal_app.tagging.offline import tag_segment

    texts = [tag_segment(segment, 0, 90 + number).text for number, segment in enumerate(np.load(folder / _FILE))]
    assert len(texts) == _SEGMENTS
    assert all(texts)


def peer(folder: Path) -> None:
    """Transform each."""
    import numpy as np
    from scipy import signal

    transform = signal.ShortTimeFFT(signal.windows.hann(2_048), 512, _RATE)
    frames = sum(transform.stft(segment).shape[1] for segment in np.load(folder / _FILE))
    assert frames > _SEGMENTS * _LENGTH // 512


def floor(folder: Path) -> None:
    """Read them."""
    import numpy as np

    assert np.load(folder / _FILE).shape == (_SEGMENTS, _LENGTH)
