"""The recipes: lengths, levels and bytes of segments."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.audio.decode import open_audio
from modal_app.audio.prepare import segment_local_file
from modal_app.audio.recipe import MONO44, STEREO48
from modal_app.audio.segments import write_segments
from modal_app.audio.true_peak import true_peak

Music = Callable[..., np.ndarray]

SECOND = 44_100
SEGMENT = 15 * SECOND


def read(folder: Path) -> list[np.ndarray]:
    return [soundfile.read(path, dtype="int16")[0] for path in sorted(folder.glob("seg_*.wav"))]


def cut(tmp_path: Path, signal: np.ndarray, rate: int = SECOND) -> list[np.ndarray]:
    blocks = np.array_split(signal.astype(np.float32), max(1, len(signal) // 50_000))
    write_segments(blocks, rate, tmp_path)
    return read(tmp_path)


@given(st.integers(0, 20 * SEGMENT))
def test_segments_lose_at_most_a_short_tail(samples: int) -> None:
    lengths = MONO44.segment_lengths(samples)
    dropped = samples - sum(lengths)
    assert 0 <= dropped < 5 * SECOND
    assert all(length == SEGMENT for length in lengths[:-1])
    assert lengths != [] or samples == 0
    assert all(length >= 5 * SECOND for length in lengths[1:])
    if samples < SEGMENT:
        assert dropped == 0


@given(st.integers(0, 10**9), st.integers(4_000, 384_000))
def test_the_resampled_length_is_the_nearest(samples: int, rate: int) -> None:
    assert abs(MONO44.resampled_length(samples, rate) * rate - samples * SECOND) * 2 <= rate


@pytest.mark.parametrize(
    ("samples", "lengths"),
    [
        (1, [1]),
        (5 * SECOND - 1, [5 * SECOND - 1]),
        (SEGMENT, [SEGMENT]),
        (SEGMENT + 5 * SECOND - 1, [SEGMENT]),
        (SEGMENT + 5 * SECOND, [SEGMENT, 5 * SECOND]),
        (2 * SEGMENT + 1, [SEGMENT, SEGMENT]),
    ],
)
def test_written_segments_follow_the_policy(tmp_path: Path, music: Music, samples: int, lengths: list[int]) -> None:
    assert MONO44.segment_lengths(samples) == lengths
    assert [len(segment) for segment in cut(tmp_path, music(samples)[:, 0])] == lengths


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_000, 48_000, 88_200, 96_000, 192_000])
@pytest.mark.parametrize("extra", [0, 1, 2, 3])
def test_resampling_gives_exactly_the_expected_length(tmp_path: Path, music: Music, rate: int, extra: int) -> None:
    samples = 2 * rate + extra
    (segment,) = cut(tmp_path, music(samples, rate=rate)[:, 0], rate)
    assert len(segment) == MONO44.resampled_length(samples, rate)


def test_resampling_keeps_pitch_and_adds_no_alias(tmp_path: Path) -> None:
    time = np.arange(96_000 * 5) / 96_000
    (segment,) = cut(tmp_path, 0.5 * np.sin(2 * np.pi * 1_000 * time) + 0.5 * np.sin(2 * np.pi * 30_000 * time), 96_000)
    middle = segment[10_000:-10_000].astype(float)
    spectrum = np.abs(np.fft.rfft(middle * np.blackman(len(middle))))
    hz = np.fft.rfftfreq(len(middle), 1 / SECOND)
    assert abs(hz[np.argmax(spectrum)] - 1_000) < 1
    assert spectrum[np.abs(hz - 1_000) > 50].max() < spectrum.max() * 10 ** (-90 / 20)


@pytest.mark.parametrize("level", [0.0011, 0.01, 0.5, 1.0, 4.0])
def test_every_audible_segment_peaks_at_minus_1_dbfs(tmp_path: Path, music: Music, level: float) -> None:
    for segment in cut(tmp_path, music(2 * SEGMENT, level=level)[:, 0]):
        assert abs(int(np.abs(segment.astype(int)).max()) - 29_204) <= 1


def test_the_gain_can_be_undone(tmp_path: Path, music: Music) -> None:
    signal = music(SEGMENT + SECOND * 6)[:, 0]
    signal[SEGMENT:] *= 0.1
    parts = write_segments([signal], SECOND, tmp_path)
    assert parts[1].gain_db > parts[0].gain_db + 15
    undone = np.concatenate(
        [wav / 32_767 / 10 ** (part.gain_db / 20) for wav, part in zip(read(tmp_path), parts, strict=True)]
    )
    np.testing.assert_allclose(undone, signal, atol=2e-5)
    assert [part.start_seconds for part in parts] == [0.0, 15.0]


@pytest.mark.parametrize("level", [0.0, 1e-7, 0.0009])
def test_silence_is_marked_and_never_boosted(tmp_path: Path, music: Music, level: float) -> None:
    (part,) = write_segments([music(SEGMENT, level=level)[:, 0]], SECOND, tmp_path)
    assert part.silent
    assert part.gain_db == 0
    assert (part.peak_dbfs is None) is (level == 0)
    assert np.abs(read(tmp_path)[0]).max() <= 33


def test_an_offset_is_recorded(tmp_path: Path, music: Music) -> None:
    (part,) = write_segments([music(SEGMENT, level=0.2)[:, 0] + np.float32(0.25)], SECOND, tmp_path)
    assert part.dc_offset == pytest.approx(0.25, abs=1e-3)


def test_an_offset_is_warned_of_where_it_sets_the_level(tmp_path: Path, music: Music) -> None:
    soundfile.write(tmp_path / "a.wav", music(SEGMENT, level=0.2) + 0.25, SECOND)
    assert segment_local_file(tmp_path / "a.wav", _new(tmp_path / "a")).warnings == [
        "a constant offset of 0.25 takes up the level; remove it (DC filter) before exporting"
    ]


def test_the_same_file_gives_the_same_bytes(tmp_path: Path, music: Music) -> None:
    soundfile.write(tmp_path / "a.wav", music(48_000 * 40, 2), 48_000)
    first, second = (segment_local_file(tmp_path / "a.wav", _new(tmp_path / name)) for name in ("one", "two"))
    assert first == second
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 7))
def test_how_the_signal_is_split_into_blocks_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, samples: int, pieces: int
) -> None:
    signal = np.random.default_rng(samples).uniform(-1, 1, samples * 100).astype(np.float32)
    whole = write_segments([signal], SECOND, tmp_path_factory.mktemp("whole"))
    split = write_segments(np.array_split(signal, pieces), SECOND, tmp_path_factory.mktemp("split"))
    assert whole == split


@pytest.mark.parametrize("seed", range(5))
def test_the_true_peak_agrees_with_oversampling_the_whole(seed: int) -> None:
    from scipy.signal import resample_poly

    signal = np.random.default_rng(seed).standard_normal(SECOND).astype(np.float32) * 0.2
    if seed % 2:
        signal = np.cumsum(signal).astype(np.float32) * 0.02  # music is not white
    whole = np.abs(resample_poly(signal, 4, 1)).max()
    assert 20 * np.log10(true_peak(signal) / whole) == pytest.approx(0, abs=0.2)


def test_the_true_peak_between_samples_is_the_sines_amplitude() -> None:
    sine = 0.5 * np.sin(np.pi / 2 * np.arange(10_001) + np.pi / 4)  # its samples reach 0.707 of the amplitude
    sine = (sine * np.hanning(10_001)).astype(np.float32)
    assert true_peak(sine) == pytest.approx(0.5, rel=0.01)
    assert true_peak(np.zeros(100, np.float32)) == 0
    assert true_peak(np.array([0.3], np.float32)) == pytest.approx(0.3, rel=1e-6)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("seconds", [0.5, 15.0, 19.9, 20.0, 31.0])
@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_recipes_cut_at_the_same_times(music: Music, tmp_path: Path, seconds: float, rate: int) -> None:
    samples = round(seconds * rate)
    (tmp_path / "mono").mkdir()
    (tmp_path / "stereo").mkdir()
    signal = music(samples, level=0.5)[:, 0]
    mono = write_segments([signal], rate, tmp_path / "mono")
    stereo = write_segments([np.stack([signal, 0.5 * signal], axis=1)], rate, tmp_path / "stereo", STEREO48)
    assert [part.start_seconds for part in mono] == [part.start_seconds for part in stereo]
    assert [part.samples for part in stereo] == STEREO48.segment_lengths(STEREO48.resampled_length(samples, rate))


def test_a_stereo_segment_is_normalised_by_its_louder_channel(music: Music, tmp_path: Path) -> None:
    left = music(48_000 * 15, level=0.4)[:, 0]
    (part,) = write_segments([np.stack([left, -0.25 * left], axis=1)], 48_000, tmp_path, STEREO48)
    written, rate = soundfile.read(tmp_path / "seg_0000.wav", dtype="int16", always_2d=True)
    assert (rate, written.shape) == (48_000, (720_000, 2))
    assert (tmp_path / "seg_0000.wav").stat().st_size == STEREO48.file_bytes(part.samples)
    assert int(np.abs(written[:, 0]).max()) == 29_204
    assert np.allclose(written[:, 1], -0.25 * written[:, 0], atol=1)


@pytest.mark.parametrize(("channels", "sides"), [(1, "equal"), (2, "own"), (5, "equal")])
def test_a_file_s_sides_are_its_own_only_where_it_is_stereo(
    music: Music, tmp_path: Path, channels: int, sides: str
) -> None:
    signal = np.stack([music(48_000, level=0.1 * (number + 1))[:, 0] for number in range(channels)], axis=1)
    soundfile.write(tmp_path / "in.wav", signal, 48_000, subtype="FLOAT")
    with open_audio(tmp_path / "in.wav") as audio:
        blocks = np.concatenate(list(audio.blocks(2)))
    assert blocks.shape == (48_000, 2)
    assert np.array_equal(blocks[:, 0], blocks[:, 1]) == (sides == "equal")
    if sides == "own":
        assert np.allclose(blocks, signal, atol=1e-6)


def test_surround_is_folded_down_by_bs_775(music: Music, tmp_path: Path) -> None:
    signal = np.stack([music(48_000, level=0.1 * (number + 1))[:, 0] for number in range(6)], axis=1)
    soundfile.write(tmp_path / "in.wav", signal, 48_000, subtype="FLOAT")
    with open_audio(tmp_path / "in.wav") as audio:
        blocks = np.concatenate(list(audio.blocks(2)))
    left, right, centre, _, back_left, back_right = signal.T
    half = np.sqrt(0.5)
    np.testing.assert_allclose(blocks[:, 0], left + half * (centre + back_left), atol=1e-6)
    np.testing.assert_allclose(blocks[:, 1], right + half * (centre + back_right), atol=1e-6)
