"""What it costs to turn a bounce into segments: ten minutes of mp3, 320 kbit/s, stereo, 48 kHz."""

from pathlib import Path

from benchmarks.goals import Goal

WHAT = "600 s of mp3 to 15 s mono segments at 44.1 kHz, normalised, hashed, with true peaks"
PEER = "the usual script: soundfile whole, channel mean, soxr whole, peak, soundfile out (no hashes, no true peaks)"
FLOOR = "decoding the mp3 by FFmpeg, keeping nothing"
GOALS = (Goal("ours / floor", at_most=1.7),)

_SECONDS = 600
_RATE = 48_000
_PIECE_SECONDS = 12
_FRAME_BYTES = 960  # of 320 kbit/s at 48 kHz
_TRACK = "track.mp3"


def setup(folder: Path) -> None:
    """Write the track."""
    write_track(folder / _TRACK, _SECONDS)


def write_track(path: Path, seconds: int) -> None:
    """Encode twelve seconds once and lay them end to end, to a multiple of them: mp3 frames stand alone."""
    import av
    import numpy as np

    time = np.arange(_PIECE_SECONDS * _RATE) / _RATE
    noise = np.random.default_rng(1).standard_normal((2, len(time))) * np.exp(-(time % 0.5) * 10)
    tones = np.sin(2 * np.pi * np.array([[220.0], [277.2]]) * time)
    signal = (0.3 * tones + 0.1 * noise).astype(np.float32)
    piece = path.with_name("piece.mp3")
    with av.open(str(piece), "w") as container:
        stream = container.add_stream("libmp3lame", rate=_RATE, layout="stereo")
        stream.bit_rate = 320_000
        for start in range(0, len(time), _RATE):
            block = np.ascontiguousarray(signal[:, start : start + _RATE])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate = _RATE
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = piece.read_bytes()
    frames = data[data.index(b"\xff\xfb", 10) + _FRAME_BYTES :]  # the first frame is the encoder's table
    frames = frames[: _PIECE_SECONDS * _RATE // 1_152 * _FRAME_BYTES]
    path.write_bytes(frames * (seconds // _PIECE_SECONDS))


def ours(folder: Path) -> None:
    """`dawa segment`, without the command line."""
    from tempfile import TemporaryDirectory

    from modal_app.audio.prepare import segment_local_file

    with TemporaryDirectory(dir=folder) as out:
        prepared = segment_local_file(folder / _TRACK, Path(out))
        assert prepared.source_samples == _SECONDS * _RATE
        assert len(prepared.segments) == _SECONDS // 15


def peer(folder: Path) -> None:
    """Everything in memory at once."""
    assert usual_script(folder / _TRACK) == _SECONDS // 15


def usual_script(path: Path) -> int:
    """Cut a file as most would, beside it; return how many segments it gave."""
    from tempfile import TemporaryDirectory

    import numpy as np
    import soundfile
    import soxr

    with TemporaryDirectory(dir=path.parent) as out:
        signal, rate = soundfile.read(path, dtype="float32")
        mono = soxr.resample(signal.mean(axis=1), rate, 44_100, quality="HQ")
        count = len(mono) // 661_500
        for index in range(count):
            segment = mono[index * 661_500 : (index + 1) * 661_500]
            segment = segment * (10 ** (-1 / 20) / np.abs(segment).max())
            soundfile.write(Path(out) / f"seg_{index:04d}.wav", segment, 44_100, subtype="PCM_16")
        return count


def floor(folder: Path) -> None:
    """Decode it."""
    import av

    with av.open(str(folder / _TRACK)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == _SECONDS * _RATE
