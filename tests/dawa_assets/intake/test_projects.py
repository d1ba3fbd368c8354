"""Which project a set and its bounces belong to: the same on a disk, after an upload, and in a build."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dawa_assets.ableton.project import PROJECT_MARK, project_folder, project_name
from dawa_assets.cli.main import main
from dawa_assets.intake import part_uploads
from dawa_assets.intake.announced_files import GivenFile
from dawa_assets.intake.inbox import complete_key, upload
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.intake.projects import closing_note, projects_by_name
from dawa_assets.items.update import update_training_items
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, content, drop, items, keys, new_artist, rows, wav

_DEEP = "My Album/Sets/2024/song.als"


def _lay(root: Path, *names: str) -> Path:
    """Make files below a folder; a name that ends in `/` is of a project's folder, which gets its mark."""
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.joinpath(PROJECT_MARK).mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(als(100 + len(name)) if name.endswith(".als") else wav(200 + len(name)))
    return root


def _keys_after(ports: Ports, paths: Sequence[Path]) -> list[str]:
    receipt = upload(ports, "Nova", paths)
    assert take_in_live_sets(ports, receipt.slug).rejected == []
    return sorted(items(ports))


def _said_by_als(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path) -> str:
    monkeypatch.setattr(sys, "argv", ["dawa", "als", "--json", str(file)])
    with pytest.raises(SystemExit):
        main()
    return str(json.loads(capsys.readouterr().out)["project_name"])


@pytest.mark.parametrize(
    ("there", "uploaded", "project"),
    [
        (["My Album/", _DEEP], "My Album", "My Album"),
        (["My Album/", _DEEP], "My Album/Sets", "My Album"),
        (["My Album/", _DEEP], _DEEP, "My Album"),
        (["My Album/", "My Album/Sets/", _DEEP], "My Album", "Sets"),
        (["My Album/", "My Album/Sets/2024/", _DEEP], _DEEP, "2024"),
        (["Box/", "Box/A Project/song.als"], "Box/A Project/song.als", "Box"),
        (["A Project/song.als"], "A Project/song.als", "A Project"),
        (["A Project/Sets/song.als"], "A Project", "A Project"),
        (["A Project/Sets/song.als"], "A Project/Sets", "A Project"),
        (["Downloads/song.als"], "Downloads/song.als", "song"),
    ],
)
def test_a_set_has_one_project_wherever_it_is_asked_for(
    ports: Ports,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    there: list[str],
    uploaded: str,
    project: str,
) -> None:
    _lay(tmp_path, *there)
    assert _keys_after(ports, [tmp_path / uploaded]) == [f"{project}/song"]
    [row] = rows(ports, "select project_name, summary from als_summaries")
    assert (row["project_name"], row["summary"]["project_name"]) == (project, project)
    assert _said_by_als(monkeypatch, capsys, tmp_path / there[-1]) == project


def test_a_set_in_no_project_is_named_by_the_given_folder(ports: Ports, tmp_path: Path) -> None:
    _lay(tmp_path, "Demos/a/one.als", "Demos/two.als")
    assert _keys_after(ports, [tmp_path / "Demos"]) == ["Demos/two", "a/one"]


def test_two_projects_with_equal_folder_names_keep_sets_apart(ports: Ports, tmp_path: Path) -> None:
    _lay(tmp_path, "One/", "Two/", "One/Sets/song.als", "Two/Sets/song.als")
    (tmp_path / "Two/Sets/song.als").write_bytes(als(77))
    assert _keys_after(ports, [tmp_path / "One", tmp_path / "Two"]) == ["One/song", "Two/song"]


def test_a_bounce_in_a_projects_folder_finds_that_projects_set(ports: Ports, tmp_path: Path) -> None:
    _lay(tmp_path, "One/", "Two/", "One/Sets/song.als", "Two/Sets/song.als", "Two/Mixes/deep/song.wav")
    (tmp_path / "Two/Sets/song.als").write_bytes(als(77))
    _keys_after(ports, [tmp_path / "Two/Mixes/deep", tmp_path / "One", tmp_path / "Two"])
    assert update_training_items(ports, "nova").paired == [("song.wav", "Two/song")]
    assert keys(ports.bucket, "inbox") == []


def test_an_item_named_by_its_folder_stays_with_its_set(ports: Ports, tmp_path: Path) -> None:
    artist = new_artist(ports)
    drop(ports, "nova", {"My Album/Sets/2024/song.als": als(90)})
    take_in_live_sets(ports, "nova")
    [before] = items(ports).values()
    assert before["item_key"] == "2024/song"
    _lay(tmp_path, "My Album/", _DEEP)
    assert _keys_after(ports, [tmp_path / "My Album"]) == ["2024/song"]
    [after] = items(ports).values()
    assert (after["id"], after["project_name"]) == (before["id"], "2024")
    assert after["parse_id"] != before["parse_id"]
    other = _lay(tmp_path / "elsewhere", "Other Album/", "Other Album/Sets/2024/song.als")
    (other / "Other Album/Sets/2024/song.als").write_bytes(als(91))
    assert _keys_after(ports, [other / "Other Album"]) == ["2024/song", "Other Album/song"]
    assert len(rows(ports, "select * from als_summaries where artist_id = %s", artist.id)) == 3


def test_an_item_of_before_the_pipeline_stays_the_sets(ports: Ports, tmp_path: Path) -> None:
    artist = new_artist(ports)
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into als_summaries (artist_id, project_name, als_filename, parse_id, summary) "
            "values (%s, '2024', 'song.als', 'p', '{}')",
            [artist.id],
        )
    take_in_live_sets(ports, "nova")
    _lay(tmp_path, "My Album/", _DEEP)
    assert _keys_after(ports, [tmp_path / "My Album"]) == ["2024/song"]


def test_a_drop_of_another_program_shows_projects_by_their_marks(ports: Ports) -> None:
    new_artist(ports)
    mark = f"My Album/{PROJECT_MARK}/Project10_1.cfg"
    drop(ports, "nova", {mark: b"x", "My Album/Sets/2024/song.als": als(90)})
    report = take_in_live_sets(ports, "nova")
    assert (list(items(ports)), [name for name, _ in report.rejected]) == (["My Album/song"], ["Project10_1.cfg"])


def test_an_upload_in_parts_shows_projects_by_the_skipped_names(ports: Ports) -> None:
    artist: Artist = new_artist(ports)
    live_set = als(90)
    given = [GivenFile(f"My Album/{PROJECT_MARK}/x.cfg", 3), GivenFile("My Album/Sets/2024/song.als", len(live_set))]
    begun = part_uploads.begin(ports, artist, "inbox", given)
    part_uploads.receive(ports.settings, artist, begun.id, 2, 0, live_set)
    part_uploads.settle(ports.settings, artist, begun.id, 2)
    part_uploads.complete(ports, artist, begun.id)
    take_in_live_sets(ports, "nova")
    assert list(items(ports)) == ["My Album/song"]


@pytest.mark.parametrize(
    "note",
    [
        b"\xff",
        b"[]",
        b'{"projects": 1}',
        b"[" * 100_000,
        b'{"projects": {"Sets/song.als": "a/b", "x": 1}}',
        json.dumps({"projects": {"Sets/song.als": "x" * 256}}).encode(),
        json.dumps({"projects": {"Sets/song.als": "a\nb"}}).encode(),
        json.dumps({"projects": {"Sets/song.als": "\ud800"}}).encode(),
    ],
)
def test_an_unusable_closing_note_blocks_nothing(ports: Ports, note: bytes) -> None:
    new_artist(ports)
    upload_id = drop(ports, "nova", {"Sets/song.als": als()})
    ports.bucket.put(complete_key("nova", upload_id), note)
    take_in_live_sets(ports, "nova")
    assert (list(items(ports)), keys(ports.bucket, "inbox")) == (["Sets/song"], [])


def test_an_upload_whose_names_suffice_closes_with_an_empty_note(ports: Ports, tmp_path: Path) -> None:
    _lay(tmp_path, "Song Project/", "Song Project/song.als", "Song Project/song.wav", "B/", "B/C/b.als")
    for paths, note in (([tmp_path / "Song Project"], b""), ([tmp_path / "B"], b'{"projects": {"B/C/b.als": "B"}}')):
        receipt = upload(ports, "Nova", paths)
        assert content(ports.bucket, complete_key("nova", receipt.upload_id)) == note


_PART = st.sampled_from(["a", "b Project", "c", PROJECT_MARK, "d.als"])


@given(st.lists(st.lists(_PART, min_size=1, max_size=5).map("/".join), max_size=6))
@settings(deadline=None)
def test_names_tell_what_the_disk_tells(names: list[str]) -> None:
    found = projects_by_name(names)
    for name in names:
        *folders, _ = name.split("/")
        above = ["/".join(folders[:depth]) for depth in range(len(folders), 0, -1)]
        marked = [each for each in above if any(other.startswith(f"{each}/{PROJECT_MARK}/") for other in names)]
        ending = [each for each in above[:2] if each.endswith(" Project")]
        assert found.get(name, "") == next(iter([*marked, *ending]), "").rpartition("/")[2]
    assert closing_note(found, names) == b""


def test_a_path_with_steps_up_lies_where_it_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _lay(tmp_path, "One/", "One/here/x.als", "Two/song.als")
    monkeypatch.chdir(tmp_path / "One" / "here")
    assert project_folder(Path("../../Two/song.als")) is None
    assert project_folder(Path("x.als")) == tmp_path / "One"
    assert project_name(Path("/x/Cafe\u0301\n")) == "Café?"
    assert project_name(None) == ""
