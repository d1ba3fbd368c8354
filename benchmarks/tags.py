"""What the offline tagger costs for a segment, and how often its tempo and its key are right, beside librosa.

The pieces are composed with a known tempo and key (`_pieces.py`). The score is printed by style; a tempo that is
called sure and is wrong in more than one of twenty, or a key that is wrong in more than one of ten, fails the run.
librosa is no part of the project: where it is not installed, the peer is the transform that any feature begins with.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks.goals import Goal

HAS_LIBROSA = find_spec("librosa") is not None

LIBROSA = (
    "librosa at its own rate: tempo, onsets, key by constant-Q chroma, level, centroid, percussive share; no words"
)
TRANSFORM = "scipy's short-time Fourier transform of the same (2,048 samples, hop 512), which any feature begins with"

WHAT = "tagging eighty 15 s segments by signal processing: tempo, key, loudness, percussion, words"
PEERS = (LIBROSA, TRANSFORM)
PEER = LIBROSA if HAS_LIBROSA else TRANSFORM
FLOOR = "reading the segments"
ROUNDS = 3
GOALS = (
    Goal("ours / peer", at_most=0.33, against=LIBROSA),
    Goal("tempo exact beyond librosa's", at_least=0, against=LIBROSA),
    Goal("key right where named beyond librosa's", at_least=0, against=LIBROSA),
)

_RATE = 44_100
_EACH = 8  # pieces of a style
_FILE, _TRUTH, _FIGURES = "segments.npy", "truth.npy", "figures.json"
_OCTAVES = (1 / 3, 1 / 2, 1, 2, 3)
_NEAR = 0.04  # of the tempo, as is usual where tempo estimators are compared


def setup(folder: Path) -> None:
    """Compose the pieces; let librosa compile what it keeps compiled."""
    import numpy as np

    from benchmarks._librosa_tagger import describe
    from benchmarks._pieces import STYLES, compose

    pieces = [compose(style, seed) for style in STYLES for seed in range(_EACH)]
    np.save(folder / _FILE, np.stack([piece.signal for piece in pieces]))
    np.save(folder / _TRUTH, np.array([[piece.tempo, piece.tonic, piece.minor] for piece in pieces]))
    if HAS_LIBROSA:
        describe(pieces[0].signal, _RATE)


def ours(folder: Path) -> None:
    """Tag each, knowing nothing."""
    import numpy as np

    from modal_app.tagging.offline import tag_segment

    assert all(tag_segment(segment, 0, None).text for segment in np.load(folder / _FILE))


def peer(folder: Path) -> None:
    """Measure each by librosa; transform it, where there is none."""
    import numpy as np

    segments = np.load(folder / _FILE)
    if HAS_LIBROSA:
        from benchmarks._librosa_tagger import describe

        assert all(describe(segment, _RATE).tempo > 0 for segment in segments)
        return
    from scipy import signal

    transform = signal.ShortTimeFFT(signal.windows.hann(2_048), 512, _RATE)
    frames = sum(transform.stft(segment).shape[1] for segment in segments)
    assert frames > segments.size // 512


def floor(folder: Path) -> None:
    """Read them."""
    import numpy as np

    assert np.load(folder / _FILE).size


def score(folder: Path) -> Iterator[str]:
    """How often tempo and key are right, by style, and librosa's beside them.

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
        is_exact, is_near = _compared(float(tagging.figures["tempo_bpm"] or 0), tempo)
        key = tagging.tags.get("key")
        told = [is_exact, is_near, "tempo" in tagging.tags, "tempo" in tagging.tags and is_near]
        is_single = isinstance(key, str) and " or " not in key
        told += [is_single, key == f"{NOTES[int(tonic)]} {'minor' if minor else 'major'}"]
        counts[style] = [count + bool(one) for count, one in zip(counts[style], told, strict=True)]
    yield f"tags: of {_EACH} pieces a style: tempo exact, by an octave, called sure (right); one key named (right)"
    by_librosa = dict(_by_librosa(folder)) if HAS_LIBROSA else {}
    for style, (exact, octave, sure, sure_right, named, right) in counts.items():
        beside = "   librosa: {:2} {:3}; key right {}".format(*by_librosa[style]) if by_librosa else ""
        yield f"tags: {style:14} {exact:2} {octave:3} {sure:4} ({sure_right}) {named:6} ({right}){beside}"
    exact, octave, sure, sure_right, named, right = (sum(column) for column in zip(*counts.values(), strict=True))
    yield (
        f"tags: {len(styles)} pieces: tempo {exact / len(styles):.2f} exact, {octave / len(styles):.2f} with octaves; "
        f"sure {sure}, right {sure_right}; one key named {named}, right {right}"
    )
    figures = {"tempo exact": exact / len(styles), "key right where named": right / max(1, named)}
    if by_librosa:
        their_exact, their_octave, their_right = (sum(column) for column in zip(*by_librosa.values(), strict=True))
        theirs = {"tempo exact": their_exact / len(styles), "key right where named": their_right / len(styles)}
        yield (
            f"tags: librosa: tempo {theirs['tempo exact']:.2f} exact, {their_octave / len(styles):.2f} with octaves; "
            f"a key named for all {len(styles)}, right {their_right}"
        )
        figures |= {f"{name}, librosa": each for name, each in theirs.items()}
        figures |= {f"{name} beyond librosa's": figures[name] - each for name, each in theirs.items()}
    else:
        yield "tags: librosa is not installed (docs/benchmarks.md): scipy's transform is the peer, without goals"
    (folder / _FIGURES).write_text(json.dumps({name: round(figure, 3) for name, figure in figures.items()}))
    assert sure_right >= 0.95 * sure, "a tempo that is called sure is wrong too often"
    assert right >= 0.9 * named, "a key that is named is wrong too often"


def figures(folder: Path) -> dict[str, float]:
    """Return the shares that the score counted."""
    return dict(json.loads((folder / _FIGURES).read_bytes()))


def _compared(found: float, tempo: float) -> tuple[bool, bool]:
    """Return whether a tempo is the right one, and whether it is but for octaves."""
    off = [abs(found / tempo / octave - 1) < _NEAR for octave in _OCTAVES]
    return off[2], any(off)


def _by_librosa(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Yield for each style how often librosa's tempo is exact, and right with octaves, and its key right."""
    import numpy as np

    from benchmarks._librosa_tagger import describe
    from benchmarks._pieces import STYLES

    segments, truths = np.load(folder / _FILE), np.load(folder / _TRUTH)
    for number, style in enumerate(STYLES):
        counts = [0, 0, 0]
        of_style = slice(number * _EACH, (number + 1) * _EACH)
        for segment, (tempo, tonic, minor) in zip(segments[of_style], truths[of_style], strict=True):
            found = describe(segment, _RATE)
            is_key = (found.tonic, found.is_minor) == (int(tonic), bool(minor))
            told = (*_compared(found.tempo, tempo), is_key)
            counts = [count + one for count, one in zip(counts, told, strict=True)]
        yield style.name, counts
