"""An artist's catalogue for tests: rows and audio laid down directly, and a worker that tells what it was asked."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID, uuid4

import numpy as np
import soundfile
from psycopg.types.json import Jsonb

from dawa_assets.tables.artists import Artist, ensure_artist
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.protocol.base import Event, JobRequest
from modal_app.protocol.evaluation import (
    EvaluateRequest,
    EvaluateResult,
    KeepCheckpointRequest,
    KeepCheckpointResult,
    Rendering,
)
from modal_app.protocol.training import (
    Example,
    GenerateRequest,
    GenerateResult,
    ImportLoraRequest,
    ImportLoraResult,
    InstallRequest,
    InstallResult,
    TrainRequest,
    TrainResult,
)
from modal_app.training.milestones import milestone_name
from modal_app.worker.job_table import run_job
from resources.compute.base import CallRecord, Compute, R
from resources.ports import Ports


def caption_of(example: Example) -> str:
    """Return all that a caption may say."""
    return " ".join(part.text for part in example.parts)


def tone(seconds: float, hertz: float, *, level: float = 0.5, rate: int = 22_050) -> bytes:
    """A decaying pulse train at 120 BPM in a wav file's bytes."""
    time = np.arange(int(seconds * rate)) / rate
    sound = level * np.sin(2 * np.pi * hertz * time) * np.exp(-4 * (time % 0.5))
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


@dataclass(frozen=True)
class Catalogue:
    """One artist, and what is done to their items."""

    ports: Ports
    artist: Artist

    @property
    def slug(self) -> str:
        return self.artist.slug

    def add(
        self,
        key: str,
        audio: bytes,
        prompt: str = "",
        *,
        bpm: float = 120,
        status: str = "ready",
        scale: tuple[str, str] | None = None,
    ) -> UUID:
        """An item as the steps before would leave it; `scale`: of a set that tells its key and metre."""
        summarised: dict[str, Any] = {"overview": {"tempo": bpm}}
        if scale is not None:
            summarised["overview"]["time_signature"] = "3/4"
            summarised["scale"] = dict(zip(("root", "name"), scale, strict=True))
        item, prompt = uuid4(), prompt or f"A song called {key}.\nBPM: {bpm:g}"
        path = f"artists/{self.slug}/training/{item}/audio.wav"
        self.ports.bucket.put(path, audio)
        parse_id = uuid4().hex[:12]
        with self.ports.database.transaction() as connection:
            summary = connection.execute(
                "insert into als_summaries (als_filename, parse_id, artist_id, summary) values (%s, %s, %s, %s) "
                "returning id",
                [f"{key}.als", parse_id, self.artist.id, Jsonb(summarised)],
            ).fetchone()
            assert summary
            connection.execute(
                "insert into training_items (id, artist_id, als_summary_id, parse_id, als_filename, item_key, "
                "audio_path, audio_hash, audio_format, prompt_text, status) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, 'wav', %s, %s)",
                [
                    item,
                    self.artist.id,
                    summary["id"],
                    parse_id,
                    f"{key}.als",
                    key,
                    path,
                    hashlib.sha256(audio).hexdigest(),
                    prompt,
                    status,
                ],
            )
        return item

    def replace_audio(self, item: UUID, audio: bytes) -> None:
        self.ports.bucket.put(f"artists/{self.slug}/training/{item}/audio.wav", audio)
        digest = hashlib.sha256(audio).hexdigest()
        self.sql("update training_items set audio_hash = %s, status = 'ready' where id = %s", digest, item)

    def set_prompt(self, item: UUID, text: str) -> None:
        self.sql("update training_items set prompt_text = %s, status = 'ready' where id = %s", text, item)

    def exclude(self, item: UUID, excluded: bool = True) -> None:
        self.sql("update training_items set excluded_at = case when %s then now() end where id = %s", excluded, item)

    def accept(self, *kinds: str) -> None:
        """Have a person accept what is or will be found of the audio of every item, by its kind."""
        for kind in kinds:
            self.sql(
                "insert into item_acceptances (artist_id, training_item_id, audio_hash, kind, reason, author) "
                "select artist_id, id, audio_hash, %s, 'it is meant so', 'a person' from training_items",
                kind,
            )

    def statuses(self) -> dict[str, str]:
        rows = self.sql("select item_key, status from training_items where artist_id = %s", self.artist.id)
        return {row["item_key"]: row["status"] for row in rows}

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self.ports.database.transaction() as connection:
            cursor = connection.execute(query, list(values))
            return cursor.fetchall() if cursor.description else []


def open_catalogue(ports: Ports, name: str) -> Catalogue:
    with ports.database.transaction() as connection:
        return Catalogue(ports, ensure_artist(connection, name))


class RecordingCompute(Compute):
    """The real worker in this process, except that training and generating are stood in for; keeps every request."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requests: list[JobRequest[Any]] = []
        self.before: Callable[[JobRequest[Any]], None] = lambda _: None
        self.published: str | None = None  # the run whose adapter lies under the LoRA's name
        self.figures: dict[str, Any] = {}  # that the next evaluations find
        self.milestones: list[int] = []  # that the next trainings leave

    def run(self, request: JobRequest[R], on_event: Callable[[Event], None], record: CallRecord | None = None) -> R:
        self.before(request)
        self.requests.append(request)
        if isinstance(request, TrainRequest):
            return self._train(request, on_event)  # type: ignore[return-value]
        if isinstance(request, ImportLoraRequest):
            return self._import(request)  # type: ignore[return-value]
        if isinstance(request, EvaluateRequest):
            return self._evaluate(request)  # type: ignore[return-value]
        if isinstance(request, KeepCheckpointRequest):
            return self._keep(request)  # type: ignore[return-value]
        if isinstance(request, InstallRequest):
            return self._install(request)  # type: ignore[return-value]
        if isinstance(request, GenerateRequest):
            return self._generate(request)  # type: ignore[return-value]
        return run_job(request, DataRoot(self.root), on_event)  # type: ignore[arg-type,return-value]

    def fetch(self, path: str, target: Path) -> None:
        if not (self.root / path).is_file():
            raise JobError(f"{path}: no such file")
        shutil.copyfile(self.root / path, target)

    def store(self, path: str, source: BinaryIO) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        with (self.root / path).open("wb") as file:
            shutil.copyfileobj(source, file)

    def count(self, kind: type[JobRequest[Any]]) -> int:
        return sum(isinstance(request, kind) for request in self.requests)

    def forget(self) -> None:
        self.requests.clear()

    def _train(self, request: TrainRequest, on_event: Callable[[Event], None]) -> TrainResult:
        assert request.examples
        folder = f"runs/{request.run_id}"
        content = request.model_dump_json(exclude={"run_id"}).encode()
        files = {}
        names = ["adapter.safetensors", "peft/adapter_model.safetensors", "card.json", "loss.png"]
        for name in [*names, *(milestone_name(step) for step in self.milestones)]:
            data = name.encode() + content
            self.store(f"{folder}/{name}", io.BytesIO(data))
            files[f"{folder}/{name}"] = hashlib.sha256(data).hexdigest()
        on_event(Event(kind="progress", message="step", done=2, total=2, figures={"loss": 1.0}))
        return TrainResult(
            files=files,
            steps=2,
            losses=[2.0, 1.0],
            first_loss=2.0,
            final_loss=1.0,
            trainable_parameters=10,
            seconds=0.1,
            kept_step=max(self.milestones, default=None),
            milestones=self.milestones,
        )

    def _import(self, request: ImportLoraRequest) -> ImportLoraResult:
        folder = f"runs/{request.run_id}"
        given = (self.root / folder / "imported.safetensors").read_bytes()
        files = {}
        for name in ("adapter.safetensors", "peft/adapter_model.safetensors", "card.json"):
            data = name.encode() + given
            self.store(f"{folder}/{name}", io.BytesIO(data))
            files[f"{folder}/{name}"] = hashlib.sha256(data).hexdigest()
        return ImportLoraResult(files=files, trainable_parameters=10)

    def _evaluate(self, request: EvaluateRequest) -> EvaluateResult:
        folder = f"runs/{request.training.run_id}"
        for run in (request.training.run_id, *([request.rival.run_id] if request.rival else [])):
            if not (self.root / "runs" / run / "adapter.safetensors").is_file():
                raise JobError(f"run {run}: its adapter is not there")
        for step in request.milestones:
            if not (self.root / folder / milestone_name(step)).is_file():
                raise JobError(f"step {step}: is not there")
        files = {}
        for name in ("evaluation-base.wav", "evaluation-lora.wav", "evaluation.png"):
            data = f"{name} of {request.training.run_id}".encode()
            if name.endswith(".wav"):
                data = tone(0.5, 200 + sum(data))  # one of this run's
            self.store(f"{folder}/{name}", io.BytesIO(data))
            files[f"{folder}/{name}"] = hashlib.sha256(data).hexdigest()
        rendering = Rendering(
            sample_rate=100, samples=100, expected_samples=100, peak_dbfs=-1.0, silent_share=0.0, clipped_share=0.0
        )
        plain = EvaluateResult(
            files=files,
            split="too little to hold anything out: nothing is compared",
            held_out=[],
            segments=2,
            base_loss=2.0,
            lora_loss=1.0,
            base=rendering,
            lora=rendering,
            waveform_change=0.5,
            spectrum_change_db=3.0,
        )
        return EvaluateResult.model_validate(plain.model_dump() | self.figures)

    def _keep(self, request: KeepCheckpointRequest) -> KeepCheckpointResult:
        folder = f"runs/{request.run_id}"
        milestone = self.root / folder / milestone_name(request.step)
        if not milestone.is_file():
            raise JobError(f"{milestone_name(request.step)}: is not there")
        files = {}
        for name in ("adapter.safetensors", "peft/adapter_model.safetensors", "card.json"):
            data = name.encode() + milestone.read_bytes() + str(request.strength).encode()
            self.store(f"{folder}/{name}", io.BytesIO(data))
            files[f"{folder}/{name}"] = hashlib.sha256(data).hexdigest()
        return KeepCheckpointResult(files=files)

    def _install(self, request: InstallRequest) -> InstallResult:
        source = self.root / "runs" / request.run_id / "adapter.safetensors"
        if not source.is_file():
            raise JobError("the run's adapter is not there")
        path = f"loras/{request.producer_id}_{request.model_name}.safetensors"
        with source.open("rb") as file:
            self.store(path, file)
        self.published = request.run_id
        return InstallResult(lora_path=path, peft_path=f"models/{request.producer_id}", changed=True)

    def _generate(self, request: GenerateRequest) -> GenerateResult:
        path, base_path = f"outputs/{request.job_id}.wav", None
        self.store(path, io.BytesIO(tone(request.duration_seconds, 220 if request.lora_id else 330)))
        if request.with_base:
            base_path = f"outputs/{request.job_id}-base.wav"
            self.store(base_path, io.BytesIO(tone(request.duration_seconds, 330)))
        return GenerateResult(
            path=path,
            sample_rate=22_050,
            samples=1,
            peak_dbfs=-6,
            lora=request.lora_id,
            run_id=self.published if request.lora_id else None,
            base_path=base_path,
        )


def with_recorder(ports: Ports) -> tuple[Ports, RecordingCompute]:
    compute = RecordingCompute(ports.settings.data_root)
    return replace(ports, compute=compute), compute


def view(ports: Ports, slug: str) -> dict[str, tuple[str, str | None]]:
    """The published view: stem → (SHA-256 of the wav, text or None)."""
    folder = ports.settings.data_root / "training_data" / slug
    texts = {path.stem: path.read_text() for path in (folder / "text").glob("*.txt")}
    wavs = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "audio").glob("*.wav")}
    assert set(texts) <= set(wavs)
    return {stem: (digest, texts.get(stem)) for stem, digest in sorted(wavs.items())}


def manifest(ports: Ports, key: str) -> dict[str, Any]:
    with ports.bucket.open(key) as stream:
        content: dict[str, Any] = json.load(stream)
        return content
