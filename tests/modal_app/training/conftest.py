"""Short tracks in the cache, and one adapter trained on them for all the tests of this folder."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.audio.prepare import prepare
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.audio import AudioSource, PrepareRequest
from modal_app.protocol.base import Event
from modal_app.protocol.training import CaptionPart, Example, TrainParameters, TrainRequest, TrainResult
from modal_app.training.train import train
from tests.prepared import made_once

RATE = 44_100


def ignore(event: Event) -> None:
    """Nobody listens."""


def track(frequency: float, seconds: float) -> np.ndarray:
    """A pulse on a tone that starts quietly and ends loud."""
    time = np.arange(int(seconds * RATE)) / RATE
    pulse = np.sin(2 * np.pi * frequency * time) * np.exp(-5 * (2 * time % 1))
    return np.asarray(pulse * np.linspace(0.05, 0.8, time.size), np.float32)


def prepare_tracks(root: DataRoot, folder: Path) -> list[Example]:
    """Two songs of two takes and a shorter one, with captions of different lengths. A step takes the time of its audio.

    Each file is one segment: 100 or 50 latents of ACE-Step, 200 or 100 frames of MusicGen.
    """
    takes = [(0, 110.0, 4.0), (0, 123.0, 4.0), (1, 147.0, 4.0), (1, 165.0, 4.0), (2, 98.0, 2.0)]
    sources = []
    for number, (_, frequency, seconds) in enumerate(takes):
        path = folder / f"{number}.wav"
        soundfile.write(path, track(frequency, seconds), RATE)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append(AudioSource(audio_hash=digest, url=path.as_uri(), name=path.name))
    prepared = prepare(PrepareRequest(sources=sources), root, ignore).prepared
    return [
        Example(
            audio_hash=audio.audio_hash,
            index=0,
            sha256=audio.segments[0].sha256,
            song=f"song {song}",
            parts=[
                CaptionPart(kind="prompt", text=f"Track {song} of a dub techno set."),
                CaptionPart(kind="tags", text=f"Deep bass{', deep bass' * (number % 2)}."),
                CaptionPart(kind="tempo", text="BPM: 120"),
            ],
            gain_db=audio.segments[0].gain_db,
            bpm=120.0,
        )
        for number, ((song, _, _), audio) in enumerate(zip(takes, prepared, strict=True))
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
    """A data root with tracks and a finished run: trained once for all test processes, a copy for each."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(made_once("training", _train_once), folder, dirs_exist_ok=True)
        self.root = DataRoot(folder / "data")
        self.request = TrainRequest.model_validate_json((folder / "request.json").read_bytes())
        self.examples = self.request.examples
        lines = (folder / "events.jsonl").read_text().splitlines()
        self.events = [Event.model_validate_json(line) for line in lines]
        self.run = self.root.run("run-1")
        self.result = TrainResult.model_validate_json((self.run / "result.json").read_bytes())
        self.lora = self.run / "test-artist_lora.safetensors"


def _train_once(folder: Path) -> None:
    root = DataRoot(folder / "data")
    request = train_request(prepare_tracks(root, folder))
    (folder / "request.json").write_text(request.model_dump_json())
    with (folder / "events.jsonl").open("w") as events:
        train(request, root, lambda event: print(event.model_dump_json(), file=events))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("training"))


@pytest.fixture
def backend() -> AceStepBackend:
    """A tiny base of the test's own."""
    return AceStepBackend.load("tiny")
