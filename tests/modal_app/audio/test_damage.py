"""What is lost in damaged files is silent for its length and told; what follows stays where it is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.audio.decode import open_audio, probe
from modal_app.errors import UnreadableAudioError
from tests.modal_app.audio.odd_files import chirps, damaged, write_ogg

Encode = Callable[..., Path]


def written(path: Path, encode: Encode, seconds: float, rate: int) -> Path:
    signal = chirps(int(rate * seconds), rate).astype(np.float32)
    if path.suffix in (".ogg", ".opus"):
        return write_ogg(path, signal, rate, "OPUS" if path.suffix == ".opus" else "VORBIS")
    if path.suffix == ".flac":
        soundfile.write(path, signal, rate, subtype="PCM_16")
        return path
    codec = {".mp3": "libmp3lame", ".m4a": "aac", ".aac": "aac", ".oga": "flac"}[path.suffix]
    return encode(path, signal, rate, codec)


def decoded(path: Path) -> tuple[np.ndarray, list[str]]:
    """All that is given before a file is refused, and what is said."""
    blocks, said = [], []
    with open_audio(path) as audio:
        try:
            blocks.extend(audio.blocks(2))
            said = audio.warnings()
        except UnreadableAudioError as error:
            said = [str(error)]
    return np.concatenate(blocks), said


@pytest.mark.parametrize(
    ("suffix", "rate"),
    [("flac", 44_100), ("flac", 96_000), ("ogg", 44_100), ("ogg", 32_000), ("opus", 48_000), ("oga", 44_100),
     ("mp3", 44_100), ("mp3", 32_000), ("m4a", 44_100), ("aac", 44_100)],
)  # fmt: skip
@pytest.mark.parametrize("place", [0.35, 0.75])
def test_what_follows_the_damage_stays_where_it_was(
    tmp_path: Path, encode: Encode, suffix: str, rate: int, place: float
) -> None:
    path = written(tmp_path / f"a.{suffix}", encode, 6, rate)
    whole, nothing = decoded(path)
    assert nothing == []
    for seed in range(3):
        bad = tmp_path / f"bad.{suffix}"
        length = 900 if suffix in ("mp3", "aac") else 64  # within one frame they carry nothing that tells it
        bad.write_bytes(damaged(path.read_bytes(), seed, length, place))
        found, said = decoded(bad)
        assert [line for line in said if "damaged at" in line and " s lost" in line], said
        if "too much" in said[0] and suffix in ("mp3", "aac"):
            continue  # without numbers on frames, a large hole's length is known to a frame or two
        assert abs(len(found) - len(whole)) <= (1_024 if suffix == "aac" else 0)
        found = np.pad(found, ((0, max(0, len(whole) - len(found))), (0, 0)))
        end = len(whole) - rate // 4  # far behind every hole
        np.testing.assert_allclose(found[end:], whole[end:], atol=0.01)  # AAC's noise depends on what went before


@pytest.mark.parametrize("suffix", ["flac", "mp3", "m4a"])
def test_little_damage_is_told_and_much_is_for_a_person(tmp_path: Path, encode: Encode, suffix: str) -> None:
    path = written(tmp_path / f"a.{suffix}", encode, 20, 44_100)
    data = path.read_bytes()
    path.write_bytes(damaged(data))
    (line,) = probe(path).warnings
    assert line.startswith("damaged at ")
    assert line.endswith(" s lost and silent")
    for place in np.linspace(0.1, 0.9, 12):
        data = damaged(data, 7, 2_000, float(place))
    path.write_bytes(data)
    with pytest.raises(UnreadableAudioError, match=r"damaged at .* that is too much of"):
        probe(path)


def test_an_mp3_frame_with_another_rate_counts_as_damage(tmp_path: Path, encode: Encode) -> None:
    path = written(tmp_path / "a.mp3", encode, 12, 44_100)
    data = bytearray(path.read_bytes())
    at = data.index(data[data.index(b"\xff\xfb") :][:2], len(data) // 2)
    data[at + 2] ^= 0x04
    path.write_bytes(data)
    whole = 44_100 * 12
    info = probe(path)
    assert (info.samples, info.sample_rate) == (whole, 44_100)
    assert info.warnings[0].startswith("damaged at 6.0 s")


def test_junk_and_a_wrong_frame_count_cut_nothing_from_an_mp3(tmp_path: Path, encode: Encode) -> None:
    path = written(tmp_path / "a.mp3", encode, 3, 44_100)
    data = path.read_bytes()
    whole = decoded(path)[0]
    frames = data[10 + int.from_bytes(data[6:10], "big") :] if data[:3] == b"ID3" else data
    path.write_bytes(b"\0" * 3_000 + frames)
    found, said = decoded(path)
    assert (said, len(found)) == ([], len(whole))
    np.testing.assert_array_equal(found, whole)
    at = data.index(b"Info") if b"Info" in data else data.index(b"Xing")
    path.write_bytes(data[: at + 8] + (60).to_bytes(4, "big") + data[at + 12 :])
    found, said = decoded(path)
    assert said[0].startswith("more audio than its header says: ")
    np.testing.assert_array_equal(found[: len(whole)], whole)


def test_links_of_one_form_are_joined_and_others_are_named(tmp_path: Path, encode: Encode) -> None:
    one = written(tmp_path / "one.ogg", encode, 2, 44_100)
    two = written(tmp_path / "two.ogg", encode, 1.5, 44_100)
    opus = written(tmp_path / "three.opus", encode, 1, 48_000)
    other = written(tmp_path / "four.ogg", encode, 1, 32_000)
    chain = tmp_path / "chain.ogg"
    chain.write_bytes(one.read_bytes() + two.read_bytes())
    found, said = decoded(chain)
    assert said == []
    np.testing.assert_array_equal(found, np.concatenate([decoded(one)[0], decoded(two)[0]]))
    chain.write_bytes(one.read_bytes() + opus.read_bytes() + other.read_bytes() + two.read_bytes())
    found, said = decoded(chain)
    assert len(found) == int(44_100 * 3.5)
    assert said == [
        "a part of another form was left out: 1.00 s of opus, 48000 Hz, 2 channels",
        "a part of another form was left out: 1.00 s of vorbis, 32000 Hz, 2 channels",
    ]


@pytest.mark.parametrize("suffix", ["flac", "ogg", "opus", "mp3", "oga"])
def test_what_is_cut_off_is_truncated(tmp_path: Path, encode: Encode, suffix: str) -> None:
    path = written(tmp_path / f"a.{suffix}", encode, 6, 48_000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    _, said = decoded(path)
    assert [line for line in said if "truncated: only " in line], said


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_frame_that_still_decodes_becomes_silence(tmp_path: Path, seed: int) -> None:
    signal = chirps(3 * 22_050, 22_050)
    path = tmp_path / "a.flac"
    soundfile.write(path, signal, 22_050, subtype="PCM_16")
    path.write_bytes(damaged(path.read_bytes(), seed, place=0.55))
    found, said = decoded(path)
    assert "damaged at 1.5 s, 0.19 s lost" in said[0]
    assert len(found) == len(signal)
    wrong = np.abs(found - signal).max(axis=1) > 1e-4
    assert not found[wrong].any()


@pytest.mark.parametrize("samples", [1_000, 26_460, 60_000])
def test_a_stream_ends_where_its_last_page_says(tmp_path: Path, samples: int) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, chirps(samples), 44_100, subtype="VORBIS")  # a short one is on one page
    info = probe(path)
    assert (info.samples, [line for line in info.warnings if "header" in line]) == (samples, [])


def test_packets_lost_at_the_start_shift_nothing(tmp_path: Path, encode: Encode) -> None:
    path = written(tmp_path / "a.m4a", encode, 6, 44_100)
    whole = decoded(path)[0]
    data = path.read_bytes()
    at = data.index(b"mdat") + 400  # in the second packet or the third
    path.write_bytes(data[:at] + bytes(1_200) + data[at + 1_200 :])
    found, said = decoded(path)
    assert [line for line in said if line.startswith("damaged at 0.0 s") or "a.m4a: damaged at 0.0 s" in line], said
    assert len(found) == len(whole)
    np.testing.assert_allclose(found[44_100:], whole[44_100:], atol=0.01)
