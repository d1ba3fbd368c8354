"""Trainings on crops that are stopped, killed and asked for again.

A training is done three times to be stopped and killed: the longest of these take ten seconds and more on a busy
machine.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.backends.musicgen.backend import MusicGenBackend
from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.base import Event
from modal_app.protocol.training import TrainRequest
from modal_app.training.tracks import load_tracks
from modal_app.training.train import train
from tests.modal_app.training.conftest import RATE, ignore, parameters, train_request
from tests.modal_app.training.tracks.conftest import STEPS, Songs


class Stopped(BaseException):
    """What the worker raises at SIGTERM."""


def at_step(step: int, do: Callable[[], None]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if event.figures.get("step") == step:
            do()

    return listen


@contextlib.contextmanager
def child(work: Callable[[], object]) -> Iterator[int]:
    """A fork of this process that does the work."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    try:
        yield pid
    finally:
        os.waitpid(pid, 0)


def adapter_bytes(root: DataRoot) -> bytes:
    return (root.run("run-c") / "adapter_model.safetensors").read_bytes()


@pytest.mark.usefixtures("tracks")
def test_a_training_on_crops_resumes_to_the_same_bits(songs: Songs, tmp_path: Path) -> None:
    names = ("whole", "stopped", "killed")
    undisturbed, stopped, killed = (songs.copy_to(tmp_path / name, encoded=True) for name in names)
    request = songs.request(clip=3.0)
    result = train(request, undisturbed, ignore)

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        train(request, stopped, at_step(2, stop))
    with child(lambda: train(request, killed, at_step(5, lambda: os.kill(os.getpid(), signal.SIGKILL)))):
        pass
    events: list[Event] = []
    results = [train(request, stopped, ignore), train(request, killed, events.append)]

    assert f"going on after step 3 of {STEPS}" in [event.message for event in events]
    assert [again.losses for again in results] == [result.losses] * 2
    assert [again.files for again in results] == [result.files] * 2
    assert adapter_bytes(stopped) == adapter_bytes(killed) == adapter_bytes(undisturbed)
    assert result.held_out
    assert len(result.validations) > 1


def test_a_cache_killed_in_the_middle_of_a_track_goes_on(songs: Songs, tmp_path: Path, encoded: list[float]) -> None:
    root = songs.copy_to(tmp_path / "data")

    def die(event: Event) -> None:
        if event.message.startswith("encoded track 2"):
            os.kill(os.getpid(), signal.SIGKILL)

    with child(lambda: load_tracks(songs.request(), MusicGenBackend.load("tiny"), root, die)):
        pass
    there = {path.name[:64] for path in root.latents().rglob("*.safetensors")}
    tracks = load_tracks(songs.request(), MusicGenBackend.load("tiny"), root, ignore)

    assert len(there) == 2
    missing = [audio for audio in songs.manifests.values() if audio.audio_hash not in there]
    seconds = sum(segment.samples / RATE for audio in missing for segment in audio.segments)
    assert seconds <= sum(encoded) <= 1.5 * seconds
    assert sorted(tracks.latents) == sorted(audio.audio_hash for audio in songs.manifests.values())


def test_ace_step_trains_on_crops_too(songs: Songs, tmp_path: Path) -> None:
    root = songs.copy_to(tmp_path / "data")
    short = [example for example in songs.examples if example.song in ("short", "loop")]
    request = songs.request(examples=short, backend=BackendKind.ACE_STEP, timelines=[], clip=3.0)

    once = train(request, root, ignore)
    again = train(request.model_copy(update={"run_id": "run-e"}), root, ignore)

    assert once.losses == again.losses
    assert once.samples_per_second
    frames = [
        len(part["mean"]) for part in load_tracks(request, AceStepBackend.load("tiny"), root, ignore).latents.values()
    ]
    assert frames == [525, 200]


def test_a_training_of_segments_is_asked_for_as_it_was(songs: Songs) -> None:
    request = train_request(songs.examples, parameters=parameters())
    assert "clip_seconds" not in request.model_dump_json()
    assert '"timelines"' not in request.model_dump_json()
    of_crops = songs.request()
    assert TrainRequest.model_validate_json(of_crops.model_dump_json()) == of_crops
