"""The published view: one version at a time, whatever is killed, and nothing left behind."""

import hashlib
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import soundfile

from modal_app.audio.prepare import prepare
from modal_app.audio.published_view import publish
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.protocol.audio import AudioSource, PreparedAudio, PrepareRequest, PublishedSegment, PublishRequest
from modal_app.protocol.base import Event
from tests.modal_app.audio.conftest import synthesise


def quiet(_: Event) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[PreparedAudio]]:
    """A data root with three files of two segments in its cache, and what they were prepared as."""
    folder, sources = tmp_path_factory.mktemp("prepared"), []
    for seed in range(3):
        path = folder / f"{seed}.wav"
        soundfile.write(path, synthesise(44_100 * 20, seed=seed), 44_100)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append(AudioSource(audio_hash=digest, url=path.as_uri(), name=path.name))
    return folder / "data", prepare(PrepareRequest(sources=sources), DataRoot(folder / "data"), quiet).prepared


@pytest.fixture
def prepared(root: DataRoot, prepared_once: tuple[Path, list[PreparedAudio]]) -> list[PreparedAudio]:
    """The same in a data root of the test's own."""
    shutil.copytree(prepared_once[0], root.root)
    return prepared_once[1]


def request_of(
    prepared: list[PreparedAudio], text: str | None = "text of {}", producer: str = "anna"
) -> PublishRequest:
    return PublishRequest(
        producer_id=producer,
        segments=[
            PublishedSegment(
                audio_hash=audio.audio_hash,
                index=part.index,
                sha256=part.sha256,
                text=text.format(part.sha256) if text else None,
            )
            for audio in prepared
            for part in audio.segments
        ],
    )


def seen(root: DataRoot, producer: str = "anna") -> dict[str, bytes]:
    """What a reader finds who resolves the view once."""
    view = root.training_data(producer).resolve()
    return {str(path.relative_to(view)): path.read_bytes() for path in sorted(view.rglob("*")) if path.is_file()}


def versions(root: DataRoot, producer: str = "anna") -> int:
    return len(list((root.root / "training_data" / ".versions" / producer).iterdir()))


def test_the_view_has_the_layout_of_the_specification(root: DataRoot, prepared: list[PreparedAudio]) -> None:
    request = request_of(prepared)
    result = publish(request, root, quiet)
    assert (result.view, result.segments, result.changed) == ("training_data/anna", 6, True)
    found = seen(root)
    assert sorted(found) == [f"audio/seg_{n:04d}.wav" for n in range(6)] + [f"text/seg_{n:04d}.txt" for n in range(6)]
    for number, segment in enumerate(request.segments):
        cached = root.segments(segment.audio_hash, "mono44") / f"seg_{segment.index:04d}.wav"
        assert found[f"audio/seg_{number:04d}.wav"] == cached.read_bytes()
        assert found[f"text/seg_{number:04d}.txt"].decode() == segment.text
    assert (root.root / result.view / "audio" / "seg_0000.wav").stat().st_nlink == 2  # no second copy of the audio


def test_publishing_the_same_again_changes_nothing(root: DataRoot, prepared: list[PreparedAudio]) -> None:
    publish(request_of(prepared), root, quiet)
    before = root.training_data("anna").readlink()
    assert not publish(request_of(prepared), root, quiet).changed
    assert root.training_data("anna").readlink() == before


def test_a_track_added_replaced_and_taken_out_is_numbered_anew(root: DataRoot, prepared: list[PreparedAudio]) -> None:
    for chosen in (prepared[:1], prepared[:2], [prepared[2], prepared[1]], prepared[1:2], []):
        request = request_of(chosen)
        assert publish(request, root, quiet).changed
        found = seen(root)
        assert [found[f"text/seg_{n:04d}.txt"].decode() for n in range(len(request.segments))] == [
            segment.text for segment in request.segments
        ]
        assert len(found) == 2 * len(request.segments)
        assert versions(root) <= 2
    assert not publish(request_of([]), root, quiet).changed
    assert versions(root) == 1


def test_texts_appear_and_change_with_their_audio(root: DataRoot, prepared: list[PreparedAudio]) -> None:
    publish(request_of(prepared, text=None), root, quiet)
    assert not any(name.startswith("text/") for name in seen(root))
    assert publish(request_of(prepared, text="älter {}"), root, quiet).changed
    assert publish(request_of(prepared, text="new {}"), root, quiet).changed
    assert seen(root)["text/seg_0000.txt"].startswith(b"new ")


def test_a_reader_keeps_the_version_of_the_view_it_opened(root: DataRoot, prepared: list[PreparedAudio]) -> None:
    publish(request_of(prepared, text="old {}"), root, quiet)
    opened = root.training_data("anna").resolve()
    publish(request_of(prepared[:1], text="new {}"), root, quiet)
    assert len(list((opened / "audio").iterdir())) == 6
    assert (opened / "text" / "seg_0005.txt").read_text().startswith("old ")


def test_what_somebody_took_out_of_the_view_comes_back(root: DataRoot, prepared: list[PreparedAudio]) -> None:
    publish(request_of(prepared), root, quiet)
    (root.training_data("anna") / "audio" / "seg_0003.wav").unlink()
    assert publish(request_of(prepared), root, quiet).changed
    assert len(seen(root)) == 12


def test_a_segment_that_is_not_cached_stops_the_publish(root: DataRoot, prepared: list[PreparedAudio]) -> None:
    publish(request_of(prepared[:1]), root, quiet)
    before = seen(root)
    request = request_of(prepared)
    missing = request.segments[-1].model_copy(update={"sha256": "0" * 64})
    with pytest.raises(JobError, match="is not in the cache; prepare it again"):
        publish(request.model_copy(update={"segments": [*request.segments, missing]}), root, quiet)
    assert seen(root) == before
    assert list(root.scratch().iterdir()) == []


def test_a_plain_folder_of_an_older_system_is_replaced(root: DataRoot, prepared: list[PreparedAudio]) -> None:
    old = root.training_data("anna") / "audio"
    old.mkdir(parents=True)
    (old / "seg_0099.wav").write_bytes(b"old")
    assert publish(request_of(prepared), root, quiet).changed
    assert len(seen(root)) == 12


def test_a_file_system_without_hard_links_gets_copies(
    root: DataRoot, prepared: list[PreparedAudio], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("modal_app.audio.published_view.os.link", refuse)
    publish(request_of(prepared), root, quiet)
    assert len(seen(root)) == 12


def test_producers_do_not_see_each_other(root: DataRoot, prepared: list[PreparedAudio]) -> None:
    publish(request_of(prepared[:1], producer="anna"), root, quiet)
    publish(request_of(prepared[1:], producer="ben"), root, quiet)
    assert (len(seen(root, "anna")), len(seen(root, "ben"))) == (4, 8)


@pytest.mark.parametrize("producer", ["", ".", "..", "a/b", "../x", ".versions", "a\0", "-x", "a" * 65])
def test_names_that_leave_the_folder_are_refused(producer: str) -> None:
    with pytest.raises(ValueError, match="producer_id"):
        PublishRequest(producer_id=producer, segments=[])


def _publish_for_ever(root: Path, requests: list[PublishRequest]) -> None:
    while True:
        for request in requests:
            publish(request, DataRoot(root), quiet)


def test_a_kill_anywhere_leaves_the_view_at_one_version(root: DataRoot, prepared: list[PreparedAudio]) -> None:
    requests = [request_of(prepared, text="one {}"), request_of(prepared[:2], text="two {}")]
    publish(requests[0], root, quiet)
    wanted = []
    for request in requests:
        publish(request, root, quiet)
        wanted.append(seen(root))
    fork = multiprocessing.get_context("fork")
    for attempt in range(15):
        victim = fork.Process(target=_publish_for_ever, args=(root.root, requests))
        victim.start()
        time.sleep(0.01 + 0.003 * attempt)
        os.kill(victim.pid or 0, signal.SIGKILL)
        victim.join()
        assert seen(root) in wanted
    publish(requests[0], root, quiet)
    publish(requests[0], root, quiet)
    assert seen(root) == wanted[0]
    assert versions(root) == 1
    assert list(root.scratch().iterdir()) == []


def test_two_processes_publish_and_a_reader_never_sees_a_mixture(root: DataRoot, prepared: list[PreparedAudio]) -> None:
    requests = [request_of(prepared, text="one {}"), request_of(prepared[:2], text="two {}")]
    wanted = []
    for request in requests:
        publish(request, root, quiet)
        wanted.append(sorted(seen(root).items()))
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_publish_for_ever, args=(root.root, order)) for order in (requests, requests[::-1])]
    for writer in writers:
        writer.start()
    try:
        read = 0
        while read < 200:
            try:
                found = sorted(seen(root).items())
            except FileNotFoundError:
                continue  # this reader took longer than two whole publishes: its version is gone, never mixed
            assert any(set(found) <= set(version) for version in wanted)
            read += found in wanted
    finally:
        for writer in writers:
            writer.kill()
            writer.join()
