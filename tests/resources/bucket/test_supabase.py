"""What only a hosted bucket can show: how it is made, keys and addresses, errors in one line, and patience."""

import json
import logging
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest

from modal_app.audio.fetch import fetched
from modal_app.errors import JobError
from modal_app.protocol.audio import AudioSource
from resources.bucket.storage_link import Retries
from resources.bucket.supabase import SupabaseBucket
from resources.errors import BucketError, ObjectNotFoundError, SettingsError
from tests.fakes.storage.storage_server import StorageServer
from tests.resources.bucket.conftest import one_line, read_whole

_Open = Callable[..., SupabaseBucket]


def _calls(bucket: SupabaseBucket, folder: Path) -> dict[str, Callable[[], object]]:
    """One call of each method, for an object `a/b` that is there."""
    return {
        "put": lambda: bucket.put("a/new", b"new"),
        "open": lambda: read_whole(bucket, "a/b"),
        "fetch": lambda: bucket.fetch("a/b", folder / "fetched"),
        "stat": lambda: bucket.stat("a/b"),
        "list": lambda: list(bucket.list("a")),
        "copy": lambda: bucket.copy("a/b", "a/copied"),
        "delete": lambda: bucket.delete(["a/c"]),
        "sign": lambda: bucket.sign("a/b"),
    }


_METHODS = ("put", "open", "fetch", "stat", "list", "copy", "delete", "sign")


def test_the_bucket_is_created_private_on_first_use(storage_server: StorageServer, open_supabase: _Open) -> None:
    bucket = open_supabase()
    assert storage_server.calls == []
    for number in range(3):
        bucket.put(f"a/{number}", b"")
    assert list(bucket.list("nowhere")) == []
    assert not storage_server.state.bucket("dawa-exports").public
    assert len(storage_server.called("POST", "^/bucket$")) == 1
    before = len(storage_server.called("GET", "^/bucket/"))
    open_supabase().put("b", b"")
    assert len(storage_server.called("POST", "^/bucket$")) == 1
    assert len(storage_server.called("GET", "^/bucket/")) == before + 1


def test_many_that_make_the_bucket_at_once_get_one(storage_server: StorageServer, open_supabase: _Open) -> None:
    buckets = [open_supabase() for _ in range(8)]
    storage_server.fail(method="GET", path="^/bucket/", times=8, delay=0.1)  # all see that there is none
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda numbered: numbered[1].put(f"a/{numbered[0]}", b""), enumerate(buckets)))
    assert len(list(buckets[0].list())) == 8


def test_a_public_bucket_is_not_used(storage_server: StorageServer, supabase: SupabaseBucket, tmp_path: Path) -> None:
    storage_server.state.create_bucket("dawa-exports", public=True)
    for method, call in _calls(supabase, tmp_path).items():
        with pytest.raises(BucketError, match="public") as raised:
            call()
        assert "private" in one_line(raised.value), method
    assert storage_server.called("POST") == []


def test_legacy_keys_are_taken_too(storage_server: StorageServer, open_supabase: _Open) -> None:
    open_supabase(storage_server.legacy_key).put("a", b"1")
    assert read_whole(open_supabase(), "a") == b"1"
    sent = {call.headers["apikey"] for call in storage_server.calls}
    assert sent == {storage_server.legacy_key, storage_server.secret_key}


@pytest.mark.parametrize("key", ["", " ", "with space", "naïve", "sb_publishable_x"])
def test_a_key_that_can_not_be_the_secret_one_is_refused_at_once(open_supabase: _Open, key: str) -> None:
    with pytest.raises(SettingsError, match="SUPABASE_SECRET_KEY") as raised:
        open_supabase(key)
    one_line(raised.value, *([key] if key.strip() else []))


def test_the_public_legacy_key_is_told_from_the_secret_one(storage_server: StorageServer, open_supabase: _Open) -> None:
    with pytest.raises(SettingsError, match="public key") as raised:
        open_supabase(storage_server.anon_key)
    one_line(raised.value, storage_server.anon_key)


@pytest.mark.parametrize("which", ["unknown", "forged"])
def test_a_wrong_key_is_reported_in_one_line_by_every_method(
    storage_server: StorageServer, open_supabase: _Open, tmp_path: Path, which: str
) -> None:
    head, body, _ = storage_server.legacy_key.split(".")
    key = {"unknown": "sb_secret_unknown0123", "forged": f"{head}.{body}.AAAA"}[which]
    for method, call in _calls(open_supabase(key), tmp_path).items():
        with pytest.raises(BucketError, match="refuses the key") as raised:
            call()
        assert "SUPABASE_SECRET_KEY" in one_line(raised.value, key), method


@pytest.mark.parametrize(
    "url",
    [
        "",
        "project",
        "ftp://x.supabase.co",
        "https://",
        "https://user:secret@x.supabase.co",
        "https://x.co?apikey=secret",
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="SUPABASE_URL") as raised:
        SupabaseBucket(url, "sb_secret_x", resume_folder=tmp_path)
    one_line(raised.value, "secret")


def test_keys_go_in_the_clear_to_this_machine_only(tmp_path: Path) -> None:
    for host in ("127.0.0.1:1", "localhost:1", "[::1]:1"):
        SupabaseBucket(f"http://{host}", "sb_secret_x", resume_folder=tmp_path)
    for host in ("x.supabase.co", "192.168.1.2", "localhost.example.com"):
        with pytest.raises(SettingsError, match="https"):
            SupabaseBucket(f"http://{host}", "sb_secret_x", resume_folder=tmp_path)


def test_an_address_may_name_storage_itself(storage_server: StorageServer, tmp_path: Path) -> None:
    for end in ("", "/", "/storage/v1", "/storage/v1/"):
        SupabaseBucket(storage_server.url + end, storage_server.secret_key, resume_folder=tmp_path).put("a", b"")


def test_a_host_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    bucket = SupabaseBucket(
        f"http://127.0.0.1:{port}", "sb_secret_x", resume_folder=tmp_path, retries=Retries(first_pause=0.01)
    )
    with pytest.raises(BucketError, match="can't be reached") as raised:
        bucket.stat("a")
    assert f"127.0.0.1:{port}" in one_line(raised.value, "sb_secret_x")


def test_a_redirect_is_not_followed_with_the_key(storage_server: StorageServer, supabase: SupabaseBucket) -> None:
    with StorageServer() as other:
        storage_server.fail(status=307, headers={"location": f"{other.url}/storage/v1/bucket/x"}, times=100)
        with pytest.raises(BucketError, match="307") as raised:
            supabase.put("a", b"")
        one_line(raised.value)
        assert other.calls == []


def test_a_server_that_is_none_of_supabases_is_reported(
    storage_server: StorageServer, supabase: SupabaseBucket
) -> None:
    storage_server.fail(method="GET", path="^/bucket/", status=200)
    with pytest.raises(BucketError, match="check SUPABASE_URL"):
        supabase.put("a", b"")


@pytest.mark.parametrize("method", _METHODS)
def test_every_method_reports_a_deleted_bucket(
    storage_server: StorageServer, supabase: SupabaseBucket, tmp_path: Path, method: str
) -> None:
    supabase.put("a/b", b"1")
    del storage_server.state.buckets["dawa-exports"]
    with pytest.raises(BucketError, match="gone") as raised:
        _calls(supabase, tmp_path)[method]()
    assert not isinstance(raised.value, ObjectNotFoundError)
    assert "dawa-exports" in one_line(raised.value)
    assert not storage_server.state.buckets, "an empty bucket in the place of a lost one would hide the loss"


@pytest.mark.parametrize("fault", ["cut before", "cut after", "500", "503", "429"])
@pytest.mark.parametrize("method", _METHODS)
def test_every_method_survives_a_passing_fault_of_any_call(
    storage_server: StorageServer, open_supabase: _Open, tmp_path: Path, method: str, fault: str
) -> None:
    open_supabase().put("a/b", b"1" * 1000)
    what = {"cut before": {"cut_request_after": 0}, "cut after": {"lose_answer": True}}.get(fault)
    for skip in range(10):
        call = _calls(open_supabase(), tmp_path)[method]
        pending = storage_server.fail(skip=skip, **(what or {"status": int(fault)}))
        call()
        if pending.times:  # the method has no more calls than `skip`
            break
        storage_server.heal()
    assert skip in (2, 3)
    assert read_whole(open_supabase(), "a/b") == b"1" * 1000


def test_tries_are_bounded_and_the_last_answer_is_reported(
    storage_server: StorageServer, supabase: SupabaseBucket
) -> None:
    storage_server.fail(status=503, times=1000)
    with pytest.raises(BucketError, match="503") as raised:
        supabase.stat("a")
    one_line(raised.value)
    assert len(storage_server.calls) == 5


def test_a_server_that_asks_for_patience_gets_it(storage_server: StorageServer, supabase: SupabaseBucket) -> None:
    supabase.put("a", b"1")
    storage_server.fail(status=429, headers={"retry-after": "1"})
    begun = time.monotonic()
    assert supabase.stat("a") is not None
    assert time.monotonic() - begun >= 1
    storage_server.fail(status=429, headers={"retry-after": "3600"})
    with pytest.raises(BucketError, match="429"):  # at once: the hour is not waited for
        supabase.stat("a")


def test_what_can_not_get_better_is_not_tried_again(storage_server: StorageServer, supabase: SupabaseBucket) -> None:
    supabase.put("a", b"1")
    begun = len(storage_server.calls)
    storage_server.fail(status=403, times=100)
    with pytest.raises(BucketError):
        supabase.stat("a")
    assert len(storage_server.calls) == begun + 1


def test_a_paused_project_is_reported(storage_server: StorageServer, supabase: SupabaseBucket) -> None:
    storage_server.fail(status=540, times=100)
    with pytest.raises(BucketError, match="paused; restore it") as raised:
        supabase.put("a", b"")
    one_line(raised.value)
    assert len(storage_server.calls) == 1


def test_an_expired_signed_link_is_reported_without_its_token(
    storage_server: StorageServer, supabase: SupabaseBucket, tmp_path: Path
) -> None:
    supabase.put("a/audio.mp3", b"sound")
    url = supabase.sign("a/audio.mp3", seconds=60)
    token = parse_qs(urlsplit(url).query)["token"][0]
    with urlopen(url) as response:
        assert response.read() == b"sound"
    storage_server.clock = lambda: time.time() + 61
    with pytest.raises(urllib.error.HTTPError) as refused:
        urlopen(url)
    assert json.loads(refused.value.read())["code"] == "InvalidJWT"
    source = AudioSource(url=url, audio_hash="0" * 64, name="audio.mp3")
    with (
        pytest.raises(JobError, match=r"audio\.mp3: the signed link to it has expired") as raised,
        fetched(source, tmp_path),
    ):
        pass
    assert token not in one_line(raised.value)


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_a_key_repeated_by_the_server_is_left_out_of_errors(
    storage_server: StorageServer, supabase: SupabaseBucket, status: int
) -> None:
    message = f"no such\n  key: {storage_server.secret_key} " + "and more " * 100
    storage_server.fail(status=status, message=message, times=100)
    with pytest.raises(BucketError, match="no such key: …") as raised:
        supabase.put("a", b"")
    assert len(one_line(raised.value, storage_server.secret_key)) < 500


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl, which is not here")
def test_a_host_with_a_bad_certificate_gets_no_key(tmp_path: Path) -> None:
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    subprocess.run(["openssl", *made, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with StorageServer(tmp_path, tls=context) as server:
        assert server.url.startswith("https://")
        bucket = SupabaseBucket(server.url, server.secret_key, resume_folder=tmp_path, retries=Retries(first_pause=60))
        with pytest.raises(BucketError, match="certificate") as raised:
            bucket.put("a", b"")
        one_line(raised.value, server.secret_key)
        assert server.calls == []


def test_no_key_and_no_token_gets_into_logs_or_what_is_shown(
    storage_server: StorageServer, open_supabase: _Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bucket = open_supabase()
    bucket.put("a/b", b"1")
    bucket.put("a/large", os.urandom(7 * 2**20))
    for call in _calls(bucket, tmp_path).values():
        call()
    token = parse_qs(urlsplit(bucket.sign("a/b")).query)["token"][0]
    storage_server.fail(status=500, times=100)
    with pytest.raises(BucketError) as raised:
        bucket.stat("a")
    shown = caplog.text + repr(bucket) + repr(raised.value) + repr(raised.value.__cause__)
    assert caplog.text
    assert storage_server.secret_key not in shown
    assert token not in shown


def test_3500_objects_are_listed_in_order_and_removed_in_batches(
    storage_server: StorageServer, supabase: SupabaseBucket
) -> None:
    supabase.put("first", b"x")
    names = [f"many/{number % 7}/ä {number:04}" for number in range(3500)]
    for name in names:  # as copies of one object: what counts is how many there are
        storage_server.state.copy("dawa-exports", "first", name.replace("ä", "=C3=A4"), upsert=False)
    assert [stored.key for stored in supabase.list("many")] == sorted(names)
    assert len(storage_server.called("POST", "/list-v2/")) == 4
    assert len(list(supabase.list("many/3"))) == 500
    supabase.delete(names)
    assert [stored.key for stored in supabase.list()] == ["first"]
    assert len(storage_server.called("DELETE")) == 4


def test_many_threads_share_a_bucket(supabase: SupabaseBucket, tmp_path: Path) -> None:
    barrier = threading.Barrier(16)

    def work(number: int) -> None:
        content = bytes([number]) * (100_000 + number)
        barrier.wait()
        for round_ in range(5):
            key = f"t/{number}/{round_}"
            supabase.put(key, content)
            supabase.copy(key, f"{key} copy")
            supabase.fetch(f"{key} copy", tmp_path / str(number))
            assert (tmp_path / str(number)).read_bytes() == content
            assert read_whole(supabase, key) == content
            supabase.delete([f"{key} copy"])

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(16)))
    assert len(list(supabase.list("t"))) == 80


@pytest.mark.parametrize("size", [10, 7 * 2**20], ids=["whole", "in parts"])
def test_a_refusal_by_the_buckets_settings_is_one_line(
    storage_server: StorageServer, supabase: SupabaseBucket, size: int
) -> None:
    supabase.put("a.txt", b"1")
    settings = storage_server.state.bucket("dawa-exports")
    settings.types = ("audio/*", "text/plain")
    with pytest.raises(BucketError, match="does not take files of this type") as wrong_type:
        supabase.put("b.zip", b"1" * size)
    assert "application/zip" in one_line(wrong_type.value)
    supabase.put("b.wav", b"1" * size)
    settings.types, settings.largest = None, size - 1
    with pytest.raises(BucketError, match="larger than the project allows") as too_large:
        supabase.put("c.zip", b"1" * size)
    assert "the bucket's own" in one_line(too_large.value)
    assert supabase.stat("c.zip") is None


def test_users_of_the_double_may_do_what_the_policies_let_them(
    storage_server: StorageServer, supabase: SupabaseBucket
) -> None:
    """The double's row level security: what a signed-in user's own client meets."""
    supabase.put("artists/nova/training/1/audio.wav", b"1")
    supabase.put("artists/other/training/1/audio.wav", b"2")
    token = storage_server.sign_in("5f1d6a1c-0000-4000-8000-000000000001", "nova")

    def status(method: str, path: str, **headers: str) -> int:
        base = f"{storage_server.url}/storage/v1/object"
        sent = {"Authorization": f"Bearer {token}", "Content-Type": "audio/wav", **headers}
        request = Request(f"{base}/{path}", b"x" if method == "POST" else None, sent, method=method)
        try:
            with urlopen(request) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return int(json.load(refused)["statusCode"])

    assert status("POST", "dawa-exports/inbox/nova/u1/a.wav") == 200
    assert status("POST", "dawa-exports/inbox/nova/u1/a.wav") == 409
    assert status("POST", "dawa-exports/inbox/nova/u1/b.wav", **{"x-upsert": "true"}) == 403
    assert status("POST", "dawa-exports/inbox/other/u1/a.wav") == 403
    assert status("POST", "dawa-exports/artists/nova/a.wav") == 403
    assert status("GET", "authenticated/dawa-exports/artists/nova/training/1/audio.wav") == 200
    assert status("GET", "authenticated/dawa-exports/artists/other/training/1/audio.wav") == 404
    assert status("GET", "authenticated/dawa-exports/inbox/nova/u1/a.wav") == 404


def test_an_upload_ignores_the_address_the_server_gives_itself(
    storage_server: StorageServer, supabase: SupabaseBucket
) -> None:
    data = os.urandom(13 * 2**20)
    supabase.put("large.bin", data)  # the server names https, which it does not speak here
    assert read_whole(supabase, "large.bin") == data
    assert {call.path.partition("/resumable")[1] for call in storage_server.called("PATCH")} == {"/resumable"}
