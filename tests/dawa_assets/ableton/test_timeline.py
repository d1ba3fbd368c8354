import gc
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from dawa_assets.ableton.colours import NEUTRAL, PALETTE_SIZE, ink_on, mixed, rgb
from dawa_assets.ableton.live_set import (
    ArrangementClip,
    LiveSet,
    Locator,
    MetreChange,
    SessionClip,
    TempoPoint,
    TimeSignature,
)
from dawa_assets.ableton.picture import BACKGROUND, SILENT
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.timeline import draw_timeline
from tests.dawa_assets.ableton.als_factory import SetSpec, TrackSpec, switch, write_als
from tests.shared_data import shared, shared_names


@pytest.fixture(autouse=True)
def _warnings_are_failures() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # of what other tests left, when it is collected here
        yield


def _read(folder: Path, spec: SetSpec) -> LiveSet:
    return read_live_set(write_als(folder, spec))


def _pixels(live_set: LiveSet, target: Path) -> npt.NDArray[np.float64]:
    """Draw, and give height x width x 3 in 0..1."""
    draw_timeline(live_set, target)
    with Image.open(target) as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture) / 255


def _has_colour(pixels: npt.NDArray[np.float64], index: int, at_least: int = 100) -> bool:
    return int((abs(pixels - rgb(index)).max(axis=2) < 0.01).sum()) >= at_least


def test_clips_are_blocks_in_their_tracks_colour(tmp_path: Path) -> None:
    tracks = [TrackSpec(id=str(i), colour=c, clips=[(0, 8, "")]) for i, c in enumerate((3, 17, 41))]
    pixels = _pixels(_read(tmp_path, SetSpec(tracks=tracks)), tmp_path / "t.png")
    assert all(_has_colour(pixels, index, at_least=2000) for index in (3, 17, 41))
    assert not _has_colour(pixels, 60)


def test_no_pixels_are_kept_of_a_picture_that_is_written(tmp_path: Path) -> None:
    live_set = _read(tmp_path, SetSpec(locators=[(4, "Drop")], tempo_points=[(0, 100), (8, 140)]))
    gc.collect()
    gc.disable()  # what is a circle stays, with all that it refers to, until the collector comes by
    try:
        draw_timeline(live_set, tmp_path / "t.png")
        kept = [each for each in gc.get_objects() if isinstance(each, Image.Image)]  # letters are, for the next one
        assert not [each.size for each in kept if each.width * each.height > 10_000]
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", ["arrangement", "session"])
def test_what_is_not_heard_is_grey(tmp_path: Path, kind: str) -> None:
    def track(number: int, colour: int, mixer: str = "") -> TrackSpec:
        if kind == "session":
            return TrackSpec(id=str(number), colour=colour, mixer=mixer, slots=["loop"])
        return TrackSpec(id=str(number), colour=colour, mixer=mixer, clips=[(0, 8, "")])

    tracks = [track(1, 3), track(2, 17, switch("Speaker", False)), track(3, 41)]
    pixels = _pixels(_read(tmp_path, SetSpec(tracks=tracks)), tmp_path / "t.png")
    assert _has_colour(pixels, 3, at_least=500)
    assert int((abs(pixels - SILENT).max(axis=2) < 0.01).sum()) >= 500
    assert not _has_colour(pixels, 17, at_least=500)


@pytest.mark.parametrize("scenes", [1, 5, 60])
def test_session_clips_stand_hollow_beside_an_arrangement(tmp_path: Path, scenes: int) -> None:
    clips, slots = [(0.0, 8.0, "")], ["loop"] * scenes
    with_slots = [TrackSpec(id="1", colour=3, clips=clips), TrackSpec(id="2", colour=17, slots=slots)]
    without = [TrackSpec(id="1", colour=3, clips=clips), TrackSpec(id="2", colour=17)]
    plain = _pixels(_read(tmp_path, SetSpec(tracks=without)), tmp_path / "a.png")
    both = _pixels(_read(tmp_path, SetSpec(tracks=with_slots)), tmp_path / "b.png")
    assert plain.shape == both.shape
    assert not _has_colour(plain, 17, at_least=300)  # the track's own mark is smaller
    hollow = mixed(rgb(17), BACKGROUND, 0.75)
    assert int((abs(both - hollow).max(axis=2) < 0.01).sum()) >= 300
    assert not _has_colour(both, 17, at_least=2_000)
    grey = replace(with_slots[1], mixer=switch("Speaker", False))
    muted = _pixels(_read(tmp_path, SetSpec(tracks=[with_slots[0], grey])), tmp_path / "c.png")
    assert int((abs(muted - hollow).max(axis=2) < 0.01).sum()) == 0


def test_changes_of_time_signature_and_a_muted_end_are_drawn(tmp_path: Path) -> None:
    changes = (MetreChange(16, TimeSignature(3, 4)), MetreChange(28, TimeSignature(7, 8)))
    tracks = [
        TrackSpec(id="1", colour=3, clips=[(0, 42, "")]),
        TrackSpec(id="2", clips=[(0, 900, "long"), (800, 900, "x")], mixer=switch("Speaker", False)),
    ]
    live_set = _read(tmp_path, SetSpec(tracks=tracks, locators=[(0, "A"), (880, "B")]))
    plain = _pixels(live_set, tmp_path / "a.png")
    changed = _pixels(replace(live_set, metre_changes=changes), tmp_path / "b.png")
    assert plain.shape == changed.shape
    assert (plain != changed).any()
    assert _has_colour(plain, 3, at_least=10_000)


def test_a_clips_own_colour_shows_too(tmp_path: Path) -> None:
    live_set = _read(tmp_path, SetSpec(tracks=[TrackSpec(colour=3, clips=[(0, 16, "")])]))
    clip = replace(live_set.tracks[0].arrangement_clips[0], colour=40)
    live_set = replace(live_set, tracks=(replace(live_set.tracks[0], arrangement_clips=(clip,)),))
    pixels = _pixels(live_set, tmp_path / "t.png")
    assert _has_colour(pixels, 3, at_least=2000)
    assert _has_colour(pixels, 40, at_least=1000)


def test_a_set_with_session_clips_only_gives_their_grid(tmp_path: Path) -> None:
    tracks = [TrackSpec(id=str(i), colour=c, slots=[None, "loop"]) for i, c in enumerate((3, 17))]
    grid = _pixels(_read(tmp_path, SetSpec(tracks=tracks)), tmp_path / "grid.png")
    assert _has_colour(grid, 3, at_least=1000)
    assert _has_colour(grid, 17, at_least=1000)
    with_arrangement = [replace(track, clips=[(0, 4, "")]) for track in tracks]
    timeline = _pixels(_read(tmp_path, SetSpec(tracks=with_arrangement)), tmp_path / "timeline.png")
    assert timeline.shape != grid.shape or (timeline != grid).any()


@pytest.mark.parametrize("tracks", [[], [TrackSpec()]])
def test_an_empty_set_gives_a_picture_that_says_so(tmp_path: Path, tracks: list[TrackSpec]) -> None:
    live_set = _read(tmp_path, SetSpec(tracks=tracks))
    draw_timeline(live_set, tmp_path / "t.png", title="Nothing")
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    with_words = _pixels(live_set, tmp_path / "t.png")
    assert with_words.std() > 0


@pytest.mark.parametrize(
    "name",
    [
        "🎹🔥",
        "中文 日本語",
        "עברית العربية",
        "$\\frac{1}{0}$ $",
        "a\u0301\u0323\u200d\u202e",
        "x" * 400,
        "<b>&amp;[red]",
    ],
)
def test_names_of_any_script_are_drawn_without_a_warning(tmp_path: Path, name: str) -> None:
    tracks = [TrackSpec(name=name, clips=[(0, 64, name)]), TrackSpec(tag="GroupTrack", name=name)]
    live_set = _read(tmp_path, SetSpec(tracks=tracks, locators=[(4, name)], scenes=[name]))
    draw_timeline(live_set, tmp_path / "t.png", title=name)
    session = replace(live_set, tracks=(replace(live_set.tracks[0], arrangement_clips=(), session_clips=(SessionClip(0, name, None),)),))  # fmt: skip  # noqa: E501
    draw_timeline(session, tmp_path / "t.png", title=name)


def test_the_same_set_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    names = TrackSpec(colour=5, clips=[(0, 6, "ä"), (8, 12, "b"), (16, 48, "עברית a\u0323\u0308")])
    tracks = [names, TrackSpec(tag="GroupTrack", name="G")]
    als = write_als(tmp_path, SetSpec(tracks=tracks, locators=[(4, "Drop")], tempo_points=[(0, 100), (8, 140)]))
    draw_timeline(read_live_set(als), tmp_path / "here.png")
    code = (
        "import sys; from pathlib import Path; from dawa_assets.ableton.reader import read_live_set; "
        "from dawa_assets.ableton.timeline import draw_timeline; "
        "draw_timeline(read_live_set(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    own = tmp_path / "matplotlibrc"
    own.write_text("font.family: serif\ntext.antialiased: False\ntext.hinting: none\nfigure.dpi: 30\n")
    command = [sys.executable, "-c", code, str(als), str(tmp_path / "there.png")]
    subprocess.run(command, check=True, env={**os.environ, "MATPLOTLIBRC": str(own)})
    assert (tmp_path / "here.png").read_bytes() == (tmp_path / "there.png").read_bytes()


def test_a_huge_set_gives_a_picture_of_bounded_size(tmp_path: Path) -> None:
    live_set = _read(tmp_path, SetSpec(tracks=[TrackSpec(tag="GroupTrack", id="g"), TrackSpec(group="g")]))
    group, track = live_set.tracks
    clips = tuple(ArrangementClip(i / 4, i / 4 + 0.2, f"clip {i}", i % 70) for i in range(20))
    slots = tuple(SessionClip(i, f"clip {i}", None) for i in range(300))
    # More tracks than there are lanes for, and of those with 300 scenes only some: a grid is drawn cell by cell.
    many = [replace(track, index=i, name=f"track {i}", arrangement_clips=clips) for i in range(1, 260)]
    points = tuple(TempoPoint(i, 100 + i % 50) for i in range(5_000))
    locators = tuple(Locator(i, f"place {i}") for i in range(1_000))
    huge = replace(live_set, tracks=(group, *many), locators=locators, tempo_changes=points)
    session = replace(
        huge, tracks=tuple(replace(each, arrangement_clips=(), session_clips=slots) for each in huge.tracks[:20])
    )
    for each in (huge, session):
        height, width, _ = _pixels(each, tmp_path / "t.png").shape
        assert width <= 1650
        assert height <= 4000


def test_a_clip_at_the_end_of_time_is_no_trap(tmp_path: Path) -> None:
    track = TrackSpec(clips=[(0, 4, "a"), (9.9e7, 1e8, "b"), (3, 3, "empty"), (-8, -4, "before")])
    draw_timeline(_read(tmp_path, SetSpec(tracks=[track], signature="0")), tmp_path / "t.png")


def test_a_drawing_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    live_set = _read(tmp_path, SetSpec())
    with pytest.raises(FileNotFoundError):
        draw_timeline(live_set, tmp_path / "nowhere" / "t.png")
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OSError, match="taken"):
        draw_timeline(live_set, tmp_path / "taken.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.als", "taken.png"]


def test_the_palette_has_seventy_colours_with_readable_text() -> None:
    colours = [rgb(index) for index in range(PALETTE_SIZE)]
    assert len(set(colours)) == PALETTE_SIZE == 70
    assert all(0 <= part <= 1 for colour in colours for part in colour)
    assert all(abs(sum(ink_on(colour)) - sum(colour)) > 0.6 for colour in colours)
    assert rgb(None) == NEUTRAL


def test_reading_loads_no_pillow_and_drawing_no_matplotlib(tmp_path: Path) -> None:
    als = write_als(tmp_path, SetSpec(tracks=[TrackSpec(name="Spur für дым", clips=[(0, 64, "中文 u\u0308")])]))
    code = (
        "import json, sys; from pathlib import Path; import dawa_assets.cli.als; "
        "from dawa_assets.ableton.reader import read_live_set; "
        "from dawa_assets.ableton.timeline import draw_timeline; "
        "live_set, read = read_live_set(Path(sys.argv[1])), list(sys.modules); "
        "draw_timeline(live_set, Path(sys.argv[2])); print(json.dumps([read, list(sys.modules)]))"
    )
    command = [sys.executable, "-c", code, str(als), str(tmp_path / "t.png")]
    loaded = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    read, drawn = ({name.partition(".")[0] for name in names} for names in loaded)
    assert not read & {"PIL", "fontTools", "matplotlib"}
    assert "PIL" in drawn
    assert "matplotlib" not in drawn


@pytest.mark.parametrize("name", shared_names("als", "*.als"))
def test_every_real_set_is_drawn(tmp_path: Path, name: str) -> None:
    pixels = _pixels(read_live_set(shared("als", name)), tmp_path / "t.png")
    assert pixels.shape[1] == 1650
