"""The length in iTunes' own tag is held against what is decoded, with an edit list beside it or without."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modal_app.audio.decode import open_audio, probe
from modal_app.audio.itunes_gapless import ItunesGapless, itunes_gapless
from tests.modal_app.audio.odd_files import chirps

Encode = Callable[..., Path]
Make = Callable[..., Path]
PRIMING = 1_024  # FFmpeg's encoder's


def _atom(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


def tagged(data: bytes, gapless: ItunesGapless, *, edit_list: bool) -> bytes:
    """An MP4 whose index comes last, with iTunes' tag put into that."""
    text = f" 00000000 {gapless.priming:08X} {gapless.remainder:08X} {gapless.samples:016X}" + " 00000000" * 8
    freeform = (
        _atom(b"mean", bytes(4) + b"com.apple.iTunes")
        + _atom(b"name", bytes(4) + b"iTunSMPB")
        + _atom(b"data", b"\0\0\0\1" + bytes(4) + text.encode())
    )
    handler = _atom(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    meta = _atom(b"meta", bytes(4) + handler + _atom(b"ilst", _atom(b"----", freeform)))
    at = data.rindex(b"moov") - 4
    moov = data[at + 8 :] if edit_list else data[at + 8 :].replace(b"edts", b"free")
    assert int.from_bytes(data[at : at + 4], "big") == len(data) - at
    return data[:at] + _atom(b"moov", moov + _atom(b"udta", meta))


def filling(samples: int) -> int:
    """What the last packet is filled up with."""
    return -(PRIMING + samples) % 1_024


@pytest.fixture
def m4a(tmp_path: Path, encode: Encode) -> Make:
    """Writes one with the tag."""

    def make(samples: int, rate: int, *, edit_list: bool, stated: int | None = None) -> Path:
        path = encode(tmp_path / "a.m4a", chirps(samples, rate).astype(np.float32), rate, "aac")
        tag = ItunesGapless(PRIMING, filling(samples), stated or samples)
        path.write_bytes(tagged(path.read_bytes(), tag, edit_list=edit_list))
        return path

    return make


@pytest.mark.parametrize(("samples", "rate"), [(30_000, 44_100), (20_001, 48_000), (25_600, 22_050)])
@pytest.mark.parametrize("edit_list", [True, False])
def test_a_file_is_as_long_as_itunes_says(m4a: Make, samples: int, rate: int, edit_list: bool) -> None:
    path = m4a(samples, rate, edit_list=edit_list)
    info = probe(path)
    assert (info.samples, info.warnings) == (samples, ())
    with open_audio(path) as audio:
        found = np.concatenate(list(audio.blocks(2)))
    assert np.corrcoef(found[:, 0], chirps(samples, rate)[:, 0])[0, 1] > 0.98  # AAC is coarse, and in its place


@pytest.mark.parametrize("edit_list", [True, False])
def test_a_file_that_is_cut_is_shorter_than_itunes_says(m4a: Make, edit_list: bool) -> None:
    path = m4a(60_000, 44_100, edit_list=edit_list)
    data = bytearray(path.read_bytes())
    at = data.index(b"stsz") + 4
    kept = int.from_bytes(data[at + 8 : at + 12], "big") // 2
    data[at + 8 : at + 12] = kept.to_bytes(4, "big")
    path.write_bytes(data)
    info = probe(path)
    assert info.samples < 36_000
    assert [line for line in info.warnings if line.startswith("truncated: only 0.7 of 1.4 s")], info.warnings


@pytest.mark.parametrize("edit_list", [True, False])
def test_a_tag_that_contradicts_the_index_is_named(m4a: Make, edit_list: bool) -> None:
    path = m4a(30_000, 44_100, edit_list=edit_list, stated=50_000)
    whole = 30_000 if edit_list else PRIMING + 30_000
    (line,) = [line for line in probe(path).warnings if "iTunSMPB" in line]
    assert "1.13 s are stated by its iTunSMPB tag" in line
    assert line.endswith(f", {whole / 44_100:.2f} s by its index")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" 00000000 00000840 000001C0 0000000000046E00 00000000", ItunesGapless(2_112, 448, 290_304)),
        (" 00000000 00000840 000001C0", None),
        (" 00000000 xyz 000001C0 0000000000046E00", None),
        (" 00000000 -0000840 000001C0 0000000000046E00", None),
        (" 00000000 00000840 000001C0 0000000000000000", None),
        (f" 0 0 0 {'F' * 5_000}", None),
        ("", None),
    ],
)
def test_the_tag_is_read_or_left(text: str, found: ItunesGapless | None) -> None:
    assert itunes_gapless({"iTunSMPB": text} if text else {}) == found
