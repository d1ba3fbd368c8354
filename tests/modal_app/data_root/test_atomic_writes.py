from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stat import S_IMODE

import pytest

from modal_app.data_root.atomic_writes import atomic_path, create_atomic, read_or_create, scratch_path, write_atomic


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomic(target, "a first text, ä")
    with target.open("rb") as earlier:
        write_atomic(target, b"bytes")
        assert earlier.read().decode() == "a first text, ä"
    assert target.read_bytes() == b"bytes"
    assert _names(tmp_path) == ["file"]


def _write_half(path: Path) -> None:
    path.write_text("half of it")
    raise ZeroDivisionError


@pytest.mark.parametrize("in_scratch", [False, True])
def test_an_error_leaves_the_earlier_file_and_nothing_else(tmp_path: Path, in_scratch: bool) -> None:
    target = tmp_path / "file.wav"
    target.write_text("earlier")
    writing = scratch_path(target, tmp_path / "scratch") if in_scratch else atomic_path(target)
    with pytest.raises(ZeroDivisionError), writing as fresh:
        _write_half(fresh)
    assert target.read_text() == "earlier"
    assert _names(tmp_path) == ["file.wav"]


def test_a_scratch_path_keeps_the_suffix_and_takes_links(tmp_path: Path) -> None:
    target = tmp_path / "view.d"
    target.symlink_to("old")
    with scratch_path(target, tmp_path / "scratch") as link:
        assert link.name == "view.d"
        link.symlink_to("new")
    assert target.readlink() == Path("new")


def test_the_temporary_file_may_lie_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "apart").mkdir()
    with atomic_path(tmp_path / "file", tmp_path / "apart") as fresh:
        fresh.write_text("x")
        assert fresh.parent == tmp_path / "apart"
    assert _names(tmp_path) == ["file"]


def test_a_folder_that_is_gone_does_not_come_back(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "gone" / "file", "x")
    with pytest.raises(FileNotFoundError):
        create_atomic(tmp_path / "gone" / "file", "x")
    assert not (tmp_path / "gone").exists()


def test_of_several_that_create_a_file_one_succeeds(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda number: create_atomic(tmp_path / "file", str(number), mode=0o600), range(40)))
    assert done.count(True) == 1
    assert (tmp_path / "file").read_text() == str(done.index(True))
    assert S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert _names(tmp_path) == ["file"]


def test_all_who_need_a_file_read_what_one_of_them_made(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda number: read_or_create(file, str(number).encode, mode=0o600), range(40)))
    assert set(read) == {file.read_bytes()}
    assert read_or_create(file, b"another".upper) == read[0]
    assert S_IMODE(file.stat().st_mode) == 0o600
    assert _names(tmp_path) == ["key"]
