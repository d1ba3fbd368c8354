"""What is uploaded of a folder, and what is left out and said."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.intake.file_selection import Selection, select_files, skipped_names
from dawa_assets.intake.kinds import kind_of, loose_stem
from dawa_assets.tables.uploads import Kind
from modal_app.errors import InputError


def _lay(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def _names(gathered: Selection) -> list[str]:
    return [file.name for file in gathered.files]


def test_a_project_folder_gives_sets_and_bounces_not_samples(tmp_path: Path) -> None:
    project = _lay(
        tmp_path / "My Song Project",
        "My Song.als",
        "My Song v2.als",
        "mixdown.wav",
        "mixdown.wav.asd",
        "notes.txt",
        "Ableton Project Info/Project8_1.cfg",
        "Backup/My Song [2024-01-01 120000].als",
        "Samples/Imported/kick.wav",
        "Samples/Recorded/My Song.wav",
        "Bounces/my_song.mp3",
        "Drums/snare.wav",
        "._My Song.als",
        ".DS_Store",
    )
    gathered = select_files([project])
    assert _names(gathered) == [
        f"My Song Project/{name}" for name in ("Bounces/my_song.mp3", "My Song v2.als", "My Song.als", "mixdown.wav")
    ]
    said = dict(gathered.skipped)
    assert "backup" in said["My Song Project/Backup/ (1 files)"]
    assert "samples" in said["My Song Project/Samples/ (2 files)"]
    assert "samples" in said["My Song Project/Drums/snare.wav"]
    assert said["My Song Project/ (2 files)"] in ("hidden", "neither a Live Set nor audio")
    assert not any("My Song.als" in name for name in said)


def test_a_folder_of_bounces_or_of_projects_is_taken_as_it_is(tmp_path: Path) -> None:
    root = _lay(
        tmp_path / "all", "a/a.als", "a/Samples/x.wav", "b/b.als", "b/b.flac", "bounces/one.mp3", "Samples/two.WAV"
    )
    assert _names(select_files([root])) == [
        f"all/{name}" for name in ("Samples/two.WAV", "a/a.als", "b/b.als", "b/b.flac", "bounces/one.mp3")
    ]


def test_a_backup_or_a_sample_that_is_named_itself_is_taken(tmp_path: Path) -> None:
    root = _lay(tmp_path / "p", "p.als", "Backup/p [1].als", "Samples/kick.wav")
    assert _names(select_files([root / "Backup", root / "Samples" / "kick.wav"])) == ["Backup/p [1].als", "kick.wav"]


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    _lay(tmp_path, "a/song.mp3", "b/song.mp3", "c/Song/s.als", "d/Song/s.als")
    gathered = select_files(
        [tmp_path / "a/song.mp3", tmp_path / "b/song.mp3", tmp_path / "c/Song", tmp_path / "d/Song"]
    )
    assert _names(gathered) == ["song.mp3", "again/song.mp3", "Song/s.als", "Song (2)/s.als"]


def test_the_same_file_named_twice_is_taken_once(tmp_path: Path) -> None:
    _lay(tmp_path / "x", "a.mp3")
    assert _names(select_files([tmp_path / "x" / "a.mp3", tmp_path / "x"])) == ["a.mp3"]


def test_links_are_followed_but_a_loop_ends(tmp_path: Path) -> None:
    root = _lay(tmp_path / "root", "in/a.mp3")
    _lay(tmp_path / "elsewhere", "b.mp3")
    (root / "in" / "loop").symlink_to(root)
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "broken.mp3").symlink_to(tmp_path / "nothing")
    gathered = select_files([root])
    assert _names(gathered) == ["root/in/a.mp3", "root/linked/b.mp3"]
    said = dict(gathered.skipped)
    assert "link" in said["root/in/loop/"]
    assert "broken link" in said["root/broken.mp3"]


def test_what_is_no_regular_file_is_left_out(tmp_path: Path) -> None:
    root = _lay(tmp_path / "root", "a.mp3")
    os.mkfifo(root / "pipe.wav")
    gathered = select_files([root])
    assert _names(gathered) == ["root/a.mp3"]
    assert "pipe" in dict(gathered.skipped)["root/pipe.wav"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    root = _lay(tmp_path / "root", "a.mp3", "b.mp3", "closed/c.mp3")
    (root / "a.mp3").chmod(0)
    (root / "closed").chmod(0)
    try:
        gathered = select_files([root])
    finally:
        (root / "closed").chmod(0o700)
    assert _names(gathered) == ["root/b.mp3"]
    assert "denied" in dict(gathered.skipped)["root/a.mp3"].lower()
    assert "denied" in dict(gathered.skipped)["root/closed/"].lower()


def test_names_that_can_not_be_shown_are_left_out(tmp_path: Path) -> None:
    root = _lay(tmp_path / "root", "ok.mp3", "new\nline.mp3")
    (root / os.fsdecode(b"latin\xe4.mp3")).write_bytes(b"")
    gathered = select_files([root])
    assert _names(gathered) == ["root/ok.mp3"]
    assert all(name.isprintable() for name, _ in gathered.skipped)


def test_a_path_that_leads_to_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        select_files([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.als", Kind.LIVE_SET),
        ("A.ALS", Kind.LIVE_SET),
        ("._a.als", Kind.OTHER),
        (".als", Kind.OTHER),
        ("a.als.asd", Kind.OTHER),
        ("b.Mp3", Kind.AUDIO),
        ("b.aiff", Kind.AUDIO),
        ("b", Kind.OTHER),
    ],
)
def test_a_files_kind_is_told_by_its_name(name: str, kind: Kind) -> None:
    assert kind_of(name) is kind


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("My Song.als", "my_song.mp3"),
        ("my-song.als", "MYSONG.wav"),
        ("Trä ck.als", "TRÄCK.wav"),
        ("Stra\u00dfe.als", "STRASSE.wav"),
        ("mix.final.als", "Mix.Final.flac"),
    ],
)
def test_stems_are_compared_without_case_blanks_and_dashes(one: str, other: str) -> None:
    assert loose_stem(one) == loose_stem(other)


@given(name=st.text(st.characters(exclude_characters="/\0."), min_size=1, max_size=20), blanks=st.sampled_from(" _-"))
def test_a_loose_stem_does_not_change_with_case_or_blanks(name: str, blanks: str) -> None:
    assert loose_stem(f"{name}.als") == loose_stem(f"{blanks}{name.casefold()}{blanks}.mp3")


def test_names_alone_are_chosen_as_the_files_themselves_are(tmp_path: Path) -> None:
    names = [
        "Set Project/Set.als",
        "Set Project/Set.wav",
        "Set Project/other.wav",
        "Set Project/notes.txt",
        "Set Project/.hidden.wav",
        "Set Project/Backup/Set [2026].als",
        "Set Project/Samples/Recorded/kick.wav",
        "Set Project/Ableton Project Info/x.cfg",
        "Set Project/Bounces/set.mp3",
        "Set Project/Bounces/kick.mp3",
        "Set Project/Deep/Samples/set.wav",
        "Plain/Samples/a.wav",
        "Plain/b.wav",
        "Marked/Ableton Project Info/x.cfg",
        "Marked/Samples/c.wav",
        "Marked/d.wav",
        "Marked/Sets/2024/deep.als",
        "Marked/Mixes/Deep.mp3",
        "Marked/Mixes/other.mp3",
        "Marked/Sets/Bounces/deep.wav",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    gathered = select_files([tmp_path / folder for folder in ("Set Project", "Plain", "Marked")])
    assert set(names) - set(skipped_names(names)) == {file.name for file in gathered.files}
    assert {"Marked/Mixes/Deep.mp3", "Marked/Sets/Bounces/deep.wav"} <= {file.name for file in gathered.files}
    assert "Marked/Mixes/other.mp3" in skipped_names(names)
    assert skipped_names(["a.wav", "b.als", "c.exe"]) == {"c.exe": "neither a Live Set nor audio"}
