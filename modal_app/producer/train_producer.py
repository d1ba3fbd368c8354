"""The `train_producer` job: a producer's files, straight to a published adapter. What its steps do is elsewhere.

Everything is decided before the training begins and written down as its plan; killed at any point and run again, the
job goes on by that plan. Its view is `training_data/<producer>.<job>`, its run `http-…`: what the pipeline makes for an
artist of the same name is never touched.
"""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from modal_app.adapters.publish import HTTP_RUN, install, require_free_name
from modal_app.audio.segment_cache import find_prepared
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.digests import sha256_file
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import discard, locked, scratch_folder, sweep
from modal_app.errors import ConflictError, DawaError, InputError
from modal_app.producer.dataset_files import title_of
from modal_app.producer.fetch import Fetcher
from modal_app.producer.material import (
    Listed,
    PreparedFile,
    example_seconds,
    make_examples,
    prepare_files,
    publish_job,
    tag_files,
)
from modal_app.producer.uploads import find_upload
from modal_app.protocol.audio import AudioSource
from modal_app.protocol.base import Event, Message, Sha256
from modal_app.protocol.producer import ProducerFile, ProducerTrainRequest, ProducerTrainResult
from modal_app.protocol.training import InstallRequest, TrainRequest, TrainResult
from modal_app.training.caption_rule import RULE
from modal_app.training.crops import stretches_of
from modal_app.training.recipes import PLANNING_FRAMES, plan_training
from modal_app.training.train import train

_PLAN, _FILES = "plan.json", "files"
_MAX_NAMES = 10  # that are tried for one adapter
_MAX_NAME_LENGTH = 64  # of an `Identifier`
_MAX_REPORTED = 3  # failures in the message where every file failed


class Plan(Message):
    """What was decided: the training, and which files have no part in it."""

    asked: Sha256
    training: TrainRequest
    failed: list[str]


def train_producer(
    request: ProducerTrainRequest,
    root: DataRoot,
    emit: Callable[[Event], None],
    fetcher: Fetcher | None = None,
) -> ProducerTrainResult:
    """Train and publish one adapter. A file that can't be used fails alone.

    Where nobody asked for the adapter's name and it is the pipeline's, it gets another one, and the result says so.

    Raises:
        ConflictError: the name that was asked for is the pipeline's, or the job's id was another request's.
        InputError: no file can be used, or nothing is to be heard in them; see also `train`.
        ServiceError: the tagger can't be used.
        JobError: see `train`.
    """
    sweep(root.scratch())
    run_id = run_id_of(request.producer_id, request.job_id)
    _free_name(root, run_id, request)  # before anything is fetched
    folder = root.producer_job(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        try:
            plan = _find_plan(folder, request, root)
            if plan is None:
                name = _free_name(root, run_id, request)
                plan = _make_plan(folder, request, name, root, fetcher or Fetcher(), emit)
            trained = train(plan.training, root, emit)
        except DawaError:
            discard(folder / _FILES, root.scratch())  # nobody takes up what failed, other than what was killed
            raise
        name = plan.training.model_name
        installed = install(InstallRequest(run_id=run_id, producer_id=request.producer_id, model_name=name), root, emit)
        discard(folder / _FILES, root.scratch())
    return _result(request, plan, trained, installed.lora_path)


def run_id_of(producer_id: str, job_id: str) -> str:
    """Return the training run of a job: always the same, and never one of the pipeline's."""
    return HTTP_RUN + hashlib.sha256(f"{producer_id}/{job_id}".encode()).hexdigest()[:40]


def _find_plan(folder: Path, request: ProducerTrainRequest, root: DataRoot) -> Plan | None:
    """Return the plan of an earlier call, if what it needs is still there.

    Raises:
        ConflictError: that call was another request's.
    """
    try:
        plan = Plan.model_validate_json((folder / _PLAN).read_bytes())
    except (OSError, ValidationError):
        return None
    if plan.asked != _asked(request):
        raise ConflictError(f"job {request.job_id}: was used for another request already; take another job_id")
    training = plan.training
    hashes = {example.audio_hash for example in training.examples}
    is_cached = all(find_prepared(root, audio_hash, training.recipe) for audio_hash in hashes)
    is_done = (root.run(training.run_id) / "result.json").is_file()
    return plan if is_done or is_cached else None


def _free_name(root: DataRoot, run_id: str, request: ProducerTrainRequest) -> str:
    """Return the model name of the request, or where nobody asked for it and it is taken, one made of it.

    Raises:
        ConflictError: it is taken, and so are the others.
    """
    names = [request.model_name]
    if request.may_rename:
        suffixes = ["_upload", *(f"_upload_{number}" for number in range(2, _MAX_NAMES))]
        names += [request.model_name[: _MAX_NAME_LENGTH - len(suffix)] + suffix for suffix in suffixes]
    for name in names[:-1]:
        with contextlib.suppress(ConflictError):
            require_free_name(root, run_id, request.producer_id, name)
            return name
    require_free_name(root, run_id, request.producer_id, names[-1])
    return names[-1]


def _make_plan(
    folder: Path,
    request: ProducerTrainRequest,
    name: str,
    root: DataRoot,
    fetcher: Fetcher,
    emit: Callable[[Event], None],
) -> Plan:
    failed: list[str] = []
    listed = _list_files(folder / _FILES, request, root, fetcher, failed, emit)
    prepared = prepare_files(listed, request, root, failed, emit) if listed else []
    if not prepared:
        reason = "; ".join(failed[:_MAX_REPORTED]) + (
            f"; and {len(failed) - _MAX_REPORTED} more" * (len(failed) > _MAX_REPORTED)
        )
        raise InputError(f"none of the {len(request.files)} files can be used: {reason}")
    for line in failed:
        emit(Event(kind="log", level="warning", message=f"left out: {line}"))
    tags = tag_files(prepared, request, root, emit)
    plan = Plan(asked=_asked(request), training=_training(request, name, prepared, tags, emit), failed=failed)
    publish_job(f"{request.producer_id}.{request.job_id}", prepared, tags, root, emit)
    with scratch_folder(root.scratch()) as scratch:
        (scratch / _PLAN).write_text(plan.model_dump_json(), "utf-8")
        (scratch / _PLAN).replace(folder / _PLAN)
    return plan


def _training(
    request: ProducerTrainRequest,
    name: str,
    prepared: list[PreparedFile],
    tags: dict[str, str],
    emit: Callable[[Event], None],
) -> TrainRequest:
    examples = make_examples(prepared, tags)
    if not examples:
        raise InputError("there is nothing to be heard in these files; check what they hold")
    seconds = example_seconds(prepared)
    manifests = {part.audio.audio_hash: part.audio for part in prepared}
    stretches = stretches_of(examples, manifests, {}, PLANNING_FRAMES)
    plan = plan_training(request.parameters, request.backend, request.base, seconds, seconds / len(examples), stretches)
    emit(Event(kind="log", message=plan.line))
    content = "\n".join(example.model_dump_json() for example in examples)
    return TrainRequest(
        run_id=run_id_of(request.producer_id, request.job_id),
        producer_id=request.producer_id,
        model_name=name,
        backend=request.backend,
        base=request.base,
        recipe=prepared[0].audio.recipe,
        dataset_fingerprint=hashlib.sha256(content.encode()).hexdigest(),
        caption_rule=RULE,
        parameters=plan.parameters,
        examples=examples,
    )


def _list_files(
    folder: Path,
    request: ProducerTrainRequest,
    root: DataRoot,
    fetcher: Fetcher,
    failed: list[str],
    emit: Callable[[Event], None],
) -> list[Listed]:
    """Return the files that are there, each content once. Fetched ones lie in `folder` until the job is done."""
    listed: dict[str, Listed] = {}
    for number, file in enumerate(request.files):
        name = _name_of(file, number + 1)
        try:
            if file.url is not None:
                path = folder / f"{number:04d}"
                if not path.is_file():
                    _fetch(file.url, path, name, root, fetcher)
            else:
                path = find_upload(root, file.path or "", request.producer_id)
            digest = sha256_file(path)
        except DawaError as error:
            failed.append(str(error))
            continue
        same = listed.get(digest)
        if same:
            failed.append(f"{name}: is the same audio as {same.source.name}; it counts once")
            continue
        source = AudioSource(audio_hash=digest, url=path.resolve().as_uri(), name=name)
        listed[digest] = Listed(file, file.title or title_of(name), source)
        emit(Event(kind="progress", message=f"{name}: is there", done=number + 1, total=len(request.files)))
    return list(listed.values())


def _fetch(url: str, path: Path, name: str, root: DataRoot, fetcher: Fetcher) -> None:
    path.parent.mkdir(exist_ok=True)
    with scratch_path(path, root.scratch()) as fresh:
        fetcher.fetch(url, fresh, name)


def _name_of(file: ProducerFile, number: int) -> str:
    """Return what messages call a file: its own name, never its URL, which may be signed; without one, its number."""
    try:
        last = (unquote(urlsplit(file.url).path) if file.url is not None else file.path or "").rpartition("/")[2]
    except ValueError:
        last = ""
    plain = "".join(letter if letter.isprintable() else "?" for letter in last)
    return plain[:100] or file.title or f"file {number}"


def _result(request: ProducerTrainRequest, plan: Plan, trained: TrainResult, lora_path: str) -> ProducerTrainResult:
    name = plan.training.model_name
    return ProducerTrainResult(
        job_id=request.job_id,
        producer_id=request.producer_id,
        model_name=name,
        backend=request.backend,
        lora_path=lora_path,
        run_id=plan.training.run_id,
        files=trained.files,
        segments=len(plan.training.examples),
        steps=trained.steps,
        final_loss=trained.final_loss,
        failed=plan.failed,
        renamed_from=None if name == request.model_name else request.model_name,
    )


def _asked(request: ProducerTrainRequest) -> str:
    """Return what was asked for; who chose the adapter's name makes no other request of it."""
    return hashlib.sha256(request.model_dump_json(exclude={"may_rename"}).encode()).hexdigest()
