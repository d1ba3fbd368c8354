"""What every bucket must do, whichever implementation stands behind the port."""

import io
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from resources.bucket.base import Bucket
from resources.bucket.keys import decode_key
from resources.errors import BucketError, InvalidKeyError, ObjectNotFoundError

_ANY_CALL = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["folder", "supabase"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    if request.param == "folder":
        from resources.bucket.folder import FolderBucket

        return FolderBucket(tmp_path / "a bucket")

    from resources.bucket.supabase import SupabaseBucket

    server = request.getfixturevalue("storage_server")
    return SupabaseBucket(server.url, server.secret_key, resume_folder=tmp_path / "uploads")


def _read(bucket: Bucket, key: str) -> bytes:
    with bucket.open(key) as stream:
        return stream.read()


def _keys(bucket: Bucket, prefix: str = "") -> list[str]:
    return [stored.key for stored in bucket.list(prefix)]


def test_writing_can_be_tried_and_leaves_nothing(bucket: Bucket, tmp_path: Path) -> None:
    bucket.try_writing()
    assert _keys(bucket) == []
    assert not (tmp_path / "a bucket").exists()
    bucket.put("a/b", b"kept")
    bucket.try_writing()
    assert _keys(bucket) == ["a/b"]


def test_what_is_put_can_be_read_from_bytes_files_and_streams(bucket: Bucket, tmp_path: Path) -> None:
    file = tmp_path / "in.bin"
    file.write_bytes(b"file")
    bucket.put("a/bytes", b"bytes")
    bucket.put("a/file", file)
    bucket.put("a/stream", io.BytesIO(b"stream"))
    assert [_read(bucket, f"a/{name}") for name in ("bytes", "file", "stream")] == [b"bytes", b"file", b"stream"]


def test_a_file_that_nobody_needs_any_more_is_put_whole(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a/b", b"old")
    for content in (b"new" * 100_000, b"newer"):
        file = tmp_path / "given.bin"
        file.write_bytes(content)
        bucket.put("a/b", file, consume=True)
        assert _read(bucket, "a/b") == content
    link = tmp_path / "link"
    (tmp_path / "kept.bin").write_bytes(b"kept")
    link.symlink_to(tmp_path / "kept.bin")
    bucket.put("a/b", link, consume=True)
    assert (_read(bucket, "a/b"), (tmp_path / "kept.bin").read_bytes()) == (b"kept", b"kept")
    assert _keys(bucket) == ["a/b"]


def test_a_put_leaves_open_readers_their_old_bytes(bucket: Bucket) -> None:
    bucket.put("a", b"old" * 100_000)
    with bucket.open("a") as stream:
        begun = stream.read(3)
        bucket.put("a", b"new")
        assert begun + stream.read() == b"old" * 100_000
    assert _read(bucket, "a") == b"new"


def test_stat_tells_size_and_time_and_none_where_nothing_is(bucket: Bucket) -> None:
    bucket.put("a/b", b"12345")
    stored = bucket.stat("a/b")
    assert stored is not None
    assert (stored.key, stored.size) == ("a/b", 5)
    assert abs(stored.modified - datetime.now(UTC)) < timedelta(minutes=1)
    assert bucket.stat("a") is None
    assert bucket.stat("a/b/c") is None


def test_fetch_writes_the_whole_file_and_makes_its_folder(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a", b"x" * 3_000_000)
    bucket.fetch("a", tmp_path / "deep" / "er" / "out.bin")
    assert (tmp_path / "deep" / "er" / "out.bin").read_bytes() == b"x" * 3_000_000
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["out.bin"]


def test_an_object_that_is_not_there_is_named(bucket: Bucket, tmp_path: Path) -> None:
    calls = (
        lambda: _read(bucket, "no/such"),
        lambda: bucket.fetch("no/such", tmp_path / "x"),
        lambda: bucket.copy("no/such", "b"),
        lambda: bucket.sign("no/such"),
    )
    for call in calls:
        with pytest.raises(ObjectNotFoundError, match="no/such"):
            call()
    assert _keys(bucket) == []
    assert not (tmp_path / "x").exists()


def test_list_gives_what_is_below_a_folder_in_key_order(bucket: Bucket) -> None:
    keys = ["a/b/c", "a/b.txt", "a/b-1", "a/b c", "ab", "a/ä", "a/z/=", "a/b/c0", "z"]
    for key in keys:
        bucket.put(key, b"")
    assert _keys(bucket) == sorted(keys)
    below = sorted(key for key in keys if key.startswith("a/"))
    assert _keys(bucket, "a") == _keys(bucket, "a/") == below
    assert _keys(bucket, "a/b") == ["a/b/c", "a/b/c0"]
    assert _keys(bucket, "nowhere") == _keys(bucket, "ab") == []


def test_copy_replaces_its_target_and_leaves_the_source(bucket: Bucket) -> None:
    bucket.put("a", b"1")
    bucket.put("b/c", b"2")
    bucket.copy("a", "b/c")
    assert (_read(bucket, "a"), _read(bucket, "b/c")) == (b"1", b"1")


def test_delete_ignores_missing_keys_and_leaves_the_rest(bucket: Bucket) -> None:
    for key in ("a/1", "a/2", "b/c/d"):
        bucket.put(key, b"")
    bucket.delete(["a/1", "a/none", "b/c/d", "b"])
    assert _keys(bucket) == ["a/2"]


def test_a_signed_url_works_for_a_name_that_needs_quoting(bucket: Bucket) -> None:
    bucket.put("a b/50% #1?.txt", b"there")
    with urlopen(bucket.sign("a b/50% #1?.txt")) as response:
        assert response.read() == b"there"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../x",
        "a/../b",
        "a/./b",
        "a\0b",
        "\0",
        "a/" + "x" * 1100,
        "ä" * 200,
        "\ud800",
    ],
)
def test_an_invalid_key_is_refused_by_every_method(bucket: Bucket, tmp_path: Path, key: str) -> None:
    calls = [
        lambda: bucket.put(key, b""),
        lambda: _read(bucket, key),
        lambda: bucket.fetch(key, tmp_path / "x"),
        lambda: bucket.stat(key),
        lambda: bucket.copy(key, "b"),
        lambda: bucket.copy("b", key),
        lambda: bucket.delete([key]),
        lambda: bucket.sign(key),
    ]
    bucket.put("b", b"")
    for call in calls:
        with pytest.raises(InvalidKeyError):
            call()
    if key.strip("/"):
        with pytest.raises(InvalidKeyError):
            _keys(bucket, f"{key}/x")


_SEGMENT = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda segment: segment not in (".", "..")
)


@given(segments=st.lists(_SEGMENT, min_size=1, max_size=3))
@example(segments=["=", "=C3=A4", "=tmp"])
@example(segments=["=tmp", "x"])
@example(segments=["ä" * 160])
@example(segments=["あ" * 50, "い" * 55])
@example(segments=["back\\slash", "new\nline", "~"])
@_ANY_CALL
def test_any_unicode_key_is_stored_and_listed_as_it_was_given(bucket: Bucket, segments: list[str]) -> None:
    key = "/".join(segments)
    bucket.put(key, key.encode())
    assert _read(bucket, key) == key.encode()
    assert _keys(bucket) == [key]
    bucket.delete([key])
    assert _keys(bucket) == []


def test_an_object_named_by_others_is_like_any_other(bucket: Bucket, tmp_path: Path) -> None:
    key = decode_key("inbox/My=Upload/Lost=Name.als")
    bucket.put(key, b"theirs")  # as it would be stored by whoever does not encode
    bucket.put("inbox/My=Upload/ours", b"ours")
    assert _keys(bucket, "inbox") == ["inbox/My=Upload/ours", key]
    assert _read(bucket, key) == b"theirs"
    bucket.copy(key, "taken")
    bucket.fetch(key, tmp_path / "fetched")
    assert _read(bucket, "taken") == (tmp_path / "fetched").read_bytes() == b"theirs"
    stored = bucket.stat(key)
    assert stored is not None
    assert (stored.key, stored.size) == (key, 6)
    bucket.delete([key])
    assert _keys(bucket, "inbox") == ["inbox/My=Upload/ours"]


def test_long_and_short_names_are_listed_in_key_order(bucket: Bucket) -> None:
    keys = ["a" * 240, "a" * 240 + "/ x", "a" * 240 + " y", "a" * 241 + "/b", "a" * 300, "a" * 500 + "/c"]
    for key in keys[1:]:
        bucket.put(key, b"")
    assert _keys(bucket) == sorted(keys[1:])
    assert _keys(bucket, "a" * 500) == [keys[-1]]


def test_concurrent_puts_and_deletes_in_a_folder_lose_nothing(bucket: Bucket) -> None:
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            for round_ in range(60):
                bucket.put(f"x/y/z/{number}", bytes([round_]))
                bucket.delete([f"x/y/z/{number}"])
            bucket.put(f"x/y/z/{number}", b"last")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert _keys(bucket) == [f"x/y/z/{number}" for number in range(4)]


def test_a_stream_that_breaks_off_leaves_no_object(bucket: Bucket) -> None:
    class Breaking(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            raise RuntimeError("the sender is gone")

    bucket.put("kept", b"old")
    for key in ("new", "kept"):
        with pytest.raises(RuntimeError):
            bucket.put(key, Breaking())  # type: ignore[arg-type]
    assert _keys(bucket) == ["kept"]
    assert _read(bucket, "kept") == b"old"


def test_a_source_file_that_can_not_be_read_is_named(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(BucketError, match=r"missing\.mp3"):
        bucket.put("a", tmp_path / "missing.mp3")
