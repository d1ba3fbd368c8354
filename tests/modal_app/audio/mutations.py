"""Seeded mutations of small files: what must hold however a file was damaged."""

import io
import random
from pathlib import Path

from modal_app.audio.decode import read_audio
from modal_app.audio.mpeg_frames import find_mp3, gapless_of, tag_size
from modal_app.audio.window import Window
from modal_app.errors import UnreadableAudioError

_PACKET = 8_192
"""The longest packet of any of the formats, in samples; a difference within one can't be told in some."""


def mutated(data: bytes, seed: int) -> bytes:
    """A file with a few of its bytes changed, some cut out, doubled or put in, mostly in its header."""
    chance = random.Random(seed)  # noqa: S311
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(min(len(out), 256) if chance.random() < 0.6 else len(out)) if out else 0
        kind = chance.randrange(6)
        if kind <= 2:
            out[at : at + 1] = bytes([chance.choice((0, 0xFF, 0x7F, 0x80, chance.randrange(256)))])
        elif kind == 3:
            length = chance.choice((2, 4, 8, 64))
            out[at : at + length] = chance.randbytes(length)
        elif kind == 4:
            del out[at : at + chance.choice((1, 4, 64, 1_000))]
        else:
            out[at:at] = chance.randbytes(chance.choice((1, 4, 64)))
    if chance.random() < 0.1:
        del out[chance.randrange(len(out) + 1) :]
    return bytes(out)


def trouble(data: bytes, name: str, samples: int, seconds: float) -> str | None:
    """What is wrong with how a mutated file is read; None where nothing is.

    Args:
        data: the file's bytes.
        name: what it is called.
        samples: of the file that it was made from.
        seconds: its length.
    """
    try:
        with read_audio(io.BytesIO(data), name) as audio:
            for _ in audio.blocks():
                pass
            said = audio.warnings()
    except UnreadableAudioError as error:
        return None if "\n" not in str(error) and str(error).startswith(f"{name}: ") else f"no line: {error}"
    if said or abs(audio.samples - samples) <= _PACKET:
        return None
    if name.endswith(".mp3") and not _promises_frames(data):
        return None  # that it was cut can't be told
    if abs(audio.samples / audio.sample_rate - seconds) <= _PACKET / audio.sample_rate:
        return None
    return f"{audio.samples} instead of {samples} samples, and nothing is said"


def _promises_frames(data: bytes) -> bool:
    """Whether an mp3's table is still there: without it the file promises nothing."""
    window = Window(io.BytesIO(data))
    first = find_mp3(window, tag_size(window.at(0, 10)))
    table = None if first is None else gapless_of(window.at(first, 2_048))
    return table is not None and table.frames is not None


def small_files(folder: Path) -> dict[str, tuple[bytes, int, float]]:
    """Twelve files of half a second or so: name → bytes, samples, seconds."""
    import numpy as np
    import soundfile

    from tests.modal_app.audio.conftest import encode_with_ffmpeg
    from tests.modal_app.audio.odd_files import RATE, aiff, chirps, extensible, integers, riff, wav, write_ogg

    signal = chirps(26_460)
    files: dict[str, bytes] = {
        "a.wav": wav(signal),
        "c.aif": aiff(integers(signal, 24, 24, "<"), len(signal), 2, 24, b"sowt"),
    }
    data = integers(signal, 24, 24)
    files["b.wav"] = riff(extensible(2, 24, 24), b"data" + len(data).to_bytes(4, "little") + data)
    for suffix in ("w64", "caf", "rf64"):
        soundfile.write(folder / f"a.{suffix}", signal, RATE, subtype="PCM_16")
    soundfile.write(folder / "a.flac", signal, RATE, subtype="PCM_16")
    write_ogg(folder / "a.ogg", signal, RATE, "VORBIS")
    write_ogg(folder / "a.opus", signal, 48_000, "OPUS")
    single = signal.astype(np.float32)
    for name, codec in (("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("b.m4a", "alac")):
        encode_with_ffmpeg(folder / name, single, RATE, codec)
    for path in folder.iterdir():
        files[path.name] = path.read_bytes()
    found = {}
    for name, content in files.items():
        with read_audio(io.BytesIO(content), name) as audio:
            for _ in audio.blocks():
                pass
            found[name] = (content, audio.samples, audio.samples / audio.sample_rate)
    return found
