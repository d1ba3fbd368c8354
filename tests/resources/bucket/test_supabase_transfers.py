"""Large objects in and out of a hosted bucket: cut, resumed, replaced on the way, and never whole in memory."""

import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.bucket.supabase import SupabaseBucket
from resources.errors import BucketError, ObjectNotFoundError
from tests.fakes.storage.storage_server import StorageServer

_Open = Callable[..., SupabaseBucket]
_MIB = 2**20
_LENGTH = 20 * _MIB + 12_345


@pytest.fixture(scope="module")
def content() -> bytes:
    """Bytes that go up in four parts; no two parts are the same."""
    return os.urandom(_LENGTH)


def _stored(server: StorageServer, name: str) -> bytes:
    return server.state.object("dawa-exports", name).path.read_bytes()


def _sent_up(server: StorageServer) -> int:
    return sum(call.received for call in server.called("PATCH"))


def _cut_at(server: StorageServer, position: int, times: int = 1) -> None:
    """Break the connection when so many bytes of an upload have come, and at every further try."""
    part = 6 * _MIB
    server.fail(method="PATCH", skip=position // part, cut_request_after=position % part)
    if times > 1:
        server.fail(method="PATCH", skip=position // part, cut_request_after=0, times=times - 1)


def test_small_files_go_up_in_one_call_and_larger_ones_in_parts(
    storage_server: StorageServer, supabase: SupabaseBucket, content: bytes
) -> None:
    for size in (6 * _MIB, 6 * _MIB + 1):
        supabase.put("a/b.zip", content[:size])
        assert _stored(storage_server, "a/b.zip") == content[:size]
    assert len(storage_server.called("POST", "^/object/dawa-exports/a/b.zip")) == 1
    assert [call.received for call in storage_server.called("PATCH")] == [6 * _MIB, 1]
    assert storage_server.state.object("dawa-exports", "a/b.zip").mimetype == "application/zip"


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_an_upload_that_is_cut_goes_on_where_it_was_cut(
    storage_server: StorageServer, supabase: SupabaseBucket, content: bytes, tmp_path: Path, share: float
) -> None:
    _cut_at(storage_server, int(_LENGTH * share))
    supabase.put("a", content)
    assert _stored(storage_server, "a") == content
    assert _sent_up(storage_server) == _LENGTH, "no byte went up twice"
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_an_upload_that_was_given_up_is_resumed_by_the_next_put(
    storage_server: StorageServer, open_supabase: _Open, content: bytes, tmp_path: Path, share: float
) -> None:
    open_supabase().put("a", b"old")
    source = tmp_path / "source"
    source.write_bytes(content)
    _cut_at(storage_server, int(_LENGTH * share), times=100)
    with pytest.raises(BucketError, match="can't be reached"):
        open_supabase().put("a", source)
    assert _stored(storage_server, "a") == b"old"
    storage_server.heal()
    open_supabase().put("a", source)
    assert _stored(storage_server, "a") == content
    assert _sent_up(storage_server) == _LENGTH
    assert list((tmp_path / "uploads").iterdir()) == []


_PUT = """
import sys
from pathlib import Path
from resources.bucket.supabase import SupabaseBucket
url, key, source, folder = sys.argv[1:]
SupabaseBucket(url, key, resume_folder=Path(folder)).put("a", Path(source))
"""


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_an_upload_of_a_killed_process_is_resumed_by_the_next(
    storage_server: StorageServer, content: bytes, tmp_path: Path, share: float
) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    command = [
        *(sys.executable, "-c", _PUT),
        *(storage_server.url, storage_server.secret_key, str(source), str(tmp_path / "uploads")),
    ]
    part = int(_LENGTH * share) // (6 * _MIB)
    storage_server.fail(method="PATCH", skip=part, status=503, delay=60)
    with subprocess.Popen(command) as killed:
        while len(storage_server.called("PATCH")) <= part:
            assert killed.poll() is None
            time.sleep(0.02)
        killed.kill()
    assert "a" not in storage_server.state.bucket("dawa-exports").objects
    subprocess.run(command, check=True)
    assert _stored(storage_server, "a") == content
    assert _sent_up(storage_server) == _LENGTH
    assert list((tmp_path / "uploads").iterdir()) == []


def test_other_bytes_do_not_continue_an_unfinished_upload(
    storage_server: StorageServer, open_supabase: _Open, content: bytes
) -> None:
    _cut_at(storage_server, _LENGTH // 2, times=100)
    with pytest.raises(BucketError):
        open_supabase().put("a", content)
    storage_server.heal()
    other = content[::-1]
    open_supabase().put("a", other)
    assert _stored(storage_server, "a") == other


def test_an_upload_that_the_server_forgot_begins_anew(
    storage_server: StorageServer, open_supabase: _Open, content: bytes
) -> None:
    _cut_at(storage_server, _LENGTH // 2, times=100)
    with pytest.raises(BucketError):
        open_supabase().put("a", content)
    storage_server.heal()
    storage_server.state.uploads.clear()
    open_supabase().put("a", content)
    assert _stored(storage_server, "a") == content
    storage_server.fail(method="PATCH", skip=1, status=410)
    open_supabase().put("a", content)
    assert _stored(storage_server, "a") == content


def test_retries_end_when_the_server_forgets_every_upload(
    storage_server: StorageServer, supabase: SupabaseBucket, content: bytes
) -> None:
    storage_server.fail(method="PATCH", status=404, times=1000)
    with pytest.raises(BucketError, match="forgot"):
        supabase.put("a", content)
    assert len(storage_server.called("PATCH")) == 3


@pytest.mark.parametrize("fault", [{"lose_answer": True}, {"status": 409}, {"status": 423}, {"status": 500}])
@pytest.mark.parametrize("part", range(4))
def test_a_fault_at_any_part_is_got_over(
    storage_server: StorageServer, supabase: SupabaseBucket, content: bytes, fault: dict[str, object], part: int
) -> None:
    storage_server.fail(method="PATCH", skip=part, **fault)
    storage_server.fail(method="HEAD", status=503)
    supabase.put("a", content)
    assert _stored(storage_server, "a") == content
    assert len(storage_server.called("POST", "/upload/resumable$")) == 1


def test_bytes_that_became_no_object_are_uploaded_again(
    storage_server: StorageServer, open_supabase: _Open, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has all bytes, but its database refused the object; it takes no part of that upload again."""
    finish = storage_server.state.finish

    def fail(*_: object, **__: object) -> None:
        monkeypatch.setattr(storage_server.state, "finish", finish)
        raise OSError

    monkeypatch.setattr(storage_server.state, "finish", fail)
    open_supabase().put("a", content)
    assert _stored(storage_server, "a") == content
    assert len(storage_server.called("POST", "/upload/resumable$")) == 2


def test_a_leftover_upload_record_does_not_stand_for_an_object(
    storage_server: StorageServer, open_supabase: _Open, content: bytes, tmp_path: Path
) -> None:
    _cut_at(storage_server, _LENGTH // 2, times=100)
    with pytest.raises(BucketError):
        open_supabase().put("a", content)
    (record,) = (tmp_path / "uploads").iterdir()
    kept = record.read_bytes()
    storage_server.heal()
    open_supabase().put("a", content)
    record.write_bytes(kept)  # as a process leaves it that is killed between the last part and its removal
    open_supabase().put("a", b"other")
    open_supabase().put("a", content)
    assert _stored(storage_server, "a") == content


def test_two_identical_uploads_at_once_do_not_interfere(
    storage_server: StorageServer, open_supabase: _Open, content: bytes, tmp_path: Path
) -> None:
    storage_server.fail(method="PATCH", times=8, delay=0.1)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: open_supabase().put("a", content), range(2)))
    assert _stored(storage_server, "a") == content
    assert list((tmp_path / "uploads").iterdir()) == []


def test_upload_records_the_server_has_forgotten_are_removed(supabase: SupabaseBucket, tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    for name, age in (("old.upload", 90_000), ("young.upload", 1000)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    supabase.put("a", bytes(7 * _MIB))
    assert [path.name for path in folder.iterdir()] == ["young.upload"]


def test_a_stream_that_can_not_be_read_twice_goes_up(
    storage_server: StorageServer, supabase: SupabaseBucket, content: bytes, tmp_path: Path
) -> None:
    class Once(io.RawIOBase):
        def __init__(self) -> None:
            self._rest = io.BytesIO(content)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            return self._rest.readinto(memoryview(buffer)[:70_000])

    _cut_at(storage_server, _LENGTH // 2)
    supabase.put("a", Once())  # type: ignore[arg-type]
    assert _stored(storage_server, "a") == content
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize("size", [1000, 7 * _MIB])
def test_a_stream_goes_up_from_where_it_stands(
    storage_server: StorageServer, supabase: SupabaseBucket, content: bytes, size: int
) -> None:
    stream = io.BytesIO(content[:size])
    stream.seek(100)
    supabase.put("a", stream)
    assert _stored(storage_server, "a") == content[100:size]


@pytest.mark.parametrize("length", [_LENGTH, 1000])
def test_a_file_that_changes_during_upload_becomes_no_object(
    storage_server: StorageServer, supabase: SupabaseBucket, content: bytes, tmp_path: Path, length: int
) -> None:
    source, written = tmp_path / "growing", threading.Event()
    source.write_bytes(content)

    def replace() -> None:
        source.write_bytes(content[: -length - 1 : -1])
        written.set()

    storage_server.fail(method="PATCH", before=replace)
    with pytest.raises(BucketError, match="changed"):
        supabase.put("a", source)
    assert written.wait(60)  # the client gives up at the first byte that is missing
    assert supabase.stat("a") is None
    supabase.put("a", source)
    assert _stored(storage_server, "a") == content[::-1][:length]


def test_an_object_that_is_too_large_for_the_project_is_reported(
    storage_server: StorageServer, supabase: SupabaseBucket, content: bytes, tmp_path: Path
) -> None:
    storage_server.largest_upload = 10 * _MIB
    with pytest.raises(BucketError, match="larger than the project allows") as raised:
        supabase.put("a/b.zip", content)
    assert str(raised.value).startswith("a/b.zip: ")
    assert "\n" not in str(raised.value)
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_download_that_is_cut_goes_on_where_it_was_cut(
    storage_server: StorageServer, supabase: SupabaseBucket, content: bytes, tmp_path: Path, share: float
) -> None:
    supabase.put("a", content)
    for read in (lambda: supabase.fetch("a", tmp_path / "out"), lambda: _read_to(supabase, tmp_path / "out")):
        storage_server.calls.clear()
        storage_server.fail(method="GET", path="^/object/dawa", cut_answer_after=int(_LENGTH * share))
        read()
        assert (tmp_path / "out").read_bytes() == content
        downloads = storage_server.called("GET", "^/object/dawa")
        assert len(downloads) == 2
        assert sum(call.sent for call in downloads) == pytest.approx(_LENGTH, abs=_MIB)


def _read_to(bucket: SupabaseBucket, target: Path) -> None:
    with bucket.open("a") as stream:
        target.write_bytes(stream.read())


def test_two_versions_of_an_object_are_not_spliced(
    storage_server: StorageServer, supabase: SupabaseBucket, content: bytes
) -> None:
    for new in (content[::-1], b"short"):
        supabase.put("a", content)
        storage_server.fail(method="GET", path="^/object/dawa", cut_answer_after=_LENGTH // 2)
        with supabase.open("a") as stream:
            begun = stream.read(_MIB)
            supabase.put("a", new)
            with pytest.raises(BucketError, match="replaced"):
                stream.read()
        assert content.startswith(begun)


def test_a_fetch_whose_object_is_replaced_gets_the_new_one_whole(
    storage_server: StorageServer, supabase: SupabaseBucket, content: bytes, tmp_path: Path
) -> None:
    supabase.put("a", content)
    storage_server.fail(method="GET", path="^/object/dawa", cut_answer_after=_LENGTH // 2)
    # While the call waits that would go on:
    storage_server.fail(method="GET", path="^/object/dawa", before=lambda: supabase.put("a", content[::-1]))
    supabase.fetch("a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content[::-1]


def test_a_fetch_that_fails_leaves_the_file_as_it_was(
    storage_server: StorageServer, supabase: SupabaseBucket, tmp_path: Path
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "out").write_bytes(b"old")
    supabase.put("a", b"1" * _MIB)
    storage_server.fail(method="GET", path="^/object/dawa", cut_answer_after=0, times=100)
    with pytest.raises(BucketError, match="can't be reached"):
        supabase.fetch("a", folder / "out")
    storage_server.heal()
    with pytest.raises(ObjectNotFoundError):
        supabase.fetch("b", folder / "out")
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("out", b"old")]


@pytest.mark.parametrize("fault", [{"cut_request_after": 0}, {"lose_answer": True}, {"status": 500}])
def test_a_copy_that_dies_half_way_leaves_nothing_or_all(
    storage_server: StorageServer, supabase: SupabaseBucket, fault: dict[str, object]
) -> None:
    supabase.put("a", b"whole" * 1000)
    storage_server.fail(method="POST", path="/object/copy", times=100, **fault)
    with pytest.raises(BucketError):
        supabase.copy("a", "b")
    storage_server.heal()
    assert [stored.size for stored in supabase.list() if stored.key == "b"] in ([], [5000])
    supabase.copy("a", "b")
    assert _stored(storage_server, "b") == b"whole" * 1000


_MEASURE = """
import sys
from pathlib import Path
from resources.bucket.supabase import SupabaseBucket
url, key, source, target, folder = sys.argv[1:]
bucket = SupabaseBucket(url, key, resume_folder=Path(folder))
bucket.put("a/large.zip", Path(source))
bucket.fetch("a/large.zip", Path(target))
with open(source, "rb") as file:
    while piece := file.read(5_000_000):
        bucket.put("a/small.bin", piece)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of resident memory")
@pytest.mark.parametrize("size", [130, pytest.param(400, marks=pytest.mark.slow)])  # above the limit, in MB
def test_transfers_of_any_size_use_little_memory(storage_server: StorageServer, tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        for _ in range(size):
            file.write(os.urandom(1_000_000))
    command = [
        *(sys.executable, "-c", _MEASURE),
        *(storage_server.url, storage_server.secret_key),
        *(str(tmp_path / name) for name in ("source", "target", "uploads")),
    ]
    begun = time.monotonic()
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1000
    print(f"{size} MB up and down: {peak:.0f} MB resident at most, {time.monotonic() - begun:.1f} s")  # noqa: T201
    assert peak < 120
    assert _sha256(tmp_path / "target") == _sha256(source)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
