"""Short tracks in the cache, and one adapter trained on them for all the tests of this folder in a process."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.audio.prepare import prepare
from modal_app.backends.ace_step import AceStepBackend
from modal_app.config import BackendKind, DataRoot
from modal_app.protocol.audio import AudioSource, PrepareRequest
from modal_app.protocol.base import Event
from modal_app.protocol.training import CaptionPart, Example, TrainParameters, TrainRequest, TrainResult
from modal_app.training.train import train

RATE = 44_100


def ignore(event: Event) -> None:
    """Nobody listens."""


def track(frequency: float, seconds: float) -> np.ndarray:
    """A pulse on a tone that starts quietly and ends loud."""
    time = np.arange(int(seconds * RATE)) / RATE
    pulse = np.sin(2 * np.pi * frequency * time) * np.exp(-5 * (2 * time % 1))
    return np.asarray(pulse * np.linspace(0.05, 0.8, time.size), np.float32)


def prepare_tracks(root: DataRoot, folder: Path) -> list[Example]:
    """Two tracks of two segments and one of a short tail, with captions of different lengths."""
    sources = []
    for number, (frequency, seconds) in enumerate([(110.0, 30.0), (147.0, 30.0), (98.0, 6.0)]):
        path = folder / f"{number}.wav"
        soundfile.write(path, track(frequency, seconds), RATE)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append(AudioSource(audio_hash=digest, url=path.as_uri(), name=path.name))
    prepared = prepare(PrepareRequest(sources=sources), root, ignore).prepared
    return [
        Example(
            audio_hash=audio.audio_hash,
            index=segment.index,
            sha256=segment.sha256,
            song=f"song {number}",
            parts=[
                CaptionPart(kind="prompt", text=f"Track {number} of a dub techno set."),
                CaptionPart(kind="tags", text=f"Deep bass{', deep bass' * segment.index}."),
                CaptionPart(kind="tempo", text="BPM: 120"),
            ],
            gain_db=segment.gain_db,
            bpm=120.0,
        )
        for number, audio in enumerate(prepared)
        for segment in audio.segments
    ]


def parameters(**changes: object) -> TrainParameters:
    plain = TrainParameters(steps=50, batch_size=2, learning_rate=2e-3, rank=8, alpha=16, seed=0)
    return plain.model_copy(update=changes)


def train_request(examples: list[Example], run_id: str = "run-1", **changes: object) -> TrainRequest:
    request = TrainRequest(
        run_id=run_id,
        producer_id="test-artist",
        model_name="lora",
        backend=BackendKind.ACE_STEP,
        base="tiny",
        dataset_fingerprint="abc",
        parameters=parameters(),
        examples=examples,
    )
    return request.model_copy(update=changes)


class Trained:
    """A data root with tracks and a finished run."""

    def __init__(self, folder: Path) -> None:
        self.root = DataRoot(folder / "data")
        self.examples = prepare_tracks(self.root, folder)
        self.request = train_request(self.examples)
        self.events: list[Event] = []
        self.result: TrainResult = train(self.request, self.root, self.events.append)
        self.run = self.root.run("run-1")
        self.lora = self.run / "test-artist_lora.safetensors"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("training"))


@pytest.fixture
def backend() -> AceStepBackend:
    """A tiny base of the test's own."""
    return AceStepBackend.load("tiny")
