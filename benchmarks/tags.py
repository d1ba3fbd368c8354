"""What the offline tagger costs for a segment, and how often its tempo and its key are right.

The pieces are composed with a known tempo and key (`_pieces.py`). The score is printed by style; a tempo that is
called sure and is wrong in more than one of twenty, or a key that is wrong in more than one of ten, fails the run.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

WHAT = "tagging eighty 15 s segments by signal processing: tempo, key, loudness, percussion, words"
PEER = "scipy's short-time Fourier transform of the same (2,048 samples, hop 512), which any feature begins with"
FLOOR = "reading the segments"
ROUNDS = 3

_RATE = 44_100
_EACH = 8  # pieces of a style
_FILE, _TRUTH = "segments.npy", "truth.npy"
_OCTAVES = (1 / 3, 1 / 2, 1, 2, 3)
_NEAR = 0.04  # of the tempo, as is usual where tempo estimators are compared


def setup(folder: Path) -> None:
    """Compose the pieces."""
    import numpy as np

    from benchmarks._pieces import STYLES, compose

    pieces = [compose(style, seed) for style in STYLES for seed in range(_EACH)]
    np.save(folder / _FILE, np.stack([piece.signal for piece in pieces]))
    np.save(folder / _TRUTH, np.array([[piece.tempo, piece.tonic, piece.minor] for piece in pieces]))


def ours(folder: Path) -> None:
    """Tag each, knowing nothing."""
    import numpy as np

    from modal_app.tagging.offline import tag_segment

    assert all(tag_segment(segment, 0, None).text for segment in np.load(folder / _FILE))


def peer(folder: Path) -> None:
    """Transform each."""
    import numpy as np
    from scipy import signal

    segments = np.load(folder / _FILE)
    transform = signal.ShortTimeFFT(signal.windows.hann(2_048), 512, _RATE)
    frames = sum(transform.stft(segment).shape[1] for segment in segments)
    assert frames > segments.size // 512


def floor(folder: Path) -> None:
    """Read them."""
    import numpy as np

    assert np.load(folder / _FILE).size


def score(folder: Path) -> Iterator[str]:
    """How often tempo and key are right, by style.

    Raises:
        AssertionError: what is named is not right often enough.
    """
    import numpy as np

    from benchmarks._pieces import STYLES
    from modal_app.tagging.musical_key import NOTES
    from modal_app.tagging.offline import tag_segment

    counts: dict[str, list[int]] = defaultdict(lambda: [0] * 6)
    styles = [style.name for style in STYLES for _ in range(_EACH)]
    for style, segment, (tempo, tonic, minor) in zip(
        styles, np.load(folder / _FILE), np.load(folder / _TRUTH), strict=True
    ):
        tagging = tag_segment(segment, 0, None)
        off = [abs(float(tagging.figures["tempo_bpm"] or 0) / tempo / octave - 1) < _NEAR for octave in _OCTAVES]
        key = tagging.tags.get("key")
        told = [off[2], any(off), "tempo" in tagging.tags, "tempo" in tagging.tags and any(off)]
        is_single = isinstance(key, str) and " or " not in key
        told += [is_single, key == f"{NOTES[int(tonic)]} {'minor' if minor else 'major'}"]
        counts[style] = [count + bool(one) for count, one in zip(counts[style], told, strict=True)]
    yield f"tags: of {_EACH} pieces a style: tempo exact, by an octave, called sure (right); one key named (right)"
    for style, (exact, octave, sure, sure_right, named, right) in counts.items():
        yield f"tags: {style:14} {exact:2} {octave:3} {sure:4} ({sure_right}) {named:6} ({right})"
    exact, octave, sure, sure_right, named, right = (sum(column) for column in zip(*counts.values(), strict=True))
    yield (
        f"tags: {len(styles)} pieces: tempo {exact / len(styles):.2f} exact, {octave / len(styles):.2f} with octaves; "
        f"sure {sure}, right {sure_right}; one key named {named}, right {right}"
    )
    assert sure_right >= 0.95 * sure, "a tempo that is called sure is wrong too often"
    assert right >= 0.9 * named, "a key that is named is wrong too often"
