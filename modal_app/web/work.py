"""What the endpoints do, apart from HTTP: requests to jobs for a `JobQueue`, and results to answers."""

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from anyio import CapacityLimiter, to_thread

from modal_app.errors import InputError
from modal_app.producer.dataset_files import normalize_dataset
from modal_app.producer.uploads import checked_filename, checked_upload_path, checked_url, public_path
from modal_app.protocol.base import JobRequest, JobResult
from modal_app.protocol.musical_facts import listed_sections
from modal_app.protocol.producer import ProducerFile, ProducerTrainRequest, ProducerTrainResult
from modal_app.protocol.training import GenerateRequest, MusicalFacts
from modal_app.web.job_queue import Call, JobQueue
from modal_app.web.messages import GenerateBody, StoredUpload, TrainBody, TrainedAnswer
from modal_app.web.options import WebOptions

_FIRST_PAUSE, _MAX_PAUSE = 0.02, 1.0  # seconds between two looks at a job

_MAX_KEPT = 5_000  # characters of a URL or path that can't be used; shorter ones would be others

R = TypeVar("R")


@dataclass(frozen=True)
class Job:
    """A job as a client knows it (`job_id`), and as the queue does (`key`)."""

    job_id: str
    key: str
    request: JobRequest[JobResult]


def train_job(body: TrainBody, options: WebOptions) -> Job:
    """Return the job that a train request asks for.

    Raises:
        InputError: the request can't be used; one line that names the field.
    """
    if (body.upload_urls is None) == (body.upload_paths is None):
        raise InputError("upload_urls, upload_paths: both or none are there; send one of the two")
    named = body.upload_urls if body.upload_urls is not None else body.upload_paths or []
    if len(set(named)) != len(named):
        raise InputError("the same file is named twice; name each once")
    known = normalize_dataset(named, body.metadata_per_file)
    places = _places(body, named)
    if body.skip_preprocess and body.tag_before_train:
        raise InputError("tag_before_train: tags are of prepared segments; leave skip_preprocess out, or this")
    backend, base = options.backend_for(body.backend_override)
    job_id = body.job_id or uuid.uuid4().hex
    request = ProducerTrainRequest(
        job_id=job_id,
        producer_id=body.producer_id,
        model_name=body.model_name or options.model_name,
        may_rename=body.model_name is None,
        backend=backend,
        base=base,
        parameters=options.training,
        files=[
            ProducerFile(
                **place,
                title=file.title,
                prompt=file.prompt,
                tags=list(file.tags),
                bpm=file.bpm,
                musical_key=file.musical_key,
            )
            for place, file in zip(places, known, strict=True)
        ],
        skip_preprocess=body.skip_preprocess,
        tagger=options.tagger if body.tag_before_train else None,
        tag_model=options.tag_model if body.tag_before_train else None,
    )
    return Job(job_id, train_key(body.producer_id, job_id), request)


def _places(body: TrainBody, named: list[str]) -> list[dict[str, str]]:
    """Return where the files lie. Of one that can't be used the job says so, and goes on with the others.

    Raises:
        InputError: none can be used.
    """
    places: list[dict[str, str]] = []
    refused: list[InputError] = []
    for given in named:
        try:
            if body.upload_urls is not None:
                places.append({"url": checked_url(given)})
            else:
                places.append({"path": checked_upload_path(given, body.producer_id)})
        except InputError as error:
            refused.append(error)
            places.append({"url" if body.upload_urls is not None else "path": given[:_MAX_KEPT]})
    if len(refused) == len(named):
        raise refused[0]
    return places


def train_key(producer_id: str, job_id: str) -> str:
    """By what the queue knows a training."""
    return f"train_producer/{producer_id}/{job_id}"


def trained_answer(result: ProducerTrainResult) -> TrainedAnswer:
    """Return a finished training as clients are told of it."""
    note = None
    if result.renamed_from is not None:
        note = (
            f"{result.producer_id}:{result.renamed_from} was published by the pipeline and stays as it is; "
            f"this one is {result.producer_id}:{result.model_name}"
        )
    return TrainedAnswer(
        job_id=result.job_id,
        producer_id=result.producer_id,
        model_name=result.model_name,
        backend=result.backend,
        lora_path=public_path(result.lora_path),
        failed=result.failed or None,
        note=note,
    )


def generate_job(body: GenerateBody, options: WebOptions, producer_id: str | None = None) -> Job:
    """Return the job that a generate request asks for. Without a seed, each job id has its own.

    Job ids are the producer's own: the LoRA's, or where none is asked for `producer_id`.

    Raises:
        InputError: the request can't be used; one line that names the field.
    """
    backend, base = options.backend_for(body.backend_override)
    if body.lora_id:
        producer_id = body.lora_id.partition(":")[0]
    job_id = body.job_id or uuid.uuid4().hex
    key = generate_key(producer_id, job_id)
    digest = hashlib.sha256(key.encode()).hexdigest()
    request = GenerateRequest(
        job_id=f"http-{digest[:40]}",
        prompt=body.prompt,
        lora_id=body.lora_id or None,
        duration_seconds=body.duration_seconds,
        seed=body.seed if body.seed is not None else int(digest[:8], 16) % 2**31,
        backend=backend,
        base=base,
        scale=body.scale,
        facts=MusicalFacts(
            bpm=body.bpm,
            musical_key=body.key,
            time_signature=body.time_signature,
            sections=listed_sections(body.section),
        ),
    )
    return Job(job_id, key, request)


def generate_key(producer_id: str | None, job_id: str) -> str:
    """By what the queue knows a rendering; without a producer it is one by the base alone."""
    return f"generate/{producer_id or '-'}/{job_id}"


def store_upload(job_queue: JobQueue, producer_id: str, job_id: str, filename: str, source: BinaryIO) -> StoredUpload:
    """Store an audio file among the producer's uploads. The same again is success. `source` can be read again.

    Args:
        job_queue: whose data root it goes to.
        producer_id: whose it is, an `Identifier`.
        job_id: an `Identifier` too.
        filename: its name, checked here.
        source: its bytes.

    Raises:
        InputError: the name can't be used, or the bytes are no audio.
        FileTakenError: another file has this name.
    """
    path = f"uploads/{producer_id}/{job_id}/{checked_filename(filename)}"
    _require_audio(source, filename)
    job_queue.store_once(path, source)
    return StoredUpload(path=public_path(path), producer_id=producer_id, job_id=job_id)


def _require_audio(source: BinaryIO, name: str) -> None:
    """Decode the beginning of a file.

    Raises:
        UnreadableAudioError: that can't be done.
    """
    from modal_app.audio.decode import read_audio

    source.seek(0)
    with read_audio(source, name) as audio:
        next(audio.blocks(), None)


class InThread:
    """Runs a function in a thread, at most so many at once, so that no request holds the others."""

    def __init__(self, at_once: int = 16) -> None:
        self._limiter = CapacityLimiter(at_once)

    async def __call__(self, work: Callable[[], R]) -> R:
        """Return its result."""
        return await to_thread.run_sync(work, limiter=self._limiter)


async def finished(
    job_queue: JobQueue, key: str, seconds: float, in_thread: InThread, is_gone: Callable[[], Awaitable[bool]]
) -> Call:
    """Return the call of a key, waited for so long; shorter where whoever asked is gone.

    Looks again and again instead of holding a thread: many may wait at once.

    Raises:
        UnknownJobError: nothing was handed in under this key.
        JobError: the job ended without a result.
    """
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + seconds, _FIRST_PAUSE
    while True:
        call = await in_thread(lambda: job_queue.wait(key, 0))
        left = end - loop.time()
        if call.status == "done" or left <= 0 or await is_gone():
            return call
        await asyncio.sleep(min(pause, left))
        pause = min(2 * pause, _MAX_PAUSE)
