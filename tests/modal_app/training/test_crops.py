"""Which crops of tracks a training hears: by time and on bars, over any lengths. No model and no audio here."""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modal_app.protocol.audio import PreparedAudio, Segment
from modal_app.protocol.training import Example
from modal_app.training.crops import Crop, CropOrder, Stretch, crops_on_bars, mean_seconds, stretches_of

FRAMES = 25.0


def bars_at(bpm: float, seconds: float, first: float = 0.0, beats: int = 4) -> tuple[float, ...]:
    """Frames at which bars of a steady tempo begin."""
    bar = beats * 60 / bpm
    return tuple((first + number * bar) * FRAMES for number in range(int((seconds - first) / bar + 1e-9) + 1))


def frames_of(crops: Sequence[Crop]) -> set[int]:
    return {frame for crop in crops for frame in range(crop.first, crop.end)}


@pytest.mark.parametrize(
    ("bpm", "clip", "bars"),
    [(124, 30, 16), (124, 15, 8), (120, 60, 32), (174, 15, 8), (80, 30, 8), (80, 15, 4), (60, 30, 8)],
)
def test_as_many_bars_are_taken_as_come_nearest(bpm: float, clip: float, bars: int) -> None:
    stretch = Stretch("t", 0, 6000, bars_at(bpm, 240))
    crops = crops_on_bars(stretch, round(clip * FRAMES), 6000)
    lengths = sorted(crop.frames for crop in crops)
    assert lengths[len(lengths) // 2] == round(bars * 240 / bpm * FRAMES)


def test_no_crop_is_longer_than_the_generator_hears() -> None:
    stretch = Stretch("t", 0, 6000, bars_at(120, 240))
    assert {crop.frames for crop in crops_on_bars(stretch, 750, 750)} == {400}  # 16 bars would be 32 s


def test_an_upbeat_and_an_ending_are_heard_with_their_bars() -> None:
    stretch = Stretch("t", 0, 1510, bars_at(120, 60, first=1.0))
    first, *_, last = crops_on_bars(stretch, 400, 1000)
    assert (first.first, first.end) == (0, 375)  # 1 s and seven bars
    assert last.end == 1510
    assert (last.first - 25) % 50 == 0


@settings(deadline=None)
@given(
    st.integers(0, 500),
    st.integers(1, 4000),
    st.floats(4, 300),
    st.floats(-50, 300),
    st.integers(1, 1500),
    st.integers(0, 1500),
    st.lists(st.floats(0.5, 1.5), max_size=40),
)
def test_crops_on_bars_reach_everything_from_downbeats(
    first: int, length: int, bar: float, offset: float, clip: int, more: int, tempo: list[float]
) -> None:
    end, longest = first + length, clip + more
    lengths = [
        bar * tempo[number % len(tempo)] if tempo else bar for number in range(int((end - offset) / bar * 2) + 2)
    ]
    downbeats = [beat for beat in accumulate(lengths, initial=offset) if beat <= end + bar]
    crops = crops_on_bars(Stretch("t", first, end, tuple(downbeats)), clip, longest)

    assert all(first <= crop.first < crop.end <= end and crop.frames <= longest for crop in crops)
    assert len(set(crops)) == len(crops)
    if crops:
        assert frames_of(crops) == set(range(first, end))
        if longest >= 6 * bar and offset <= first + bar:
            starts = {crop.first for crop in crops} - {first}
            assert all(min(abs(start - beat) for beat in downbeats) <= 1 for start in starts)


@pytest.mark.parametrize("downbeats", [(), (0.0, 50.0, 100.0), bars_at(120, 12, first=0.4)])
def test_every_frame_of_a_track_is_drawn_in_time(downbeats: tuple[float, ...]) -> None:
    stretches = [Stretch("a", 0, 300, downbeats), Stretch("b", 40, 70), Stretch("b", 90, 97)]
    order = CropOrder(stretches, 100, 200, 4, seed=1)
    drawn = [crop for number in range(800) for crop in order.batch(number)]
    for stretch in stretches:
        inside = [crop for crop in drawn if crop.track == stretch.track and crop.first >= stretch.first]
        inside = [crop for crop in inside if crop.first < stretch.end]
        assert frames_of(inside) == set(range(stretch.first, stretch.end))
    inside_any = [any(s.track == c.track and s.first <= c.first and c.end <= s.end for s in stretches) for c in drawn]
    assert all(inside_any)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 900), min_size=1, max_size=8),
    st.integers(1, 400),
    st.integers(1, 9),
    st.integers(0, 99),
    st.lists(st.integers(0, 500), min_size=1, max_size=10),
)
def test_any_batch_of_crops_is_the_same_at_any_time(
    lengths: list[int], clip: int, size: int, seed: int, numbers: list[int]
) -> None:
    stretches = [Stretch(str(place), 3, 3 + length) for place, length in enumerate(lengths)]
    order = CropOrder(stretches, clip, 400, size, seed)
    batches = [order.batch(number) for number in numbers]
    assert batches == [CropOrder(stretches, clip, 400, size, seed).batch(number) for number in numbers]
    assert all(len(batch) == size for batch in batches)
    assert all(crop.frames == min(clip, lengths[int(crop.track)]) for batch in batches for crop in batch)


@settings(deadline=None)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=8), st.integers(20, 400))
def test_a_round_draws_from_each_track_by_its_length(lengths: list[int], clip: int) -> None:
    stretches = [Stretch(str(place), 0, length) for place, length in enumerate(lengths)]
    wanted = [max(1, round(length / clip)) for length in lengths]
    order = CropOrder(stretches, clip, 400, sum(wanted), seed=0)
    for turn in range(2):
        tracks = [crop.track for crop in order.batch(turn)]
        assert [tracks.count(str(place)) for place in range(len(lengths))] == wanted


def test_crops_differ_between_rounds_and_seeds() -> None:
    stretches = [Stretch("a", 0, 6000)]
    drawn = {seed: [CropOrder(stretches, 750, 6000, 8, seed).batch(turn) for turn in range(3)] for seed in range(3)}
    batches = [tuple(crop.first for crop in batch) for of_seed in drawn.values() for batch in of_seed]
    assert len(set(batches)) == 9


def test_the_mean_length_is_that_of_what_is_drawn() -> None:
    stretches = [Stretch("a", 0, 6000, bars_at(126, 240)), Stretch("b", 0, 400), Stretch("c", 0, 2000)]
    order = CropOrder(stretches, 750, 6000, 1, seed=0)
    drawn = [order.crop(number).frames for number in range(1200)]
    mean = mean_seconds(stretches, 750, 6000, FRAMES)
    assert mean == pytest.approx(sum(drawn) / len(drawn) / FRAMES, rel=0.01)


def manifest_of(seconds: float, silent: set[int]) -> PreparedAudio:
    """The manifest of a file of so many seconds, cut as `mono44`."""
    lengths = [15.0] * int(seconds // 15) + ([seconds % 15] if seconds % 15 >= 5 or seconds < 15 else [])
    segments = [
        Segment(
            index=index,
            sha256=f"{index:064d}",
            start_seconds=15.0 * index,
            samples=round(44_100 * length),
            gain_db=0.0,
            peak_dbfs=-1.0,
            true_peak_dbfs=-1.0,
            dc_offset=0.0,
            silent=index in silent,
        )
        for index, length in enumerate(lengths)
    ]
    return PreparedAudio(
        audio_hash="a" * 64,
        recipe="mono44",
        sample_rate=44_100,
        source_sample_rate=44_100,
        source_channels=1,
        source_samples=round(44_100 * seconds),
        duration_seconds=seconds,
        segments=segments,
        warnings=[],
    )


@settings(deadline=None)
@given(st.floats(1, 200), st.sets(st.integers(0, 14)), st.sampled_from([25.0, 50.0]))
def test_stretches_hold_the_chosen_segments_and_nothing_else(seconds: float, left_out: set[int], rate: float) -> None:
    manifest = manifest_of(seconds, left_out)
    chosen = [segment for segment in manifest.segments if segment.index not in left_out]
    assume(chosen)
    examples = [
        Example(audio_hash="a" * 64, index=each.index, sha256=each.sha256, song="s", parts=[], gain_db=0.0)
        for each in reversed(chosen)
    ]
    stretches = stretches_of(examples, {"a" * 64: manifest}, {"a" * 64: [0.0, 2.0]}, rate)

    frames = sorted(frame for each in stretches for frame in range(each.first, each.end))
    wanted: set[int] = set()
    for each in chosen:
        end = math.ceil(round((each.start_seconds + each.samples / 44_100) * rate, 6))
        wanted |= set(range(round(each.start_seconds * rate), end))
    assert frames == sorted(wanted)
    assert all(one.end < other.first for one, other in pairwise(stretches))
    assert all(each.downbeats == (0.0, 2.0 * rate) for each in stretches)
