"""The cache of segments: what is worked on, what fails alone, and what damage and kills leave."""

import hashlib
import http.server
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.audio.prepare import prepare
from modal_app.audio.segment_cache import find_prepared
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.audio import AudioSource, PrepareRequest, PrepareResult
from modal_app.protocol.base import Event

Music = Callable[..., np.ndarray]
SourceOf = Callable[[Path], AudioSource]


def quiet(_: Event) -> None:
    """Nobody listens."""


def run(root: DataRoot, *sources: AudioSource, emit: Callable[[Event], None] = quiet) -> PrepareResult:
    return prepare(PrepareRequest(sources=list(sources)), root, emit)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def track(tmp_path: Path, music: Music) -> Path:
    path = tmp_path / "track.wav"
    soundfile.write(path, music(44_100 * 21, 2), 44_100)
    return path


def test_only_files_that_are_not_in_the_cache_are_worked_on(
    root: DataRoot, track: Path, tmp_path: Path, music: Music, source_of: SourceOf
) -> None:
    first = run(root, source_of(track))
    assert (first.computed, len(first.prepared), len(first.prepared[0].segments)) == (1, 1, 2)
    other = tmp_path / "other.wav"
    soundfile.write(other, music(44_100 * 6, seed=1), 44_100)
    sources = source_of(other), source_of(track)
    track.unlink()
    events: list[Event] = []
    both = run(root, *sources, emit=events.append)
    assert both.computed == 1
    assert [part.audio_hash for part in both.prepared] == [source.audio_hash for source in sources]
    assert both.prepared[1] == first.prepared[0]
    assert [(event.message, event.done, event.total) for event in events] == [("other.wav: 1 segments", 1, 1)]


def test_the_manifest_describes_what_lies_beside_it(root: DataRoot, track: Path, source_of: SourceOf) -> None:
    (prepared,) = run(root, source_of(track)).prepared
    folder = root.segments(prepared.audio_hash, "mono44")
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "seg_0000.wav", "seg_0001.wav"}
    for part in prepared.segments:
        path = folder / f"seg_{part.index:04d}.wav"
        info = soundfile.info(path)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == part.sha256
        assert (info.samplerate, info.channels, info.frames, info.subtype) == (44_100, 1, part.samples, "PCM_16")
    assert (prepared.source_samples, prepared.source_channels, prepared.duration_seconds) == (44_100 * 21, 2, 21)
    assert list(root.scratch().iterdir()) == []


def test_a_bad_file_fails_alone(root: DataRoot, track: Path, tmp_path: Path, source_of: SourceOf) -> None:
    text, swapped = tmp_path / "notes.mp3", tmp_path / "swapped.wav"
    text.write_text("no music\n" * 1000)
    swapped.write_bytes(track.read_bytes() + b"more")
    sources = [
        source_of(text),
        source_of(track),
        AudioSource(audio_hash="a" * 64, url=(tmp_path / "gone.wav").as_uri(), name="gone.wav"),
        AudioSource(audio_hash="b" * 64, url=swapped.as_uri(), name="swapped.wav"),
        AudioSource(audio_hash="c" * 64, url="ftp://example.org/a.wav", name="ftp.wav"),
        AudioSource(audio_hash="d" * 64, url="concat:/etc/passwd", name="concat.wav"),
    ]
    result = run(root, *sources)
    assert [part.audio_hash for part in result.prepared] == [sources[1].audio_hash]
    assert [failure.name for failure in result.failed] == [
        "notes.mp3",
        "gone.wav",
        "swapped.wav",
        "ftp.wav",
        "concat.wav",
    ]
    assert [failure.unreadable for failure in result.failed] == [True, False, False, True, True]
    assert all("\n" not in failure.reason for failure in result.failed)
    assert "are not those that were asked for" in result.failed[2].reason
    assert list(root.scratch().iterdir()) == []
    assert run(root, sources[0]).failed[0].reason == result.failed[0].reason


@pytest.mark.parametrize("damage", ["missing", "short", "manifest missing", "manifest garbled", "other manifest"])
def test_a_damaged_entry_is_noticed_and_made_again(
    root: DataRoot, track: Path, source_of: SourceOf, damage: str
) -> None:
    source = source_of(track)
    (prepared,) = run(root, source).prepared
    folder = root.segments(source.audio_hash, "mono44")
    whole = contents(folder)
    segment, manifest = folder / "seg_0001.wav", folder / "manifest.json"
    if damage == "missing":
        segment.unlink()
    elif damage == "short":
        segment.chmod(0o644)
        os.truncate(segment, 1_000)
    elif damage == "manifest missing":
        manifest.unlink()
    elif damage == "manifest garbled":
        manifest.write_bytes(manifest.read_bytes()[:100])
    else:
        manifest.write_text(manifest.read_text().replace(source.audio_hash, "f" * 64))
    assert find_prepared(root, source.audio_hash, "mono44") is None
    again = run(root, source)
    assert (again.computed, again.prepared) == (1, [prepared])
    assert contents(folder) == whole
    assert list(root.scratch().iterdir()) == []


def test_the_same_file_twice_in_a_request_is_one(root: DataRoot, track: Path, source_of: SourceOf) -> None:
    result = run(root, source_of(track), source_of(track))
    assert (result.computed, len(result.prepared)) == (1, 1)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Nothing: the tests' output is for failures."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_files_over_http_are_verified_without_leaking_the_token(
    root: DataRoot, track: Path, served: tuple[Path, str], source_of: SourceOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = served
    (folder / "a.wav").write_bytes(track.read_bytes())
    signed = source_of(track).model_copy(update={"url": f"{url}/a.wav?token=s3cret"})
    wrong = signed.model_copy(update={"audio_hash": "a" * 64})
    missing = signed.model_copy(update={"audio_hash": "b" * 64, "url": f"{url}/gone.wav?token=s3cret"})
    result = run(root, signed, wrong, missing)
    assert len(result.prepared) == 1
    assert [failure.audio_hash for failure in result.failed] == ["a" * 64, "b" * 64]
    assert "HTTP 404" in result.failed[1].reason
    assert "s3cret" not in str(result.failed)
    monkeypatch.setattr("modal_app.audio.fetch.MAX_BYTES", 100_000)
    too_large = run(DataRoot(root.root / "other"), signed)
    assert "is larger than" in too_large.failed[0].reason


def _prepare_in_a_process(root: Path, source: AudioSource, start: Barrier) -> None:
    start.wait()
    result = run(DataRoot(root), source)
    assert len(result.prepared) == 1


def test_two_processes_may_prepare_the_same_file_at_once(root: DataRoot, track: Path, source_of: SourceOf) -> None:
    source = source_of(track)
    fork = multiprocessing.get_context("fork")
    start = fork.Barrier(3)
    processes = [fork.Process(target=_prepare_in_a_process, args=(root.root, source, start)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert find_prepared(root, source.audio_hash, "mono44") is not None
    assert list(root.scratch().iterdir()) == []


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.3])
def test_a_kill_leaves_a_whole_cache_entry_or_none(
    root: DataRoot, tmp_path: Path, music: Music, source_of: SourceOf, delay: float
) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, music(48_000 * 60, 2), 48_000)
    source = source_of(path)
    request = PrepareRequest(sources=[source]).model_dump_json()
    code = (
        "import sys; from pathlib import Path\n"
        "from modal_app.audio.prepare import prepare\n"
        "from modal_app.data_root.layout import DataRoot\n"
        "from modal_app.protocol.audio import PrepareRequest\n"
        "import av, soxr\n"
        "request = PrepareRequest.model_validate_json(sys.argv[1]); print('ready', flush=True)\n"
        "prepare(request, DataRoot(Path(sys.argv[2])), lambda event: None)\n"
    )
    victim = subprocess.Popen([sys.executable, "-c", code, request, str(root.root)], stdout=subprocess.PIPE)
    assert victim.stdout is not None
    victim.stdout.readline()
    time.sleep(delay)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    survived = find_prepared(root, source.audio_hash, "mono44")
    assert survived is not None or not root.segments(source.audio_hash, "mono44").exists()
    result = run(root, source)
    assert len(result.prepared[0].segments) == 4
    assert list(root.scratch().iterdir()) == []
