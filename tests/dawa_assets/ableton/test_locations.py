"""Where a set and its samples lie: the project around it, the user library, a pack, or elsewhere."""

import gzip
import re
from pathlib import Path

import pytest

from dawa_assets.ableton.file_places import path_of_data
from dawa_assets.ableton.live_set import Sample
from dawa_assets.ableton.project import project_folder
from dawa_assets.ableton.reader import read_live_set
from tests.dawa_assets.ableton.als_factory import SetSpec, TrackSpec, sample_ref, value, write_als
from tests.shared_data import shared


@pytest.mark.parametrize("below", ["song.als", "Backup/song.als", "a/b/c/d/song.als"])
def test_the_project_is_the_nearest_marked_parent_folder(tmp_path: Path, below: str) -> None:
    for marked in (tmp_path / "Outer", tmp_path / "Outer" / "Inner"):
        (marked / "Ableton Project Info").mkdir(parents=True)
    assert project_folder(tmp_path / "Outer" / "Inner" / below) == tmp_path / "Outer" / "Inner"
    assert project_folder(tmp_path / "Outer" / "x" / below) == tmp_path / "Outer"


@pytest.mark.parametrize(
    ("path", "project"),
    [("Song Project/song.als", "Song Project"), ("Song Project/Backup/s.als", "Song Project"), ("Sets/s.als", None)],
)
def test_without_a_mark_a_projects_name_tells(tmp_path: Path, path: str, project: str | None) -> None:
    found = project_folder(tmp_path / path)
    assert (found.name if found else None) == project


def _folders(tag: str, *names: str) -> str:
    return f"<{tag}>" + "".join(f'<RelativePathElement Dir="{name}" />' for name in names) + f"</{tag}>"


_RELATIVE = value("RelativePath", "Samples/a.wav")
_HINT = f"<SearchHint>{_folders('PathHint', 'Users', 'x')}</SearchHint>"
_NAME = value("Name", "a.wav")
_OLD = _folders("RelativePath", "Samples") + _NAME
_LIBRARY = _folders("RelativePath", "Samples", "Imported") + _NAME
_OUTSIDE = _folders("RelativePath", "", "", "sounds") + _NAME


def _alias(*parts: tuple[int, str]) -> str:
    """An alias record, as a Mac keeps where a file is."""
    listed = b"".join(
        kind.to_bytes(2, "big") + len(each).to_bytes(2, "big") + each + b"\0" * (len(each) % 2)
        for kind, each in ((kind, text.encode()) for kind, text in parts)
    )
    return (b"\0" * 6 + b"\0\2" + b"\0" * 142 + listed + b"\xff\xff\0\0").hex().upper()


def _windows(path: str) -> str:
    return f"{path}\0".encode("utf-16-le").hex().upper()


def _data(digits: str) -> str:
    """As Live writes it, in lines."""
    return "<Data>\n" + "\n".join(digits[at : at + 80] for at in range(0, len(digits), 80)) + "\n</Data>"


@pytest.mark.parametrize(
    ("file", "path", "location"),
    [
        (value("RelativePathType", 3) + _RELATIVE, "Samples/a.wav", "project"),
        (value("RelativePathType", 6) + _RELATIVE, "Samples/a.wav", "user library"),
        (value("RelativePathType", 5) + _RELATIVE, "Samples/a.wav", "pack"),
        (value("RelativePathType", 1) + value("Path", "/x/a.wav"), "/x/a.wav", "elsewhere"),
        (value("Path", "/m/User Library/a.wav"), "/m/User Library/a.wav", "user library"),
        (value("Path", "/m/a.wav") + value("LivePackName", "Drum Essentials"), "/m/a.wav", "pack"),
        (value("RelativePathType", 3) + _OLD, "Samples/a.wav", "project"),
        (value("Name", "a.wav") + _HINT, "/Users/x/a.wav", "elsewhere"),
        (value("Name", "a.wav"), "a.wav", ""),
        (value("RelativePathType", 2) + _LIBRARY, "Samples/Imported/a.wav", "user library"),
        (value("RelativePathType", 2) + _OLD, "Samples/a.wav", "pack"),
        (value("RelativePathType", 7) + _RELATIVE, "Samples/a.wav", "pack"),
        (value("RelativePathType", 1) + _OLD, "Samples/a.wav", "project"),
        (value("RelativePathType", 1) + _OUTSIDE, "../../sounds/a.wav", "elsewhere"),
        (value("RelativePathType", 1) + value("RelativePath", "../a.wav"), "../a.wav", "elsewhere"),
        (value("HasRelativePath", "false") + value("RelativePathType", 3) + _NAME, "a.wav", ""),
        (value("HasRelativePath", "false") + _NAME + _HINT, "/Users/x/a.wav", "elsewhere"),
        (_NAME + _HINT + _data(_windows("D:\\Sounds\\Täst\\a.wav")), "D:/Sounds/Täst/a.wav", "elsewhere"),
        (_NAME + _data(_windows("\\\\server\\share\\a.wav")), "//server/share/a.wav", "elsewhere"),
        (_NAME + _data(_windows("C:\\Ableton\\User Library\\a.wav")), "C:/Ableton/User Library/a.wav", "user library"),
        (_NAME + _data(_windows("C:\\Live\\Core Library\\a.wav")), "C:/Live/Core Library/a.wav", "pack"),
        (_NAME + _data(_alias((2, "Disk:Users:x:a.wav"))), "/Users/x/a.wav", "elsewhere"),
        (
            _NAME + _data(_alias((0, "x"), (18, "Music/Factory Packs/a.wav"), (19, "/Volumes/Disk"))),
            "/Volumes/Disk/Music/Factory Packs/a.wav",
            "pack",
        ),
        (_NAME + _HINT + _data("zz"), "/Users/x/a.wav", "elsewhere"),
        (value("RelativePathType", 3) + _OLD + _data(_windows("C:\\a.wav")), "Samples/a.wav", "project"),
        (value("Path", "C:\\Live\\Factory Packs\\a.wav"), "C:/Live/Factory Packs/a.wav", "pack"),
    ],
)
def test_a_sample_says_where_it_lies_and_what_it_belongs_to(
    tmp_path: Path, file: str, path: str, location: str
) -> None:
    device = f'<OriginalSimpler Id="0"><Part><SampleRef><FileRef>{file}</FileRef></SampleRef></Part></OriginalSimpler>'
    (track,) = read_live_set(write_als(tmp_path, SetSpec(tracks=[TrackSpec(devices=device)]))).tracks
    assert track.samples[0] == Sample("a.wav", path, location)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "digits",
    [
        "",
        "0",
        "00",
        "not hex",
        "FF" * 9000,
        _alias(),
        _alias((18, "")),
        _alias((2, "no colon")),
        _alias((2, "x"))[:-13],
    ],
)
def test_data_that_holds_no_path_says_nothing(digits: str) -> None:
    assert path_of_data(digits) == ""


def test_a_folders_name_with_a_slash_is_told_from_two_folders() -> None:
    assert path_of_data(_alias((2, "Disk:Drums/Hats:a.wav"))) == "/Drums:Hats/a.wav"


def test_data_of_any_length_is_read_within_bounds(tmp_path: Path) -> None:
    file = _NAME + "<Data>" + "43003A00" * 500_000 + "<x>00</x></Data>" + value("RelativePathType", 3) + _OLD
    clip = f'<AudioClip Time="0">{value("CurrentEnd", 4)}<SampleRef><FileRef>{file}</FileRef></SampleRef></AudioClip>'
    (track,) = read_live_set(
        write_als(tmp_path, SetSpec(version=9, tracks=[TrackSpec("AudioTrack", events=clip)]))
    ).tracks
    assert track.samples == (Sample("a.wav", "Samples/a.wav", "project"),)


@pytest.mark.parametrize(("version", "location"), [(8, ""), (9, ""), (10, ""), (11, "elsewhere"), (12, "elsewhere")])
def test_a_relative_path_of_unknown_base_makes_no_project(tmp_path: Path, version: int, location: str) -> None:
    device = f'<OriginalSimpler Id="0">{sample_ref(version, "Kicks/a.wav")}</OriginalSimpler>'
    (track,) = read_live_set(write_als(tmp_path, SetSpec(version=version, tracks=[TrackSpec(devices=device)]))).tracks
    assert track.samples == (Sample("a.wav", "Kicks/a.wav", location),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "locations"),
    [
        ("live8.1_dawtool_markers-auto", {"project", "user library", "pack", "elsewhere"}),
        ("live9.5_markhenry_plainxml", {"pack"}),
        ("live9.7_dawtool_patch-2-0point", {"project"}),
        ("live10.1_launchpadseq_advanced", {"pack"}),
        ("live11.3_owenbush_fascination", {"user library", "pack", "elsewhere"}),
        ("live12.2_owenbush_broombap", {"project", "user library", "pack", "elsewhere"}),
        ("live12.3_krahd_vst3", {"pack"}),
    ],
)
def test_the_samples_of_real_sets_have_their_places(name: str, locations: set[str]) -> None:
    live_set = read_live_set(shared("als", f"{name}.als"))
    samples = {*live_set.main_samples, *(sample for track in live_set.tracks for sample in track.samples)}
    assert {sample.location for sample in samples} == locations


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("live8.1_dawtool_markers-auto", "/Users/"),
        ("live9.5_markhenry_plainxml", "C:/Program Files (x86)/Ableton/Live 9 Suite/Resources/Core Library/Samples/"),
        ("live10.1_launchpadseq_advanced", "C:/ProgramData/Ableton/Live 10 Suite/Resources/Core Library/Samples/"),
    ],
)
def test_what_the_system_called_the_files_of_real_sets_is_read(name: str, beginning: str) -> None:
    data = shared("als", f"{name}.als").read_bytes()
    text = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    found = [path_of_data(each.decode()) for each in re.findall(rb"<Data>([\s0-9A-F]+)</Data>", text)]
    assert sum(path.startswith(beginning) for path in found) >= 16
