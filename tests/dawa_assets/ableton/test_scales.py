"""The key of a set, by what says it: the set, its clips, its notes."""

from pathlib import Path

import pytest

from dawa_assets.ableton.live_set import Scale
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.scales import Key, key_of, key_of_notes
from tests.dawa_assets.ableton.als_factory import (
    SetSpec,
    TrackSpec,
    drum_rack,
    midi_clip,
    pad,
    sampler,
    switch,
    value,
    write_als,
)

_MINOR = (0, 2, 3, 5, 7, 8, 10)


def _own(root: int, name: object, tag: str = "Root") -> str:
    return f"<ScaleInformation>{value(tag, root)}{value('Name', name)}</ScaleInformation>"


def _key(folder: Path, *tracks: TrackSpec, scale: str = "", version: int = 12) -> Key | None:
    return key_of(read_live_set(write_als(folder, SetSpec(version=version, tracks=tracks, scale=scale))))


def _tune(root: int, weights: tuple[int, ...] = (8, 2, 5, 3, 6, 3, 2)) -> str:
    """A clip in a minor key, its tonic, third and fifth the most played."""
    notes = [
        (48 + root + step, beat / 4) for step, weight in zip(_MINOR, weights, strict=True) for beat in range(weight)
    ]
    return midi_clip(notes, end=16)


@pytest.mark.parametrize(("in_key", "origin"), [("true", "in key"), ("false", "chosen")])
def test_the_sets_own_scale_comes_first_with_its_origin(tmp_path: Path, in_key: str, origin: str) -> None:
    track = TrackSpec(events=midi_clip([(60, 0)], extra=_own(5, 1)))
    key = _key(tmp_path, track, scale=_own(9, 2) + value("InKey", in_key))
    assert key == Key(Scale("A", "Dorian"), origin)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tag", "name", "version"), [("Root", 1, 12), ("RootNote", "Minor", 11), ("RootNote", "Minor", 12)]
)
def test_else_it_is_the_one_that_most_of_the_clips_have(tmp_path: Path, tag: str, name: object, version: int) -> None:
    most = midi_clip([(60, 0)], end=16, extra=_own(1, name, tag))
    other = midi_clip([(60, 0)], start=16, end=20, extra=_own(2, name, tag))
    default = midi_clip([(60, 0)], start=20, end=90, extra=_own(0, "0" if tag == "Root" else "Major", tag))
    tracks = [TrackSpec(events=most + other + default)]
    assert _key(tmp_path, *tracks, version=version) == Key(Scale("C#", "Minor"), "clips")


def test_clips_that_are_not_heard_or_do_not_agree_say_nothing(tmp_path: Path) -> None:
    clip = midi_clip([(60, 0)], end=16, extra=_own(1, 1))
    assert _key(tmp_path, TrackSpec(events=clip, mixer=switch("Speaker", False))) is None
    assert _key(tmp_path, TrackSpec(events=clip + midi_clip([(60, 0)], 16, 32, extra=_own(2, 1)))) is None


@pytest.mark.parametrize("root", range(12))
def test_else_the_notes_say_it_where_they_are_sure(tmp_path: Path, root: int) -> None:
    key = _key(tmp_path, TrackSpec(events=_tune(root)))
    assert key is not None
    names = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    assert (key.scale, key.origin) == (Scale(names[root], "Minor"), "notes")
    assert key.correlation is not None
    assert key.correlation >= 0.9


@pytest.mark.parametrize("weights", [(1, 1, 1, 1, 1, 1, 1), (4, 4, 4, 4, 4, 4, 4), (30, 0, 0, 0, 0, 0, 0)])
def test_notes_that_are_few_or_fit_everything_say_nothing(tmp_path: Path, weights: tuple[int, ...]) -> None:
    assert _key(tmp_path, TrackSpec(events=_tune(9, weights))) is None


def test_drums_have_no_key(tmp_path: Path) -> None:
    kit = drum_rack(pad("All", None, sampler(12, "k.wav")))
    assert _key(tmp_path, TrackSpec(events=_tune(9), devices=kit)) is None


def test_no_notes_have_no_key() -> None:
    assert key_of_notes([0.0] * 12) is None
