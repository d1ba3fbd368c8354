"""Files that are read wrong by most programs, with the right answers of MANIFEST.md, and more of each kind."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.audio.decode import AudioInfo, open_audio, probe
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
)
from tests.shared_data import shared

Encode = Callable[..., Path]
LONG, SHORT = chirps(52_920), chirps(26_460)


def both_sides(path: Path) -> np.ndarray:
    """The sound of shape (n, 2)."""
    with open_audio(path) as audio:
        return np.concatenate(list(audio.blocks(2)))


def put(tmp_path: Path, content: bytes, name: str = "a.wav") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def is_chirps(path: Path, signal: np.ndarray) -> None:
    """To −80 dB."""
    read = both_sides(path)
    assert read.shape == signal.shape
    assert np.abs(read - signal).max() < 1e-4


# name: samples or None where it is refused, rate, and a word of what is said of it ("" for nothing)
MANIFEST: dict[str, tuple[int | None, str]] = {
    "c01_float16.wav": (None, "half floats"),
    "c02_unknown_guid.wav": (None, "unknown sub-format"),
    "c03_ext_24in32.wav": (26_460, ""),
    "c04_ext_16in24.wav": (26_460, ""),
    "c05_rifx16.wav": (52_920, ""),
    "c06_sowt24.aif": (26_460, ""),
    "c07_size_wrapped.wav": (13_230, "more audio than its header says: 0.90 s"),
    "c08_rf64_truncated.wav": (26_460, "truncated: only 0.6 of 1.2 s"),
    "c09_size_7ffff000.wav": (52_920, ""),
    "c10_damaged.flac": (None, "damaged at 1.4 s, 0.09 s lost"),
    "c11_damaged.ogg": (None, "damaged at 4.7 s, 1.25 s lost"),
    "c12_damaged.opus": (None, "damaged at 5.0 s, 1.00 s lost"),
    "c13_second_track_is_default.m4a": (52_920, "1 further audio track was left out"),
    "c14_lie.mp3": (52_920, "it is called .mp3 and is WAV; it is kept as .wav"),
    "c15_id3_before_riff.wav": (52_920, ""),
}


@pytest.mark.parametrize("name", MANIFEST)
def test_the_manifests_files_are_read_as_it_says(name: str) -> None:
    path, (samples, said) = shared("audio-odd", name), MANIFEST[name]
    if samples is None:
        with pytest.raises(UnreadableAudioError, match=said):
            probe(path)
        return
    info = probe(path)
    assert (info.samples, info.sample_rate, info.channels) == (samples, RATE, 2)
    if said:
        assert [line for line in info.warnings if said in line], info.warnings
    else:
        assert info.warnings == ()
    source = LONG if samples in (52_920, 13_230) or "rf64" in name else SHORT
    assert np.abs(both_sides(path) - source[:samples]).max() < 1e-4


def test_every_line_of_the_manifest_is_tested() -> None:
    assert {path.name for path in shared("audio-odd").glob("c*")} == set(MANIFEST)


@pytest.mark.parametrize(
    ("container", "valid", "channels", "rate"),
    [(32, 24, 2, 44_100), (32, 24, 1, 96_000), (24, 16, 2, 48_000), (32, 20, 2, 44_100), (24, 20, 1, 44_100)],
)
def test_samples_that_fill_a_part_of_their_container_are_read(
    tmp_path: Path, container: int, valid: int, channels: int, rate: int
) -> None:
    signal = chirps(rate // 2, rate)[:, :channels]
    data = riff(extensible(channels, container, valid, rate), chunk(b"data", integers(signal, valid, container)))
    path = put(tmp_path, data)
    info = probe(path)
    assert (info.samples, info.sample_rate, info.channels, info.warnings) == (rate // 2, rate, channels, ())
    assert np.abs(both_sides(path)[:, :channels] - signal).max() < 1e-4


def test_samples_at_the_wrong_end_of_their_container_are_read(tmp_path: Path) -> None:
    path = put(tmp_path, riff(extensible(2, 32, 24), chunk(b"data", integers(SHORT, 24, 32, right=True))))
    is_chirps(path, SHORT)
    assert [line for line in probe(path).warnings if "are the lower ones" in line]


def test_bits_that_are_used_and_not_said_to_be_are_named(tmp_path: Path) -> None:
    kind = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 4 * RATE, 4, 16)  # one channel, and data of two
    (line,) = probe(put(tmp_path, riff(kind, chunk(b"data", integers(SHORT, 16, 16))))).warnings
    assert line.endswith("its samples are said to have 16 bits and use all 32; they were read so")
    path = put(tmp_path, riff(extensible(2, 32, 24), chunk(b"data", integers(SHORT, 32, 32))))
    is_chirps(path, SHORT)
    assert "have 24 bits and use all 32" in probe(path).warnings[0]


@pytest.mark.parametrize(("bits", "channels"), [(16, 2), (24, 2), (32, 2), (16, 1)])
def test_big_endian_wav_is_read(tmp_path: Path, bits: int, channels: int) -> None:
    signal = SHORT[:, :channels]
    data = chunk(b"data", integers(signal, bits, bits, ">"), ">")
    path = put(tmp_path, riff(pcm_format(channels, bits, order=">"), data, form=b"RIFX"))
    assert np.abs(both_sides(path)[:, :channels] - signal).max() < 1e-4
    assert probe(path).warnings == ()


@pytest.mark.parametrize(
    ("compression", "bits", "order"),
    [
        (b"sowt", 24, "<"),
        (b"sowt", 16, "<"),
        (b"sowt", 32, "<"),
        (b"twos", 24, ">"),
        (b"in24", 24, ">"),
        (None, 24, ">"),
    ],
)
def test_aiff_of_every_order_is_read(tmp_path: Path, compression: bytes | None, bits: int, order: str) -> None:
    path = put(tmp_path, aiff(integers(SHORT, bits, bits, order), len(SHORT), 2, bits, compression), "a.aif")
    is_chirps(path, SHORT)
    assert probe(path).warnings == ()


@pytest.mark.parametrize(
    ("tag", "bits", "guid", "said"),
    [
        (3, 16, None, "half floats"),
        (0xFFFE, 16, bytes(range(16)), "unknown sub-format"),
        (0xFFFE, 32, PCM_GUID[:-1] + b"\0", "unknown sub-format"),
        (0x1234, 16, None, "no decoder"),
        (0x2000, 16, None, "."),
    ],
)
def test_a_codec_without_a_decoder_is_refused_by_name(
    tmp_path: Path, tag: int, bits: int, guid: bytes | None, said: str
) -> None:
    kind = extensible(2, bits, bits, guid=guid) if guid else pcm_format(2, bits, tag=tag)
    path = put(tmp_path, riff(kind, chunk(b"data", bytes(20_000))))
    with pytest.raises(UnreadableAudioError, match=said) as caught:
        probe(path)
    assert str(caught.value).startswith("a.wav: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_size_that_was_never_filled_in_is_no_promise(tmp_path: Path, size: int) -> None:
    path = put(tmp_path, riff(pcm_format(2, 16), b"data" + struct.pack("<I", size) + integers(SHORT, 16, 16)))
    assert (probe(path).samples, probe(path).warnings) == (len(SHORT), ())


def fact(frames: int) -> bytes:
    return chunk(b"fact", struct.pack("<I", frames))


PIPED = b"data" + bytes(4) + integers(SHORT, 16, 16)
G729 = PCM_GUID.replace(b"\1", b"\x83", 1)


@pytest.mark.parametrize(
    ("name", "content", "samples", "said"),
    [
        ("a.wav", riff(pcm_format(2, 16), PIPED)[: -2 * len(SHORT)], 13_230, "truncated: only 0.3 of 0.6 s are there"),
        (
            "a.wav",
            riff(pcm_format(2, 16), fact(26_460), PIPED, size=2**32 - 1)[: -4 * 17_640],
            8_820,
            "truncated: only 0.2 of 0.6 s are there",
        ),
        (
            "a.wav",
            riff(pcm_format(2, 16), PIPED, size=36 + 4 * 13_230),
            26_460,
            "more audio than its header says: 0.30 s behind its stated end were read too",
        ),
        (
            "a.w64",
            w64(integers(SHORT, 16, 16), pcm_format(2, 16)[8:]).replace(struct.pack("<Q", 24 + 4 * 26_460), bytes(8))[
                : -2 * len(SHORT)
            ],
            13_230,
            "truncated: only 0.3 of 0.6 s are there",
        ),
        (
            "a.wav",
            riff(extensible(2, 24, 24, guid=G729), chunk(b"data", integers(SHORT, 24, 24))),
            635_040,
            "header and data contradict each other: 0.60 s by the bytes a second that are stated, 14.40 s were decoded",
        ),
        ("a.wav", riff(pcm_format(2, 16), fact(52_920), PIPED), 26_460, ""),  # some count all channels' samples
    ],
)
def test_what_one_size_does_not_say_another_does(
    tmp_path: Path, name: str, content: bytes, samples: int, said: str
) -> None:
    info = probe(put(tmp_path, content, name))
    assert info.samples == samples
    assert info.warnings == ((said,) if said else ())


def test_an_rf64_without_its_sizes_is_named(tmp_path: Path) -> None:
    (line,) = probe(put(tmp_path, streamed_rf64().replace(b"ds64", b"ds6#"))).warnings
    assert line.endswith("it is RF64 and has no sizes of that (no ds64 chunk)")


def test_an_index_without_a_length_is_named(tmp_path: Path) -> None:
    content = bytearray(write_mp4(tmp_path / "whole.m4a", [SHORT]).read_bytes())
    for name, at in ((b"mdhd", 16), (b"mvhd", 16)):  # their durations
        start = content.index(name) + 4 + at
        content[start : start + 4] = bytes(4)
    info = probe(put(tmp_path, bytes(content), "a.m4a"))
    assert "packets and no length" in info.warnings[0]


def test_a_chunk_whose_name_is_damaged_is_none(tmp_path: Path) -> None:
    content = w64(integers(SHORT, 16, 16), pcm_format(2, 16)[8:])
    at = content.index(b"data") + 15
    with pytest.raises(UnreadableAudioError, match="no data chunk"):
        probe(put(tmp_path, content[:at] + content[at + 4 :], "a.w64"))


def streamed_rf64() -> bytes:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, 0, 0, 0))
    return riff(
        ds64, pcm_format(2, 16), b"data\xff\xff\xff\xff" + integers(SHORT, 16, 16), form=b"RF64", size=2**32 - 1
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.wav", streamed_rf64()),
        ("a.w64", w64(integers(SHORT, 16, 16), pcm_format(2, 16)[8:], None)),
        ("a.w64", w64(integers(SHORT, 16, 16), pcm_format(2, 16)[8:])),
        ("a.aif", aiff(integers(SHORT, 16, 16, ">"), len(SHORT), 2, 16, sizes=False)),
        ("a.wav", b"ID3\x03\0\0\0\0\x02\0" + bytes(256) + wav(SHORT)),
        ("a.aif", b"ID3\x03\0\0\0\0\x02\0" + bytes(256) + aiff(integers(SHORT, 16, 16, ">"), len(SHORT), 2, 16)),
        ("a.wav", bytes(100) + wav(SHORT)),
        ("a.wav", riff(chunk(b"junk", b"odd", pad=False), pcm_format(2, 16), chunk(b"data", integers(SHORT, 16, 16)))),
        ("a.wav", riff(chunk(b"junk", b"odd"), pcm_format(2, 16), chunk(b"data", integers(SHORT, 16, 16)))),
        ("a.wav", wav(SHORT) + b"TAG" + bytes(125)),
        ("a.wav", wav(SHORT) + bytes(300)),
    ],
)
def test_what_surrounds_the_sound_does_no_harm(tmp_path: Path, name: str, content: bytes) -> None:
    path = put(tmp_path, content, name)
    is_chirps(path, SHORT)
    assert probe(path).warnings == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (wav(SHORT) + chunk(b"data", integers(LONG, 16, 16)), "1.20 s"),
        (wav(SHORT) + wav(LONG), "1.20 s"),
        (riff(pcm_format(2, 16), b"data" + struct.pack("<I", 4 * 13_230) + integers(LONG, 16, 16)), "0.90 s"),
    ],
)  # fmt: skip
def test_sound_behind_its_stated_end_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (line,) = probe(put(tmp_path, content)).warnings
    assert line.startswith("more audio than its header says: ")
    assert said in line


def test_a_size_that_wrapped_at_4_gib_is_read_to_the_end(tmp_path: Path) -> None:
    path, behind = tmp_path / "long.wav", 1_000_000
    size = 2**32 + 4 * behind
    with path.open("wb") as file:  # sparse: the disk holds a few kilobytes
        file.write(riff(pcm_format(16, 32, 384_000), b"data" + struct.pack("<I", 4 * behind), size=4 * behind + 36))
        file.truncate(44 + size)
        file.seek(44 + size - 64)
        file.write(b"\x40" * 64)
    with open_audio(path) as audio:
        findings = list(audio._source.findings())  # decoding four gigabytes takes too long
        assert audio._source._layout.frames == size // 64  # type: ignore[attr-defined]
    assert findings == ["more audio than its header says: 174.76 s behind its stated end were read too"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: riff(struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, RATE, RATE * 4, 4, 24)), "no data chunk"),
        (
            lambda: riff(
                struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, RATE, RATE * 4, 4, 24), chunk(b"data", bytes(4_000))
            ),
            "header and data contradict each other",
        ),
        (lambda: riff(chunk(b"data", bytes(4_000))), "no fmt chunk"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(tmp_path: Path, make: Callable[[], bytes], said: str) -> None:
    with pytest.raises(UnreadableAudioError, match=said):
        probe(put(tmp_path, make()))


def test_a_rate_that_disagrees_with_the_bytes_a_second_is_named(tmp_path: Path) -> None:
    content = riff(struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, 48_000, RATE * 4, 4, 16), chunk(b"data", bytes(40_000)))
    assert "header and data contradict each other" in probe(put(tmp_path, content)).warnings[0]


@pytest.mark.parametrize("subtype", ["rf64", "w64", "caf", "aiff", "wav"])
def test_half_a_file_is_called_truncated(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / f"a.{subtype}"
    soundfile.write(path, LONG, RATE, format=subtype.upper())
    whole = path.read_bytes()
    assert probe(path).warnings == ()
    path.write_bytes(whole[: len(whole) // 2])
    info = probe(path)
    assert info.samples < 27_000
    assert [line for line in info.warnings if line.startswith("truncated: only 0.6 of 1.2 s")], info.warnings


def test_a_changed_checksum_of_a_flac_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    for subtype in ("PCM_16", "PCM_24"):
        soundfile.write(path, LONG, RATE, subtype=subtype)
        assert probe(path).warnings == ()
        content = bytearray(path.read_bytes())
        content[26] ^= 0xFF
        path.write_bytes(content)
        assert "checksum (MD5)" in probe(path).warnings[0]


def test_only_the_enabled_default_track_is_read(tmp_path: Path) -> None:
    quiet = np.zeros_like(LONG)
    path = write_mp4(tmp_path / "a.m4a", [quiet, LONG], default=1)
    assert np.abs(both_sides(path) - LONG).max() < 2e-3
    assert probe(path).warnings == ("1 further audio track was left out",)
    stems = write_mp4(tmp_path / "stems.mp4", [LONG, *[quiet] * 4], default=0)
    assert np.abs(both_sides(stems) - LONG).max() < 2e-3
    assert probe(stems).warnings == ("4 further audio tracks were left out",)
    third = write_mp4(tmp_path / "third.mp4", [quiet, quiet, LONG], "aac", default=2)
    assert probe(third).samples == len(LONG)


def test_two_mono_tracks_are_the_two_sides(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.m4a", [LONG[:, :1], LONG[:, 1:]])
    assert np.abs(both_sides(path) - LONG).max() < 2e-3
    info = probe(path)
    assert (info.channels, info.samples, info.warnings) == (2, len(LONG), ())


def test_what_a_file_is_called_follows_its_bytes(tmp_path: Path) -> None:
    def info(name: str, content: bytes) -> AudioInfo:
        return probe(put(tmp_path, content, name))

    lie = info("a.mp3", wav(SHORT))
    assert (lie.extension, lie.mime_type) == ("wav", "audio/wav")
    assert lie.warnings == ("it is called .mp3 and is WAV; it is kept as .wav",)
    assert info("b.wave", wav(SHORT)).extension == "wave"
    assert info("b.aif", aiff(integers(SHORT, 16, 16, ">"), len(SHORT), 2, 16)).warnings == ()
    named = info("c.wav", aiff(integers(SHORT, 16, 16, ">"), len(SHORT), 2, 16))
    assert (named.extension, named.mime_type) == ("aiff", "audio/aiff")
    assert info("no name of a kind", wav(SHORT)).warnings == ()


def test_damage_where_nothing_can_be_told_keeps_the_length(tmp_path: Path) -> None:
    for name in ("a.wav", "a.aiff", "a.w64", "a.caf"):
        path = tmp_path / name
        soundfile.write(path, LONG, RATE)
        path.write_bytes(damaged(path.read_bytes()))
        assert probe(path).samples == len(LONG), name
