"""Tempo and metre over a song, held against slow and obvious ways to count them."""

import gzip
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dawa_assets.ableton.live_set import LiveSet
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.time_map import (
    MAX_BARS,
    MetreChange,
    MetreMap,
    TempoMap,
    TempoPoint,
    TimeSignature,
    bar_times,
    united,
)
from tests.dawa_assets.ableton.als_factory import SetSpec, TrackSpec, switch, value, write_als

_BEATS = st.integers(0, 64).map(lambda number: number / 2)
_POINTS = st.lists(st.builds(TempoPoint, _BEATS, st.integers(40, 240).map(float)), max_size=6)
_METRES = st.builds(TimeSignature, st.integers(1, 9), st.sampled_from([2, 4, 8]))
_CHANGES = st.lists(st.builds(MetreChange, _BEATS, _METRES), max_size=5)


def _bpm(points: Sequence[TempoPoint], manual: float, beat: float) -> float:
    """The tempo at a beat that no point lies at, by looking through all points."""
    ordered = sorted(points, key=lambda point: point.time)
    if not ordered:
        return manual
    before = [point for point in ordered if point.time < beat]
    after = [point for point in ordered if point.time > beat]
    if not before or not after:
        return (before or after)[-1 if before else 0].bpm
    one, other = before[-1], after[0]
    return one.bpm + (other.bpm - one.bpm) * (beat - one.time) / (other.time - one.time)


@settings(deadline=None)
@given(_POINTS, st.integers(40, 240).map(float), _BEATS, _BEATS)
def test_seconds_are_what_small_steps_add_up_to(
    points: list[TempoPoint], manual: float, start: float, length: float
) -> None:
    step = 1 / 32
    middles = [start + step * (number + 0.5) for number in range(round(length / step))]
    slow = math.fsum(60 / _bpm(points, manual, beat) * step for beat in middles)
    assert TempoMap(points, manual).seconds(start, start + length) == pytest.approx(slow, rel=2e-3, abs=1e-9)


def test_tempo_jumps_apply_from_their_beat_and_ramps_are_linear() -> None:
    jump = TempoMap([TempoPoint(0, 120), TempoPoint(8, 120), TempoPoint(8, 60)], 90)
    assert [jump.seconds_at(beat) for beat in (-2, 0, 8, 9)] == [-1, 0, 4, 5]
    ramp = TempoMap([TempoPoint(0, 60), TempoPoint(8, 120)], 90)
    assert [ramp.seconds_at(beat) for beat in (8, 9)] == pytest.approx([8 * math.log(2), 8 * math.log(2) + 0.5])
    assert [TempoMap([], 120).seconds_at(beat) for beat in (-2, 0, 1, 64)] == [-1, 0, 0.5, 32]


def test_what_stands_before_beat_0_moves_nothing() -> None:
    line = TempoMap([TempoPoint(-16, 60), TempoPoint(-8, 120)], 90)
    assert [line.seconds_at(beat) for beat in (0, 2)] == pytest.approx([0, 1])


@settings(deadline=None)
@given(_POINTS, st.integers(40, 240).map(float), _BEATS, _BEATS)
def test_where_a_beat_sounds_is_how_long_the_song_takes_to_it(
    points: list[TempoPoint], manual: float, beat: float, later: float
) -> None:
    line = TempoMap(points, manual)
    assert line.seconds_at(beat) == pytest.approx(line.seconds(0, beat), abs=1e-9)
    assert line.seconds_at(beat + later) >= line.seconds_at(beat)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.builds(TempoPoint, st.floats(0, 400), st.floats(20, 999)), max_size=40), st.floats(0, 1e6), _CHANGES)
@example(points=[TempoPoint(0.0, 20.0), TempoPoint(5e-324, 21.0)], bars=0.0, changes=[])
def test_the_bars_of_any_set_are_bounded_and_never_run_back(
    points: list[TempoPoint], bars: float, changes: list[MetreChange]
) -> None:
    times = bar_times(TempoMap(points, 120), MetreMap(TimeSignature(4, 4), changes), bars)
    assert len(times) <= MAX_BARS + 1
    assert times[0] == pytest.approx(0, abs=1e-6)
    assert all(after >= before for before, after in pairwise(times))


def test_bars_follow_every_change_of_time_signature() -> None:
    four, three = TimeSignature(4, 4), TimeSignature(3, 4)
    steady = TempoMap([], 120)
    assert bar_times(steady, MetreMap(three, []), 1.5) == [0, 1.5, 3]
    assert bar_times(steady, MetreMap(four, [MetreChange(8, three)]), 4) == [0, 2, 4, 5.5, 7]


@settings(deadline=None)
@given(_POINTS, st.integers(40, 240).map(float), _BEATS, _BEATS)
def test_what_prevails_lies_between_the_lowest_and_the_highest(
    points: list[TempoPoint], manual: float, start: float, length: float
) -> None:
    found = TempoMap(points, manual).prevailing([(start, start + length)])
    assert (found is None) == (length == 0)
    if found is not None:
        assert found.lowest - 0.01 <= found.bpm <= found.highest + 0.01
        if not points:
            assert found.bpm == found.lowest == found.highest == manual


@pytest.mark.parametrize(
    ("points", "bpm"),
    [
        ([], 120),
        ([(0, 128)], 128),
        ([(8, 90)], 90),
        ([(0, 135), (4, 175)], 175),
        ([(0, 100), (40, 100), (40, 140)], 140),
        ([(0, 140), (60, 140), (60, 100)], 140),
        ([(0, 95), (4, 138), (88, 160)], 160),
    ],
)
def test_the_tempo_that_is_held_the_longest_prevails(points: list[tuple[float, float]], bpm: float) -> None:
    found = TempoMap([TempoPoint(*point) for point in points], 120).prevailing([(0, 100)])
    assert found is not None
    assert found.bpm == bpm


def test_where_no_tempo_is_held_it_is_the_median_over_time() -> None:
    tempo = TempoMap([TempoPoint(0, 60), TempoPoint(100, 180)], 120)
    found = tempo.prevailing([(0, 100)])
    assert found is not None
    half = tempo.seconds(0, 100) / 2
    assert tempo.seconds(0, (found.bpm - 60) / 1.2) == pytest.approx(half, rel=1e-3)


@settings(deadline=None)
@given(st.lists(st.tuples(_BEATS, _BEATS), max_size=8))
def test_united_ranges_cover_the_same_beats_once(ranges: list[tuple[float, float]]) -> None:
    whole = united(ranges)
    covered = {n for start, end in ranges for n in range(int(start * 2), int(end * 2))}
    assert {n for start, end in whole for n in range(int(start * 2), int(end * 2))} == covered
    assert all(one[1] < other[0] for one, other in pairwise(whole))


def _slow_bars(first: TimeSignature, changes: Sequence[MetreChange], until: float) -> list[float]:
    """The beat at which each bar begins, by laying one bar after the other."""
    starts, here, signature = [0.0], 0.0, first
    last_at: dict[float, TimeSignature] = {}
    for change in sorted(changes, key=lambda change: change.time):
        last_at[change.time] = change.signature
    signature = last_at.pop(0.0, signature)
    while here < until:
        following = here + signature.beats_per_bar
        cut = [time for time in sorted(last_at) if here < time <= following + 1e-9 and last_at[time] != signature]
        here = cut[0] if cut else following
        signature = last_at[here] if cut else signature
        last_at = {time: each for time, each in last_at.items() if time > here}
        starts.append(here)
    return starts


@settings(deadline=None)
@given(_METRES, _CHANGES)
def test_bars_are_where_laying_them_one_by_one_puts_them(first: TimeSignature, changes: list[MetreChange]) -> None:
    metre = MetreMap(first, changes)
    for number, start in enumerate(_slow_bars(first, changes, 40)):
        assert metre.bars(start) == pytest.approx(number)
        assert metre.beat(number) == pytest.approx(start)


@settings(deadline=None)
@given(_METRES, _CHANGES, st.floats(-8, 80), st.floats(0, 8))
def test_bars_never_run_backwards(first: TimeSignature, changes: list[MetreChange], beat: float, more: float) -> None:
    metre = MetreMap(first, changes)
    assert metre.bars(beat) <= metre.bars(beat + more) + 1e-9


# -- as sets say it --------------------------------------------------------------------------------------------


def _read(folder: Path, xml_of_main: str, version: int = 12, **more: object) -> LiveSet:
    spec = SetSpec(version=version, **more)  # type: ignore[arg-type]
    path = write_als(folder, spec)
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(text.replace("</TimeSignature>", f"{xml_of_main}</TimeSignature>", 1).encode()))
    return read_live_set(path)


_CLIPS = [TrackSpec(id="1", clips=[(0, 84, "")])]


@pytest.mark.parametrize("version", [8, 9])
def test_changes_of_time_signature_are_kept_with_it_until_live_9(tmp_path: Path, version: int) -> None:
    events = '<ArrangerAutomation><Events><EnumEvent Time="32" Value="200" /></Events></ArrangerAutomation>'
    live_set = _read(tmp_path, events, version, tracks=_CLIPS)
    assert [(time, str(signature)) for time, signature in live_set.metre_map.changes][-1] == (32, "3/4")
    assert str(live_set.played_time_signature) == "3/4"


@pytest.mark.parametrize(("time", "bars"), [(32, 8 + 52 / 3), (34, 9 + 50 / 3), (0, 28), (200, 21)])
def test_a_change_begins_a_bar_wherever_it_lies(tmp_path: Path, time: float, bars: float) -> None:
    path = write_als(tmp_path, SetSpec(tracks=_CLIPS))
    text = gzip.decompress(path.read_bytes()).decode()
    envelope = (
        f"<AutomationEnvelope><EnvelopeTarget>{value('PointeeId', 10)}</EnvelopeTarget><Automation><Events>"
        f'<EnumEvent Time="-63072000" Value="201" /><EnumEvent Time="{time}" Value="200" />'
        "</Events></Automation></AutomationEnvelope>"
    )
    text = text.replace("</TimeSignature>", '<AutomationTarget Id="10" /></TimeSignature>', 1)
    text = text.replace(
        "<MainTrack>\n<AutomationEnvelopes><Envelopes>", f"<MainTrack><AutomationEnvelopes><Envelopes>{envelope}"
    )
    path.write_bytes(gzip.compress(text.encode()))
    assert read_live_set(path).length_bars == pytest.approx(bars)


def _scene(tempo: float, sets_tempo: bool) -> str:
    return (
        f"<Scene>{value('Name', '')}{value('Tempo', tempo)}{value('IsTempoEnabled', str(sets_tempo).lower())}</Scene>"
    )


@pytest.mark.parametrize(
    ("scenes", "bpm"),
    [
        ([(174, True), (174, True), (90, False)], 174),
        ([(174, True), (90, True)], 120),
        ([(174, False)], 120),
        ([(5000, True)], 120),
    ],
)
def test_a_session_plays_at_its_scenes_tempo_where_they_agree(
    tmp_path: Path, scenes: list[tuple[float, bool]], bpm: float
) -> None:
    extra = "<Scenes>" + "".join(_scene(*scene) for scene in scenes) + "</Scenes>"
    session = TrackSpec(id="1", slots=["loop"] * len(scenes))
    live_set = read_live_set(write_als(tmp_path, SetSpec(scenes=[], extra=extra, tracks=[session])))
    assert live_set.played_tempo.bpm == bpm
    arranged = read_live_set(write_als(tmp_path, SetSpec(scenes=[], extra=extra, tracks=[session, *_CLIPS])))
    assert arranged.played_tempo.bpm == 120


@pytest.mark.parametrize(
    ("name", "bpm", "metre"), [("Drop 174 BPM", 174, "4/4"), ("3/4 at 90bpm", 90, "3/4"), ("1990", 120, "4/4")]
)
def test_until_live_10_a_scenes_name_sets_tempo_and_metre(tmp_path: Path, name: str, bpm: float, metre: str) -> None:
    session = TrackSpec(id="1", slots=["loop"])
    live_set = read_live_set(write_als(tmp_path, SetSpec(version=10, scenes=[name], tracks=[session])))
    assert (live_set.played_tempo.bpm, str(live_set.played_time_signature)) == (bpm, metre)


def test_what_is_muted_has_no_say_in_the_tempo(tmp_path: Path) -> None:
    tracks = [
        TrackSpec(id="1", clips=[(0, 16, "")]),
        TrackSpec(id="2", clips=[(16, 160, "")], mixer=switch("Speaker", False)),
    ]
    live_set = read_live_set(write_als(tmp_path, SetSpec(tracks=tracks, tempo_points=[(0, 100), (16, 100), (16, 170)])))
    assert (live_set.played_tempo.bpm, live_set.seconds) == (100, pytest.approx(9.6))


@given(st.lists(st.tuples(st.floats(0, 64), st.floats(40, 200)), max_size=5), st.floats(-8, 80))
def test_a_beat_is_found_by_its_time(points: list[tuple[float, float]], beat: float) -> None:
    tempo = TempoMap([TempoPoint(time, bpm) for time, bpm in points], 120.0)
    assert tempo.beat_at(tempo.seconds_at(beat)) == pytest.approx(beat, abs=1e-6)
