"""A mounted bucket as the data root: what containers see of each other, and what a killed one leaves."""

import itertools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.modal_runtime.mounted_bucket import index as of_index
from modal_app.modal_runtime.mounted_bucket.index import Index
from modal_app.modal_runtime.mounted_bucket.mount import Mount
from modal_app.modal_runtime.mounted_bucket.tree import MountStorage
from tests.modal_app.modal_runtime.bucket_guard import as_a_mount


class Killed(BaseException):
    """The container is taken away."""


class DyingMount(Mount):
    """Dies in the middle of the so manieth thing that it does."""

    def __init__(self, folder: Path, lives: int) -> None:
        super().__init__(folder)
        self.lives = lives

    def put(self, key: str, content: Iterable[bytes]) -> None:
        whole = b"".join(content)
        if self._dies():
            super().put(key, [whole[: len(whole) // 2]])
            raise Killed
        super().put(key, [whole])

    def remove(self, key: str) -> None:
        if self._dies():
            raise Killed
        super().remove(key)

    def _dies(self) -> bool:
        self.lives -= 1
        return self.lives < 0


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Path]:
    with as_a_mount(tmp_path / "bucket") as folder:
        yield folder


class Machine:
    """A container with a disk of its own."""

    def __init__(self, root: Path, bucket: Path, mount: Mount | None = None) -> None:
        self.root, self.storage = root, MountStorage(root, mount or Mount(bucket))
        self.storage.refresh()

    def write(self, path: str, content: str) -> None:
        """As the worker does: whole or not at all."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.root / "scratch" / "new"
        temporary.parent.mkdir(exist_ok=True)
        temporary.write_text(content)
        temporary.replace(target)

    def files(self) -> dict[str, str]:
        found = {}
        for parent, folders, files in os.walk(self.root):
            if "scratch" in folders:
                folders.remove("scratch")
            for path in (Path(parent) / name for name in files):
                found[path.relative_to(self.root).as_posix()] = path.read_text()
        return found


@pytest.fixture
def machines(bucket: Path, tmp_path: Path) -> Iterator[Machine]:
    """New containers, as many as are asked for."""
    return (Machine(tmp_path / f"disk-{number}", bucket) for number in itertools.count())


def objects(bucket: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in bucket.glob("files/**/*") if path.is_file()}


@pytest.mark.usefixtures("bucket")
def test_the_guard_refuses_what_a_mount_has_not(bucket: Path, tmp_path: Path) -> None:
    Mount(bucket).put("files/a", [b"x"])
    (tmp_path / "way").symlink_to(bucket / "files" / "a")
    for forbidden in (
        lambda: (bucket / "files" / "a").rename(tmp_path / "b"),
        lambda: (bucket / "files" / "a").open("ab"),
        lambda: (tmp_path / "way").write_text("y"),
        lambda: (bucket / "files" / "b").symlink_to("a"),
        lambda: os.link(bucket / "files" / "a", tmp_path / "b"),
        lambda: shutil.move(tmp_path / "way", bucket / "files" / "c"),
    ):
        with pytest.raises(PermissionError):
            forbidden()
    with pytest.raises(FileExistsError):
        Mount(bucket).put("files/a", [b"y"])


def test_commits_of_one_container_are_seen_by_the_others(machines: Iterator[Machine]) -> None:
    first, second = next(machines), next(machines)
    first.write("cache/a/seg.wav", "sound" * 1000)
    first.write("training_data/.versions/p/one/audio/s.wav", "one")
    (first.root / "training_data" / "p").symlink_to(".versions/p/one")
    second.storage.refresh()
    assert second.files() == {}  # it is not committed

    first.storage.commit()
    second.storage.refresh()
    assert second.files() == first.files()
    assert (second.root / "cache/a/seg.wav").is_symlink()
    assert (second.root / "training_data/p/audio/s.wav").read_text() == "one"

    second.write("training_data/.versions/p/two/audio/s.wav", "two")
    (second.root / "new").symlink_to(".versions/p/two")
    (second.root / "new").replace(second.root / "training_data" / "p")
    shutil.rmtree(second.root / "training_data/.versions/p/one")
    second.storage.commit()
    first.storage.refresh()
    assert (first.root / "training_data/p/audio/s.wav").read_text() == "two"
    assert not (first.root / "training_data/.versions/p/one").exists()
    assert next(machines).files() == first.files() == second.files()


def test_linked_files_and_moved_folders_are_separate_files(machines: Iterator[Machine]) -> None:
    first, second = next(machines), next(machines)
    first.write("cache/a/seg.wav", "sound")
    first.storage.commit()
    second.storage.refresh()
    (second.root / "view").mkdir()
    os.link(second.root / "cache/a/seg.wav", second.root / "view/seg.wav", follow_symlinks=False)
    (second.root / "cache/a").rename(second.root / "cache/b")
    second.storage.commit()

    assert next(machines).files() == {"view/seg.wav": "sound", "cache/b/seg.wav": "sound"}


def test_a_log_goes_on_where_it_was_once_it_is_brought_here(machines: Iterator[Machine]) -> None:
    first, second = next(machines), next(machines)
    for run in ("r", "rr"):
        first.write(f"runs/{run}/events.jsonl", "one\n")
    first.storage.commit()
    second.storage.refresh()
    second.storage.bring(["runs/r"])
    with (second.root / "runs/r/events.jsonl").open("a") as log:
        log.write("two\n")
        log.flush()
        second.storage.commit()
        log.write("three\n")
    with pytest.raises(PermissionError):
        (second.root / "runs/rr/events.jsonl").open("a")

    assert next(machines).files()["runs/r/events.jsonl"] == "one\ntwo\n"
    second.storage.commit()
    assert next(machines).files()["runs/r/events.jsonl"] == "one\ntwo\nthree\n"


def test_a_kill_during_a_commit_leaves_all_or_nothing(
    machines: Iterator[Machine], bucket: Path, tmp_path: Path
) -> None:
    before = {"loras/a": "old adapter", "models/a/x": "old", "runs/gone": "run"}
    first = next(machines)
    for path, content in before.items():
        first.write(path, content)
    first.storage.commit()
    after = {"loras/a": "new adapter", "models/a/x": "new", "runs/other": "run"}

    seen = []
    for lives in itertools.count():
        shutil.copytree(bucket, tmp_path / f"{lives}" / "bucket")
        with as_a_mount(tmp_path / f"{lives}" / "bucket") as copy:
            dying = DyingMount(copy, 10**6)
            machine = Machine(tmp_path / f"{lives}" / "disk", copy, dying)
            for path, content in after.items():
                machine.write(path, content)
            (machine.root / "runs/gone").unlink()
            dying.lives = lives
            try:
                machine.storage.commit()
            except Killed:
                died = True
            else:
                died = False
            other = Machine(tmp_path / f"{lives}" / "other", copy)
            seen.append(other.files())
            other.write("calls/1/result.json", "after it")
            other.storage.commit()
            assert Machine(tmp_path / f"{lives}" / "third", copy).files() == {
                **seen[-1],
                "calls/1/result.json": "after it",
            }
        if not died:
            break

    assert seen[0] == before
    assert seen[-1] == after
    assert len(seen) > 6
    assert all(state in (before, after) for state in seen)


def test_two_containers_that_commit_at_once_lose_nothing(machines: Iterator[Machine]) -> None:
    both = [next(machines) for _ in range(4)]
    start = threading.Barrier(len(both))

    def work(number: int, machine: Machine) -> None:
        start.wait()
        for turn in range(8):
            machine.write(f"{number}/{turn}", f"{number} {turn}")
            machine.storage.commit()
            if turn % 3 == 2:
                machine.storage.refresh()

    threads = [threading.Thread(target=work, args=each) for each in enumerate(both)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert next(machines).files() == {f"{n}/{turn}": f"{n} {turn}" for n in range(4) for turn in range(8)}


def test_a_commit_keeps_the_order_of_writes_made_meanwhile(machines: Iterator[Machine]) -> None:
    machine, end = next(machines), threading.Event()

    def write_on() -> None:
        for number in itertools.count():
            for name in ("a", "b"):  # `b` is never newer than `a`
                machine.write(f"run/{name}", str(number))
            if end.wait(0.02):
                return

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        for _ in range(10):
            machine.storage.commit()
            files = next(machines).files()
            if "run/b" in files:
                assert int(files["run/a"]) - int(files["run/b"]) in (0, 1)
    finally:
        end.set()
        writer.join()


def test_removed_files_go_at_once_and_replaced_ones_in_a_day(
    machines: Iterator[Machine], bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, reader = next(machines), next(machines)
    first.write("a", "first secret")
    first.write("b", "kept")
    first.storage.commit()
    reader.storage.refresh()
    first.write("a", "second secret")
    first.write("b", "kept anew")
    first.storage.commit()
    assert reader.files() == {"a": "first secret", "b": "kept"}  # it began before

    (first.root / "a").unlink()
    first.storage.commit()
    assert sorted(objects(bucket).values()) == [b"kept", b"kept anew"]

    monkeypatch.setattr(of_index, "_MANY", 0)
    Index(Mount(bucket)).look()
    assert len(objects(bucket)) == 2
    tomorrow = time.time_ns() + 2 * 24 * 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: tomorrow)
    Index(Mount(bucket)).look()
    assert list(objects(bucket).values()) == [b"kept anew"]
    assert next(machines).files() == {"b": "kept anew"}


PATHS = st.sampled_from(["a", "b", "f/a", "f/b", "f/g/a", "h/a"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2), PATHS, st.text("xyz", max_size=3)),
        st.tuples(st.just("remove"), st.integers(0, 2), PATHS),
        st.tuples(st.sampled_from(["commit", "refresh", "replace"]), st.integers(0, 2)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, many=st.sampled_from([1, 3, 64]))
def test_whatever_containers_do_the_last_commit_of_a_path_holds(steps: list[tuple], many: int) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_index, "_MANY", many)
        folder = Path(name)
        with as_a_mount(folder / "bucket") as bucket:
            made = (Machine(folder / f"{number}", bucket) for number in itertools.count())
            here = [next(made) for _ in range(3)]
            local: list[dict[str, str]] = [{}, {}, {}]
            seen: list[dict[str, str]] = [{}, {}, {}]
            committed: dict[str, str] = {}
            written: list[set[str]] = [set(), set(), set()]
            for what, n, *rest in steps:
                if what == "write":
                    here[n].write(rest[0], rest[1])
                    local[n][rest[0]] = rest[1]
                    written[n].add(rest[0])
                elif what == "remove":
                    (here[n].root / rest[0]).unlink(missing_ok=True)
                    local[n].pop(rest[0], None)
                    written[n].discard(rest[0])
                elif what == "commit":
                    here[n].storage.commit()
                    for path in written[n]:
                        committed[path] = local[n][path]
                    for path in seen[n].keys() - local[n].keys():
                        committed.pop(path, None)
                    seen[n], written[n] = dict(local[n]), set()
                elif what == "refresh":
                    here[n].storage.commit()
                    for path in written[n]:
                        committed[path] = local[n][path]
                    for path in seen[n].keys() - local[n].keys():
                        committed.pop(path, None)
                    here[n].storage.refresh()
                    local[n], seen[n], written[n] = dict(committed), dict(committed), set()
                    assert here[n].files() == committed
                else:
                    here[n] = next(made)
                    local[n], seen[n], written[n] = dict(committed), dict(committed), set()
            assert next(made).files() == committed
