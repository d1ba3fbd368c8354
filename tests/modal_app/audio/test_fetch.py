"""How the worker gets a file by its URL: transfers that break, links that have run out, disks that are full."""

import hashlib
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from modal_app.audio import fetch
from modal_app.audio.fetch import fetched
from modal_app.errors import JobError
from modal_app.protocol.audio import AudioSource
from resources.bucket.supabase import SupabaseBucket
from tests.fakes.storage.storage_server import StorageServer
from tests.resources.bucket.conftest import open_supabase, storage_server, supabase

__all__ = ["open_supabase", "storage_server", "supabase"]

SOUND = os.urandom(3_000_000)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_PAUSES", (0.01, 0.02))


@pytest.fixture
def source(supabase: SupabaseBucket) -> AudioSource:
    supabase.put("a/song.wav", SOUND)
    return AudioSource(
        url=supabase.sign("a/song.wav", 60), audio_hash=hashlib.sha256(SOUND).hexdigest(), name="song.wav"
    )


def _read(source: AudioSource, folder: Path) -> bytes:
    with fetched(source, folder / "scratch") as file:
        return file.read()


def _refusal(source: AudioSource, folder: Path) -> str:
    with pytest.raises(JobError) as refused:
        _read(source, folder)
    said = str(refused.value)
    assert "\n" not in said
    assert "token" not in said
    assert list((folder / "scratch").iterdir()) == []
    return said


@pytest.mark.parametrize(
    "trouble",
    [{"cut": True}, {"lose_answer": True}, {"cut_answer_after": 0}, {"cut_answer_after": 1_500_000}, {"status": 503}],
)
def test_a_transfer_that_breaks_is_begun_again(
    storage_server: StorageServer, source: AudioSource, tmp_path: Path, trouble: dict[str, int]
) -> None:
    storage_server.fail(path="/object/sign/", times=2, **trouble)
    assert _read(source, tmp_path) == SOUND
    assert len(storage_server.called("GET", "/object/sign/")) == 3


def test_tries_are_bounded_and_the_last_trouble_is_reported(
    storage_server: StorageServer, source: AudioSource, tmp_path: Path
) -> None:
    storage_server.fail(path="/object/sign/", times=99, status=502)
    assert _refusal(source, tmp_path) == "song.wav: the download failed (HTTP 502); run it again"
    storage_server.heal()
    storage_server.fail(path="/object/sign/", times=99, cut_answer_after=1000)
    assert _refusal(source, tmp_path) == "song.wav: the download failed (IncompleteRead); run it again"
    assert len(storage_server.called("GET", "/object/sign/")) == 6


@pytest.mark.parametrize("hours", [1, 24 * 365])
def test_a_link_that_has_expired_is_named_and_not_tried_again(
    storage_server: StorageServer, source: AudioSource, tmp_path: Path, hours: int
) -> None:
    storage_server.clock = lambda: time.time() + hours * 3600
    said = _refusal(source, tmp_path)
    assert said.startswith("song.wav: the signed link to it has expired; run it again, which signs a new one")
    assert len(storage_server.called("GET", "/object/sign/")) == 1


@pytest.mark.parametrize("hours", [-48, -1, 1, 48])
def test_a_server_clock_that_is_always_wrong_does_no_harm(
    storage_server: StorageServer, supabase: SupabaseBucket, source: AudioSource, tmp_path: Path, hours: int
) -> None:
    storage_server.clock = lambda: time.time() + hours * 3600
    fresh = source.model_copy(update={"url": supabase.sign("a/song.wav", 60)})
    assert _read(fresh, tmp_path) == SOUND


def test_a_link_that_is_not_ours_is_refused_as_such(source: AudioSource, tmp_path: Path) -> None:
    forged = source.model_copy(update={"url": source.url[:-2]})
    assert _refusal(forged, tmp_path) == "song.wav: the download failed (HTTP 400); run it again"


def test_a_full_disk_is_reported_and_not_tried_again(
    storage_server: StorageServer, source: AudioSource, tmp_path: Path
) -> None:
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        said = _refusal(source, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert said == "song.wav: the download has no room on the worker's disk (File too large); make some"
    assert len(storage_server.called("GET", "/object/sign/")) == 1
