"""Names of a hosted bucket's objects: kept whole, listed as others gave them, refused in one line, opened by links."""

import json
import re
import urllib.error
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from resources.bucket.keys import decode_key, plain_name
from resources.bucket.supabase import SupabaseBucket
from resources.errors import InvalidKeyError, ObjectNotFoundError
from tests.fakes.storage.storage_server import StorageServer
from tests.resources.bucket.conftest import one_line, read_whole


@pytest.mark.parametrize(
    "name",
    [
        "My Träck (v2) – final.als",
        "夜の曲.wav",
        "🎛️ live.als",
        "x" * 196 + ".als",
        "ä b" * 66,
        "50% #1?.mp3",
        "a%2Fb%2e.txt",
    ],
)
def test_names_people_give_are_kept_whole(supabase: SupabaseBucket, tmp_path: Path, name: str) -> None:
    key = f"inbox/nova/{name}"
    supabase.put(key, name.encode())
    supabase.copy(key, f"artists/nova/{name}")
    supabase.fetch(f"artists/nova/{name}", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == name.encode()
    assert [stored.key for stored in supabase.list("artists/nova")] == [f"artists/nova/{name}"]
    with urlopen(supabase.sign(key)) as response:
        assert response.read() == name.encode()


def test_objects_named_by_others_are_listed_and_read(storage_server: StorageServer, supabase: SupabaseBucket) -> None:
    supabase.put("a", b"theirs")
    storage_server.state.copy("dawa-exports", "a", "foreign=name", upsert=False)
    assert [plain_name(stored.key) for stored in supabase.list()] == ["a", "foreign=name"]
    assert read_whole(supabase, decode_key("foreign=name")) == b"theirs"


def test_names_invalid_in_storage_are_left_out_with_a_warning(
    storage_server: StorageServer,
    supabase: SupabaseBucket,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.fakes.storage.storage_state.VALID_KEY", re.compile(".+"))
    supabase.put("a", b"")
    storage_server.state.copy("dawa-exports", "a", "foreign~name", upsert=False)
    assert [stored.key for stored in supabase.list()] == ["a"]
    assert "foreign~name" in caplog.text


def test_a_key_that_storage_does_not_take_is_an_invalid_one(
    supabase: SupabaseBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    supabase.put("a", b"")
    monkeypatch.setattr("tests.fakes.storage.storage_state.VALID_KEY", re.compile("[a-z]+"))
    for call in (lambda: supabase.put("B", b""), lambda: supabase.copy("a", "B")):
        with pytest.raises(InvalidKeyError) as raised:
            call()
        one_line(raised.value)


_ODD_NAMES = ["what?.wav", "a?b=c&d.als", "1+1,2;3:4@5$6!.txt", "100% ?.txt", "a#b?c.wav", "%3F.wav", "ü?.wav"]


@pytest.mark.parametrize("name", _ODD_NAMES)
def test_a_signed_link_opens_an_object_of_any_name(supabase: SupabaseBucket, name: str) -> None:
    supabase.put(f"artists/a b/{name}", name.encode())
    with urlopen(supabase.sign(f"artists/a b/{name}")) as answer:
        assert answer.read() == name.encode()


def test_the_servers_call_for_one_link_signs_a_wrong_path(
    storage_server: StorageServer, supabase: SupabaseBucket
) -> None:
    """The trap itself, as the server has it: a link that its own call for one object gives to `a?b` opens nothing."""
    supabase.put("a?b", b"1")
    request = Request(
        f"{storage_server.url}/storage/v1/object/sign/dawa-exports/a%3Fb",
        data=b'{"expiresIn": 60}',
        headers={"Authorization": f"Bearer {storage_server.secret_key}", "Content-Type": "application/json"},
    )
    with urlopen(request) as answer:
        token = json.load(answer)["signedURL"].rpartition("token=")[2]
    with pytest.raises(urllib.error.HTTPError):
        urlopen(f"{storage_server.url}/storage/v1/object/sign/dawa-exports/a%3Fb?token={token}")


def test_a_link_to_nothing_is_no_link(supabase: SupabaseBucket) -> None:
    supabase.put("a", b"1")
    with pytest.raises(ObjectNotFoundError, match="no such object"):
        supabase.sign("b?c")


@pytest.mark.parametrize("size", [10, 7 * 2**20], ids=["whole", "in parts"])
def test_a_key_part_too_long_for_the_server_is_an_invalid_key(
    storage_server: StorageServer, supabase: SupabaseBucket, size: int
) -> None:
    storage_server.state.longest_segment = 255
    supabase.put(f"a/{'n' * 255}", b"1" * size)
    storage_server.calls.clear()
    with pytest.raises(InvalidKeyError, match="255 bytes"):
        supabase.put(f"a/{'ü' * 60}", b"1" * size)  # six bytes each as it is stored
    assert len(storage_server.called("POST")) == 1, "nothing is tried again that can't work"
