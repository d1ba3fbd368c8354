"""What only the folder behind the port can show: encoded names, links, leftovers of killed writers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.bucket.folder import FolderBucket
from resources.bucket.keys import FOREIGN, decode_key, encode_key, plain_name
from resources.errors import BucketError, InvalidKeyError

# What a Storage server was seen to take, in shared/data/supabase-storage/exchanges.json.
_STORAGE_TAKES = re.compile(r"[\w/!\-.*'() &$@=;:+,?]*", re.ASCII)


@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_an_encoded_key_is_valid_in_storage_and_decodes_back(key: str) -> None:
    try:
        stored = encode_key(key)
    except InvalidKeyError:
        return
    assert _STORAGE_TAKES.fullmatch(stored)
    assert decode_key(stored) == key


def test_names_are_encoded_readably() -> None:
    assert encode_key("inbox/My Träck (v2)!.als") == "inbox/My Tr=C3=A4ck (v2)!.als"
    assert encode_key("a=b") == "a=3Db"


@pytest.mark.parametrize("stored", ["ä", "a~", "a\x00", "", "a//b", "..", "=EF=B7=90/" * 200])
def test_a_name_that_storage_would_not_take_is_no_key(stored: str) -> None:
    with pytest.raises(InvalidKeyError):
        decode_key(stored)


FOREIGN_NAMES = [
    "=",
    "=C3",
    "=c3=a4",
    "=41",
    "=00",
    "=2E=2E",
    "Lost=Name.als",
    "=tmp",
    "a=2Fb",
    "=EF=B7=90Lost=Name.als",
]


@pytest.mark.parametrize("stored", [*FOREIGN_NAMES, "=EF=B7=90a", "=EF=B7=90=EF=B7=90", "=EF=B7=90"])
def test_a_name_that_somebody_else_gave_has_a_key_of_its_own(stored: str) -> None:
    key = decode_key(f"inbox/{stored}/{stored}")
    assert encode_key(key) == f"inbox/{stored}/{stored}"
    assert plain_name(key) == f"inbox/{stored}/{stored}"
    assert key.split("/")[1:] == [f"{FOREIGN}{stored}"] * 2


@given(st.text("aB9=2E./CFD0\ufdd0ä ", max_size=24) | st.from_regex(_STORAGE_TAKES, fullmatch=True))
def test_names_in_storage_and_keys_match_one_to_one(text: str) -> None:
    try:
        key = decode_key(text)
    except InvalidKeyError:
        pass
    else:
        assert encode_key(key) == text
    try:
        stored = encode_key(text)
    except InvalidKeyError:
        return
    assert _STORAGE_TAKES.fullmatch(stored)
    assert decode_key(stored) == text


@pytest.mark.parametrize(
    "key", [f"{FOREIGN}ours", f"{FOREIGN}=3D", f"{FOREIGN}.", FOREIGN, f"{FOREIGN}ä", f"{FOREIGN}=tmp/x"]
)
def test_a_key_that_calls_itself_foreign_and_is_not_is_refused(tmp_path: Path, key: str) -> None:
    bucket = FolderBucket(tmp_path)
    with pytest.raises(InvalidKeyError):
        bucket.put(key, b"")
    with pytest.raises(InvalidKeyError):
        bucket.stat(key)


def test_foreign_files_are_listed_read_copied_and_removed(tmp_path: Path) -> None:
    bucket = FolderBucket(tmp_path)
    bucket.put("ours=", b"1")
    for name in FOREIGN_NAMES:
        (tmp_path / "inbox" / name).mkdir(parents=True)
        (tmp_path / "inbox" / name / name).write_bytes(name.encode())
    (tmp_path / "=tmp").mkdir(exist_ok=True)
    (tmp_path / "=tmp" / "half").write_bytes(b"")
    found = list(bucket.list())
    assert [plain_name(one.key) for one in found] == [
        *sorted(f"inbox/{name}/{name}" for name in FOREIGN_NAMES),
        "ours=",
    ]
    assert [one.key for one in found] == sorted(one.key for one in found)
    for one in found[:-1]:
        with bucket.open(one.key) as stream:
            assert stream.read().decode() == one.key.rpartition(FOREIGN)[2]
        bucket.copy(one.key, "taken")
        assert bucket.stat(one.key) == one
        bucket.delete([one.key])
    assert [one.key for one in bucket.list()] == ["ours=", "taken"]


def test_links_are_neither_followed_nor_listed(tmp_path: Path) -> None:
    bucket = FolderBucket(tmp_path / "bucket")
    bucket.put("real/x", b"1")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"private")
    (tmp_path / "bucket" / "way").symlink_to(secret)
    (tmp_path / "bucket" / "real" / "file").symlink_to(secret / "key")
    assert [stored.key for stored in bucket.list()] == ["real/x"]
    assert list(bucket.list("real")) != []
    for key in ("way/key", "real/file"):
        with pytest.raises(BucketError, match="link"), bucket.open(key):
            pass
    with pytest.raises(BucketError, match="link"):
        bucket.put("way/new", b"")
    with pytest.raises(BucketError, match="link"):
        list(bucket.list("way"))
    assert [path.name for path in secret.iterdir()] == ["key"]


def test_a_bucket_may_itself_lie_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    bucket = FolderBucket(tmp_path / "link" / "bucket")
    bucket.put("a", b"1")
    assert [stored.key for stored in bucket.list()] == ["a"]


def test_deleting_the_last_object_leaves_no_empty_folders(tmp_path: Path) -> None:
    bucket = FolderBucket(tmp_path)
    bucket.put("a/b/c/d", b"")
    bucket.put("a/e", b"")
    bucket.delete(["a/b/c/d"])
    assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "e").exists()


def test_an_object_in_the_way_of_a_folder_is_reported(tmp_path: Path) -> None:
    bucket = FolderBucket(tmp_path)
    bucket.put("a", b"")
    bucket.put("b/c", b"")
    for key in ("a/x", "b"):
        with pytest.raises(BucketError, match="folder"):
            bucket.put(key, b"")


_WRITE_FOREVER = """
import io, sys, time
from pathlib import Path
from resources.bucket.folder import FolderBucket

class Endless(io.RawIOBase):
    def read(self, size=-1):
        print("writing", flush=True)
        time.sleep(0.05)
        return b"x" * 1000

FolderBucket(Path(sys.argv[1])).put("never", Endless())
"""


def test_a_killed_writers_leftovers_are_invisible_and_removed(tmp_path: Path) -> None:
    def writer() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", _WRITE_FOREVER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    with writer() as killed:
        killed.kill()
    assert len(list((tmp_path / "=tmp").iterdir())) == 1
    assert list(FolderBucket(tmp_path).list()) == []
    with writer() as alive:
        FolderBucket(tmp_path).put("a", b"1")
        assert len(list((tmp_path / "=tmp").iterdir())) == 1, "what is being written stays"
        alive.kill()
    FolderBucket(tmp_path).put("b", b"1")
    assert list((tmp_path / "=tmp").iterdir()) == []


def test_files_with_foreign_names_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "Träck.als").write_bytes(b"")
    FolderBucket(tmp_path).put("a", b"")
    assert [stored.key for stored in FolderBucket(tmp_path).list()] == ["a"]
    assert "Träck.als" in caplog.text


def test_files_too_deep_for_a_key_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    deep = tmp_path.joinpath(*["x" * 200] * 6)
    deep.mkdir(parents=True)
    (deep / "a.als").write_bytes(b"")
    FolderBucket(tmp_path).put("z", b"")
    assert [stored.key for stored in FolderBucket(tmp_path).list()] == ["z"]
    assert "limit" in caplog.text
