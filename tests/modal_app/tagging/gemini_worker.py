"""A worker's data root with segments in it, and the real worker that asks the model server about them."""

import hashlib
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
from pydantic import SecretStr

from modal_app.audio.prepare import prepare
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.audio import AudioSource, PrepareRequest
from modal_app.protocol.base import Event, JobResult
from modal_app.protocol.tagging import HostedModel, InspectRequest, SegmentToTag, TagRequest, TagResult
from modal_app.worker.job_table import run_job
from resources.compute.local import LocalCompute
from tests.fakes.model_server.control import ModelServer
from tests.fakes.model_server.gemini_api import KEY
from tests.resources.compute.processes import workers

MODEL = "gemini-3.5-flash-lite"
N = 48
RATE = 44_100


@dataclass
class Worker:
    """A worker, in this process or one of its own, and all that it was heard to say."""

    root: Path
    server: ModelServer
    segments: list[SegmentToTag]
    key: str | None = KEY
    events: list[Event] = field(default_factory=list)

    @property
    def compute(self) -> LocalCompute:
        return LocalCompute(self.root, 2.0, None if self.key is None else SecretStr(self.key))

    def model(self, **changes: Any) -> HostedModel:
        fields: dict[str, Any] = {"name": MODEL, "base_url": self.server.url, "timeout_seconds": 10, "at_once": 4}
        return HostedModel(**{**fields, **changes})

    def tag(
        self,
        segments: list[SegmentToTag] | None = None,
        vocabulary: list[str] | None = None,
        *,
        own_process: bool = False,
        **model: Any,
    ) -> TagResult:
        """Tag segments, all by default; in a process of its own where that is what a test is about."""
        request = TagRequest(
            tagger="gemini",
            model=self.model(**model),
            vocabulary=vocabulary or [],
            segments=self.segments if segments is None else segments,
        )
        if own_process:
            return self.compute.run(request, self.events.append)
        with pytest.MonkeyPatch.context() as patch:
            result = self.here(TagRequest.model_validate_json(request.model_dump_json()), patch)
        assert isinstance(result, TagResult)
        return result

    def here(self, request: TagRequest | InspectRequest, monkeypatch: pytest.MonkeyPatch) -> JobResult:
        """The same job in this process, for what does not depend on the process: it starts faster."""
        if self.key is None:
            monkeypatch.delenv("GEMINI_API_KEY", raising=False)
        else:
            monkeypatch.setenv("GEMINI_API_KEY", self.key)
        return run_job(request, DataRoot(self.root), self.events.append)

    def asked(self, *, paid: bool = False) -> list[list[str]]:
        """The segments of each call, as hashes of their samples, in the order in which the calls came."""
        return [
            [segment["sha256"] for segment in call["body"]["segments"]]
            for call in self.server.log()
            if call["paid"] or not paid
        ]

    def paid_segments(self) -> Counter[str]:
        """How often each segment was in a call that was paid for."""
        return Counter(digest for call in self.asked(paid=True) for digest in call)

    def samples_of(self, part: SegmentToTag) -> str:
        """The hash of a cached segment's samples."""
        path = DataRoot(self.root).segments(part.audio_hash, "mono44") / f"seg_{part.index:04d}.wav"
        samples, _ = soundfile.read(path, dtype="int16")
        return hashlib.sha256(samples.tobytes()).hexdigest()

    def kept(self) -> list[Path]:
        """The answers in the worker's cache."""
        return sorted((self.root / "cache" / "tags").rglob("*.json"))

    def everything_said(self) -> str:
        """All events, and every file below the data root that is no sound."""
        files = [path for path in self.root.rglob("*") if path.is_file() and path.suffix != ".wav"]
        said = [event.model_dump_json() for event in self.events]
        return "\n".join([*said, *(path.read_text(errors="replace") for path in files)])


def make_segments(root: Path, folder: Path, count: int, silent: int = 0) -> list[SegmentToTag]:
    """So many files of a second, each with one segment in the cache; the last `silent` of them are silent."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    random = np.random.default_rng(3)
    for number in range(count + silent):
        time_ = np.arange(RATE) / RATE
        level = 0.5 if number < count else 0.0
        sound = level * np.sin(2 * np.pi * (110 + 7 * number) * time_) + level * 0.01 * random.standard_normal(RATE)
        sound[: number + 1] = 0  # no two files are the same, silent or not
        path = folder / f"{number}.wav"
        soundfile.write(path, sound[: RATE - number], RATE, subtype="PCM_16")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append(AudioSource(audio_hash=digest, url=path.as_uri(), name=path.name))
    result = prepare(PrepareRequest(sources=sources), DataRoot(root), lambda _event: None)
    by_hash = {audio.audio_hash: audio for audio in result.prepared}
    return [
        SegmentToTag(
            audio_hash=source.audio_hash, index=0, sha256=by_hash[source.audio_hash].segments[0].sha256, bpm=124
        )
        for source in sources
    ]


def copy_segments(source: Path, target: Path) -> None:
    shutil.copytree(source / "cache" / "segments", target / "cache" / "segments")


def worker_process(seconds: float = 20.0) -> psutil.Process:
    """The worker that is running below this process.

    Raises:
        TimeoutError: there is none.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if running := workers():
            return running[0]
        time.sleep(0.01)
    raise TimeoutError("no worker is running")
