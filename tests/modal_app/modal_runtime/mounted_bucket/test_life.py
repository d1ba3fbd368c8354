"""The life of jobs on a mounted bucket: each call in a container of its own, with an empty disk."""

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.modal_runtime.claim_store import FolderClaimStore
from modal_app.modal_runtime.container import Container, Job, run_call
from modal_app.modal_runtime.mounted_bucket.files import AppFiles, MountFiles
from modal_app.modal_runtime.mounted_bucket.mount import Mount
from modal_app.modal_runtime.mounted_bucket.tree import MountStorage
from modal_app.modal_runtime.remote_calls import RESULT, call_folder
from modal_app.modal_runtime.routing import key_of
from modal_app.protocol.audio import AudioSource, PreparedAudio, PrepareRequest, PublishedSegment, PublishRequest
from modal_app.protocol.base import Event, JobRequest
from modal_app.protocol.forgetting import ForgetRequest
from modal_app.protocol.requests import AnyRequest
from modal_app.protocol.training import (
    CaptionPart,
    Example,
    GenerateRequest,
    InstallRequest,
    TrainParameters,
    TrainRequest,
)
from modal_app.worker.job_table import run_job
from resources.compute.base import R
from tests.modal_app.modal_runtime.bucket_guard import as_a_mount

RATE = 22_050


class Cloud:
    """Containers that come and go, and a bucket that stays; `files` is how other machines read it."""

    def __init__(self, folder: Path, bucket: Path) -> None:
        self.folder, self.bucket = folder, bucket
        self._numbers = itertools.count()
        served = MountFiles(Mount(bucket))
        self.files = AppFiles(lambda name, *arguments: getattr(served, name)(*arguments))

    def call(self, request: JobRequest[R], call_id: str | None = None, job: Job = run_job) -> R:
        number = next(self._numbers)
        disk, call_id = self.folder / f"disk-{number}", call_id or f"fc-{number}"
        container = Container(
            disk, MountStorage(disk, Mount(self.bucket)), FolderClaimStore(self.folder / "register"), commit_seconds=0.1
        )
        name = run_call(request.model_dump_json(), key_of(request), call_id, container, job)
        answer = self.read(f"{call_folder(call_id)}/{name}")
        assert name == RESULT, answer
        return request.result_type.model_validate_json(answer)  # type: ignore[return-value]

    def read(self, path: str) -> bytes:
        target = io.BytesIO()
        self.files.read(path, target)
        return target.getvalue()

    def kept(self) -> bytes:
        """All that the bucket holds of files' contents."""
        return b"".join(path.read_bytes() for path in sorted(self.bucket.glob("files/**/*")) if path.is_file())


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with as_a_mount(tmp_path / "bucket") as bucket:
        yield Cloud(tmp_path, bucket)


def sources(folder: Path) -> list[AudioSource]:
    found = []
    for number, frequency in enumerate((110.0, 147.0, 98.0)):
        path = folder / f"{number}.wav"
        seconds = np.arange(16 * RATE) / RATE
        soundfile.write(path, np.sin(2 * np.pi * frequency * seconds) * np.linspace(0.1, 0.8, seconds.size), RATE)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found.append(AudioSource(audio_hash=digest, url=path.as_uri(), name=path.name))
    return found


def view_of(prepared: list[PreparedAudio], text: str) -> PublishRequest:
    return PublishRequest(
        producer_id="me",
        segments=[
            PublishedSegment(audio_hash=audio.audio_hash, index=part.index, sha256=part.sha256, text=text)
            for audio in prepared
            for part in audio.segments
        ],
    )


def test_later_calls_publish_and_forget_what_one_prepared(cloud: Cloud, tmp_path: Path) -> None:
    request = PrepareRequest(sources=sources(tmp_path))
    prepared = cloud.call(request)
    assert (prepared.computed, prepared.failed) == (3, [])
    assert cloud.call(request).computed == 0  # it is found in the cache

    assert cloud.call(view_of(prepared.prepared, "before")).changed
    published = cloud.call(view_of(prepared.prepared, "after"))
    assert published.changed
    assert not cloud.call(view_of(prepared.prepared, "after")).changed
    assert cloud.read("training_data/me/text/seg_0000.txt") == b"after"
    segment = prepared.prepared[0].segments[0]
    assert hashlib.sha256(cloud.read("training_data/me/audio/seg_0000.wav")).hexdigest() == segment.sha256

    cloud.files.write("uploads/me/job/0.wav", tmp_path / "0.wav")
    hashes = [source.audio_hash for source in request.sources]
    asked = ForgetRequest(producer_id="me", audio_hashes=hashes, dry_run=True)
    counted = cloud.call(asked).removed
    assert counted["uploads"].bytes == (tmp_path / "0.wav").stat().st_size
    assert counted["segments"].files == 3 + sum(len(audio.segments) for audio in prepared.prepared)
    assert b"RIFF" in cloud.kept()
    assert cloud.call(asked.model_copy(update={"dry_run": False})).removed == counted
    assert b"RIFF" not in cloud.kept()
    assert cloud.call(asked).removed == {}


@pytest.mark.slow
def test_a_training_continues_in_another_container(cloud: Cloud, tmp_path: Path) -> None:
    prepared = cloud.call(PrepareRequest(sources=sources(tmp_path))).prepared
    request = TrainRequest(
        run_id="run-1",
        producer_id="me",
        model_name="lora",
        backend=BackendKind.ACE_STEP,
        base="tiny",
        dataset_fingerprint="abc",
        parameters=TrainParameters(steps=30, batch_size=2, learning_rate=2e-3, rank=8, alpha=16, seed=0),
        examples=[
            Example(
                audio_hash=audio.audio_hash,
                index=segment.index,
                sha256=segment.sha256,
                song=f"song {number}",
                parts=[CaptionPart(kind="prompt", text=f"Track {number}.")],
                gain_db=segment.gain_db,
                bpm=120.0,
            )
            for number, audio in enumerate(prepared)
            for segment in audio.segments
        ],
    )

    def taken_away_at(step: int) -> Job:
        def job(request: AnyRequest, root: DataRoot, emit: Callable[[Event], None]) -> object:
            def emit_until(event: Event) -> None:
                emit(event)
                if event.kind == "progress" and event.done == step and event.total == 30:
                    raise KeyboardInterrupt

            return run_job(request, root, emit_until)

        return job  # type: ignore[return-value]

    for step in (10, 20):
        with pytest.raises(KeyboardInterrupt):
            cloud.call(request, "fc-train", taken_away_at(step))
        assert cloud.read("runs/run-1/checkpoint/state.safetensors")
    trained = cloud.call(request, "fc-train")
    steps = cloud.read("runs/run-1/events.jsonl").count(b'"event": "step"')
    assert (trained.steps, steps) == (30, 30)
    for path, digest in trained.files.items():
        assert hashlib.sha256(cloud.read(path)).hexdigest() == digest

    installed = cloud.call(InstallRequest(run_id="run-1", producer_id="me", model_name="lora"))
    assert cloud.read(installed.lora_path)
    assert installed.peft_path
    assert cloud.read(installed.peft_path)
    rendered = cloud.call(GenerateRequest(job_id="a", prompt="dub", lora_id="me:lora", duration_seconds=1, base="tiny"))
    assert rendered.run_id == "run-1"
    assert cloud.read(rendered.path)[:4] == b"RIFF"
