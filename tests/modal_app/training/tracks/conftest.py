"""Four songs in the cache, prepared and encoded once for all the tests of this folder."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.audio.prepare import prepare
from modal_app.backends.base import Signal
from modal_app.backends.musicgen.backend import MusicGenBackend
from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.audio import AudioSource, PreparedAudio, PrepareRequest, PrepareResult
from modal_app.protocol.song_timeline import Layer, MetreStart, SectionStart, SongTimeline, Voice
from modal_app.protocol.training import CaptionPart, Example, TrackTimeline, TrainRequest
from modal_app.training.tracks import Tracks, load_tracks
from tests.modal_app.training.conftest import RATE, ignore, parameters, track, train_request
from tests.prepared import made_once

STEPS = 6
LENGTHS = {"long": 47.0, "paused": 50.0, "short": 21.0, "loop": 8.0}
TEMPO = 120.0


TIMELINE = SongTimeline(
    version="test",
    begin=0.5,
    end=46.5,
    bars=[0.5 + 2 * bar for bar in range(24)],
    metres=[MetreStart(seconds=0.5, time_signature="3/4")],
    sections=[SectionStart(seconds=0.5, name="intro"), SectionStart(seconds=20.5, name="drop")],
    voices=[
        Voice(instrument="pad", role="harmony", spans=[(0.5, 46.5)]),
        Voice(instrument="kick", role="rhythm", spans=[(20.5, 46.5)]),
    ],
    layers=[Layer(track="1", spans=[(0.5, 46.5)]), Layer(track="2", spans=[(20.5, 46.5)])],
)


def signals() -> dict[str, np.ndarray]:
    made = {name: track(90.0 + 20 * number, seconds) for number, (name, seconds) in enumerate(LENGTHS.items())}
    made["paused"][15 * RATE : 30 * RATE] = 0.0
    return made


def prepare_songs(folder: Path) -> None:
    """Put the songs into a cache, and the latents that MusicGen's tiny base makes of them."""
    root = DataRoot(folder / "data")
    sources = []
    for name, signal in signals().items():
        path = folder / f"{name}.wav"
        soundfile.write(path, signal, RATE)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append(AudioSource(audio_hash=digest, url=path.as_uri(), name=name))
    result = prepare(PrepareRequest(sources=sources), root, ignore)
    (folder / "prepared.json").write_text(result.model_dump_json())
    load_tracks(Songs(folder).request(), MusicGenBackend.load("tiny"), root, ignore)


class Songs:
    """Four songs in the cache, one of them with a silent segment, and what a training on crops of them is.

    What changes them works in a copy (`copy_to`): they are all tests' own.
    """

    def __init__(self, folder: Path) -> None:
        self.root = DataRoot(folder / "data")
        prepared = PrepareResult.model_validate_json((folder / "prepared.json").read_bytes()).prepared
        self.manifests: dict[str, PreparedAudio] = dict(zip(LENGTHS, prepared, strict=True))
        self.examples = [
            Example(
                audio_hash=audio.audio_hash,
                index=segment.index,
                sha256=segment.sha256,
                song=name,
                parts=[CaptionPart(kind="prompt", text=f"Song {name}, part {segment.index}.")],
                gain_db=segment.gain_db,
                bpm=TEMPO,
            )
            for name, audio in self.manifests.items()
            for segment in audio.segments
            if not segment.silent
        ]

    def hash_of(self, name: str) -> str:
        return self.manifests[name].audio_hash

    def request(self, run_id: str = "run-c", clip: float = 10.0, **changes: object) -> TrainRequest:
        timelines = [TrackTimeline(audio_hash=self.hash_of("long"), timeline=TIMELINE)]
        asked = parameters(steps=STEPS, batch_size=2, validate_every=3, clip_seconds=clip, caption_dropout=0.0)
        request = train_request(
            self.examples, run_id, parameters=asked, backend=BackendKind.MUSICGEN, timelines=timelines
        )
        return request.model_copy(update=changes)

    def copy_to(self, folder: Path, *, encoded: bool = False) -> DataRoot:
        """A data root with these segments, and what is encoded of them or nothing."""
        (folder / "cache").mkdir(parents=True)
        for name in ["segments", "latents"] if encoded else ["segments"]:
            (folder / "cache" / name).symlink_to(self.root.root / "cache" / name)
        return DataRoot(folder)


@pytest.fixture(scope="session")
def songs() -> Songs:
    return Songs(made_once("whole tracks", prepare_songs))


@pytest.fixture(scope="session")
def musicgen() -> MusicGenBackend:
    return MusicGenBackend.load("tiny")


@pytest.fixture(scope="session")
def tracks(songs: Songs, musicgen: MusicGenBackend) -> Tracks:
    return load_tracks(songs.request(), musicgen, songs.root, ignore)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each piece that is encoded."""
    plain, seconds = MusicGenBackend.encode, []

    def counted(self: MusicGenBackend, audio: Signal) -> dict[str, object]:
        seconds.append(audio.shape[1] / self.sample_rate)
        return plain(self, audio)

    monkeypatch.setattr(MusicGenBackend, "encode", counted)
    return seconds
