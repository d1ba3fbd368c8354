"""For each kind of odd file in MANIFEST.md three more: other rates, channels, widths, containers, places."""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.audio.decode import open_audio
from modal_app.errors import UnreadableAudioError
from tests.modal_app.audio.odd_files import (
    PCM_GUID,
    RATE,
    aiff,
    chirps,
    chunk,
    damaged,
    extensible,
    integers,
    pcm_format,
    riff,
    w64,
    wav,
    write_mp4,
    write_ogg,
)
from tests.modal_app.audio.test_odd_files import MANIFEST

SHORT = chirps(26_460)
FLOAT_GUID = b"\3" + PCM_GUID[1:]
ID3 = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
FOOTED_ID3 = b"ID3\x04\0\x10\0\0\x02\0" + bytes(256) + b"3DI\x04\0\x10\0\0\x02\0"
NOTHING = chunk(b"data", bytes(9_600))


@dataclass(frozen=True)
class Case:
    """What a file is called and holds, and what is to come of it."""

    name: str
    make: Callable[[Path], bytes]
    signal: np.ndarray | None
    """What is to be read, None where it is to be refused."""
    said: str = ""
    """A part of the one line that is said; nothing is to be said where it is empty."""
    tolerance: float = 1e-4


def channels_of(samples: int, rate: int, channels: int) -> np.ndarray:
    """Chirps of shape (samples, channels), each channel at a level of its own."""
    return np.hstack([chirps(samples, rate)] * 3)[:, :channels] * np.linspace(1, 0.5, channels)


def refused(make: Callable[[Path], bytes], said: str, name: str = "a.wav") -> Case:
    return Case(name, make, None, said)


def within(container: int, valid: int, channels: int, rate: int, form: str = "wav") -> Case:
    """Samples in a part of their container."""
    signal = channels_of(6_000, rate, channels)
    data = integers(signal, valid, container)
    kind = extensible(channels, container, valid, rate)
    content = w64(data, kind[8:]) if form == "w64" else riff(kind, chunk(b"data", data))
    return Case(f"a.{form}", lambda _: content, signal)


def big_endian(bits: int, channels: int, rate: int) -> Case:
    signal = channels_of(6_001, rate, channels)
    data = chunk(b"data", integers(signal, bits, bits, ">"), ">")
    return Case("a.wav", lambda _: riff(pcm_format(channels, bits, rate, order=">"), data, form=b"RIFX"), signal)


def sowt(bits: int, channels: int, kind: bytes = b"sowt") -> Case:
    signal = channels_of(6_000, RATE, channels)
    order = "<" if kind in (b"sowt", b"42ni") else ">"
    data = integers(signal, bits, bits, order)
    return Case("a.aif", lambda _: aiff(data, len(signal), channels, bits, kind), signal)


def behind(bits: int, channels: int, rate: int, form: bytes = b"RIFF") -> Case:
    """A size that is smaller than what lies behind it; a second of that."""
    signal = channels_of(rate + 3_000, rate, channels)
    order = ">" if form == b"RIFX" else "<"
    size = struct.pack(f"{order}I", 3_000 * channels * bits // 8)
    data = b"data" + size + integers(signal, bits, bits, order)
    content = riff(pcm_format(channels, bits, rate, order=order), data, form=form)
    return Case("a.wav", lambda _: content, signal[:3_000], "more audio than its header says: 1.00 s lie behind")


def behind_w64() -> Case:
    signal = chirps(RATE + 3_000)
    content = w64(integers(signal, 16, 16), pcm_format(2, 16)[8:], declared=12_000)
    return Case("a.w64", lambda _: content, signal[:3_000], "more audio than its header says: 1.00 s lie behind")


def half(form: str, subtype: str, channels: int, rate: int) -> Case:
    """Half of a file of a second and a little."""
    signal = channels_of(rate, rate, channels)

    def make(folder: Path) -> bytes:
        path = folder / f"whole.{form}"
        soundfile.write(path, signal, rate, format=form.upper(), subtype=subtype)
        whole = path.read_bytes()
        width = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}[subtype]
        return whole[: len(whole) - rate // 2 * channels * width]

    return Case(f"a.{form}", make, signal[: rate // 2], "truncated: only 0.5 of 1.0 s are there")


def piped(size: int, bits: int, channels: int, *, whole: int | None = 0xFFFFFFFF, more: bytes = b"") -> Case:
    """A size that was never filled in, as programs write it that round to whole frames."""
    signal = SHORT[:, :channels]
    data = b"data" + struct.pack("<I", size) + integers(signal, bits, bits)
    return Case("a.wav", lambda _: riff(pcm_format(channels, bits), data, size=whole) + more, signal)


def piped_aiff(bits: int, channels: int) -> Case:
    """As SoX states it: as many frames as fit into 0x7F000000 bytes."""
    signal = SHORT[:, :channels]
    data = integers(signal, bits, bits, ">")
    frames = 0x7F000000 // (channels * bits // 8)
    whole = aiff(data, len(signal), channels, bits)
    at, size = whole.index(b"COMM") + 10, frames * channels * bits // 8
    content = whole[:at] + struct.pack(">I", frames) + whole[at + 4 :]
    at = content.index(b"SSND") + 4
    return Case("a.aif", lambda _: content[:at] + struct.pack(">I", size + 8) + content[at + 4 :], signal)


def several(tracks: int, default: int, codec: str, suffix: str) -> Case:
    quiet = np.zeros_like(SHORT)

    def make(folder: Path) -> bytes:
        streams = [SHORT if number == default else quiet for number in range(tracks)]
        return write_mp4(folder / f"whole.{suffix}", streams, codec, default).read_bytes()

    others = f"{tracks - 1} further audio track{'s were' if tracks > 2 else ' was'} left out"
    return Case(f"a.{suffix}", make, SHORT, others, tolerance=2e-3)


def lie(suffix: str, form: str, label: str, kept: str, subtype: str = "PCM_16") -> Case:
    """A file under another one's name."""

    def make(_: Path) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, SHORT, RATE, format=form, subtype=subtype)
        return file.getvalue()

    said = f"it is called .{suffix} and is {label}; it is kept as .{kept}"
    return Case(f"a.{suffix}", make, SHORT, said, tolerance=0.25 if subtype == "VORBIS" else 1e-4)


def flac() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, SHORT, RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


MORE: dict[str, list[Case]] = {
    "c01_float16.wav": [
        refused(lambda _: riff(pcm_format(1, 16, 96_000, tag=3), NOTHING), "half floats"),
        refused(lambda _: riff(extensible(2, 16, 16, 48_000, FLOAT_GUID), NOTHING), "half floats"),
        refused(lambda _: riff(pcm_format(2, 16, tag=3, order=">"), NOTHING, form=b"RIFX"), "half floats"),
        refused(lambda _: w64(bytes(9_600), pcm_format(2, 16, tag=3)[8:]), "half floats", "a.w64"),
    ],
    "c02_unknown_guid.wav": [
        refused(lambda _: riff(extensible(1, 24, 24, 48_000, bytes(16)), NOTHING), "unknown sub-format"),
        refused(lambda _: riff(extensible(6, 32, 32, guid=b"\xff" * 16), NOTHING), "unknown sub-format"),
        refused(lambda _: w64(bytes(9_600), extensible(2, 16, 16, guid=PCM_GUID[::-1])[8:]), "unknown sub-", "a.w64"),
    ],
    "c03_ext_24in32.wav": [within(32, 24, 6, 44_100), within(32, 24, 2, 192_000), within(32, 24, 2, 48_000, "w64")],
    "c04_ext_16in24.wav": [within(24, 16, 1, 44_100), within(24, 16, 6, 96_000), within(24, 16, 2, 32_000, "w64")],
    "c05_rifx16.wav": [big_endian(16, 6, 48_000), big_endian(24, 1, 96_000), big_endian(32, 2, 8_000)],
    "c06_sowt24.aif": [sowt(24, 1), sowt(24, 6), sowt(24, 2, b"42ni"), sowt(24, 1, b"in24")],
    "c07_size_wrapped.wav": [behind(24, 1, 48_000), behind(16, 6, 8_000), behind(16, 2, 22_050, b"RIFX"), behind_w64()],
    "c08_rf64_truncated.wav": [
        half("rf64", "PCM_24", 1, 96_000),
        half("rf64", "FLOAT", 2, 48_000),
        half("w64", "PCM_24", 2, 22_050),
        half("caf", "PCM_16", 1, 8_000),
    ],
    "c09_size_7ffff000.wav": [
        piped(0x7FFFF000 // 6 * 6, 24, 2),
        piped(0x7FFFFF00, 16, 1, whole=0x7FFFFF24),
        piped(0xFFFFFFFF - 36, 16, 2),
        piped(0, 24, 1, whole=None, more=b"TAG" + bytes(125)),
        piped_aiff(24, 2),
        piped_aiff(16, 1),
    ],
    "c13_second_track_is_default.m4a": [
        several(3, 1, "alac", "m4a"),
        several(4, 2, "alac", "mp4"),
        several(6, 5, "alac", "mov"),
    ],
    "c14_lie.mp3": [
        lie("wav", "FLAC", "FLAC", "flac"),
        lie("m4a", "AIFF", "AIFF", "aiff"),
        lie("flac", "OGG", "Ogg", "ogg", "VORBIS"),
        lie("aac", "CAF", "CAF", "caf"),
    ],
    "c15_id3_before_riff.wav": [
        Case("a.wav", lambda _: FOOTED_ID3 + wav(SHORT), SHORT),
        Case("a.wav", lambda _: ID3 + ID3 + wav(SHORT), SHORT),
        Case("a.flac", lambda _: ID3 + flac(), SHORT),
        Case("a.w64", lambda _: ID3 + w64(integers(SHORT, 16, 16), pcm_format(2, 16)[8:]), SHORT),
    ],
}


# rate, channels, libsndfile's subtype, and where in the file 64 bytes are damaged
HOLES: dict[str, list[tuple[int, int, str, float]]] = {
    "c10_damaged.flac": [(48_000, 1, "PCM_16", 0.3), (96_000, 2, "PCM_24", 0.7), (22_050, 2, "PCM_16", 0.55)],
    "c11_damaged.ogg": [(48_000, 1, "VORBIS", 0.4), (22_050, 2, "VORBIS", 0.4), (96_000, 2, "VORBIS", 0.5)],
    "c12_damaged.opus": [(48_000, 1, "OPUS", 0.4), (24_000, 2, "OPUS", 0.4), (16_000, 1, "OPUS", 0.3)],
}


def read(path: Path, channels: int) -> tuple[np.ndarray, list[str]]:
    """What is given of a file before it is refused, and what is said."""
    blocks: list[np.ndarray] = []
    try:
        with open_audio(path) as audio:
            blocks.extend(audio.blocks(channels))
            said = audio.warnings()
    except UnreadableAudioError as error:
        said = [str(error)]
    return np.concatenate(blocks) if blocks else np.empty(0, np.float32), said


@pytest.mark.parametrize(
    ("kind", "number"), [(kind, number) for kind, cases in MORE.items() for number in range(len(cases))]
)
def test_more_of_each_kind_is_read_as_the_manifest_says(tmp_path: Path, kind: str, number: int) -> None:
    case = MORE[kind][number]
    path = tmp_path / case.name
    path.write_bytes(case.make(tmp_path))
    is_stereo = case.signal is not None and case.signal.shape[1] == 2
    found, said = read(path, 2 if is_stereo else 1)
    assert len(said) == bool(case.said), said
    assert all(case.said in line and line.isprintable() for line in said), said
    if case.signal is None:
        assert len(found) == 0
        return
    right = case.signal if is_stereo else case.signal.mean(axis=1)
    assert found.shape == right.shape
    assert np.abs(found - right).max() < case.tolerance


@pytest.mark.parametrize(
    ("kind", "number"), [(kind, number) for kind, cases in HOLES.items() for number in range(len(cases))]
)
def test_more_damage_of_each_kind_is_named_and_moves_nothing(tmp_path: Path, kind: str, number: int) -> None:
    rate, channels, subtype, place = HOLES[kind][number]
    signal = chirps(6 * rate, rate)[:, :channels]
    path = tmp_path / f"a.{kind.rpartition('.')[2]}"
    if subtype in ("VORBIS", "OPUS"):
        write_ogg(path, signal, rate, subtype)
    else:
        soundfile.write(path, signal, rate, subtype=subtype)
    whole, nothing = read(path, 1)
    assert nothing == []
    path.write_bytes(damaged(path.read_bytes(), 3, place=place))
    found, said = read(path, 1)
    assert [line for line in said if "damaged at " in line and " s lost and silent" in line], said
    assert len(found) == len(whole)
    end = len(whole) // 20  # a Vorbis page is as long as a second
    assert np.abs(found[-end:] - whole[-end:]).max() < 0.01


def test_each_kind_of_the_manifest_has_three_more_cases() -> None:
    assert set(MORE) | set(HOLES) == set(MANIFEST)
    assert min(map(len, (MORE | HOLES).values())) >= 3
