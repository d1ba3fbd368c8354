"""Where a set and its samples lie: the project around it, the user library, a pack, or elsewhere."""

from pathlib import Path

import pytest

from dawa_assets.ableton.live_set import Sample
from dawa_assets.ableton.project import project_folder
from dawa_assets.ableton.reader import read_live_set
from tests.ableton.als_factory import SetSpec, TrackSpec, value, write_als


@pytest.mark.parametrize("below", ["song.als", "Backup/song.als", "a/b/c/d/song.als"])
def test_the_project_is_the_nearest_marked_folder_however_deep_the_set_lies(tmp_path: Path, below: str) -> None:
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
_OLD = _folders("RelativePath", "Samples") + value("Name", "a.wav")


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
    ],
)
def test_a_sample_says_where_it_lies_and_what_it_belongs_to(
    tmp_path: Path, file: str, path: str, location: str
) -> None:
    device = f'<OriginalSimpler Id="0"><Part><SampleRef><FileRef>{file}</FileRef></SampleRef></Part></OriginalSimpler>'
    (track,) = read_live_set(write_als(tmp_path, SetSpec(tracks=[TrackSpec(devices=device)]))).tracks
    assert track.samples[0] == Sample("a.wav", path, location)  # type: ignore[arg-type]
