"""The command line of spec/modal-app.md: train on local files, or render, through calls of the app, with progress."""

import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from modal_app.data_root.atomic_writes import atomic_path
from modal_app.errors import InputError, JobCancelledError, JobError
from modal_app.modal_runtime.call_results import read_answer
from modal_app.modal_runtime.polling import Pace, follow
from modal_app.modal_runtime.remote_calls import Calls, CallState, Taken
from modal_app.modal_runtime.routing import function_of, key_of
from modal_app.producer.uploads import checked_filename, public_path
from modal_app.protocol.base import Event, JobRequest, JobResult
from modal_app.protocol.producer import ProducerTrainResult
from modal_app.protocol.requests import kind_of
from modal_app.protocol.training import GenerateResult
from modal_app.web.error_responses import first_problem
from modal_app.web.messages import GenerateBody, TrainBody
from modal_app.web.options import WebOptions
from modal_app.web.work import generate_job, train_job, trained_answer

Say = Callable[[str], None]

_PACE = Pace(first_pause=0.5, longest_pause=5.0)


def run_train(
    calls: Calls, options: WebOptions, *, producer_id: str, paths: str, model_name: str, backend: str, say: Say
) -> None:
    """Upload files (`a.wav,b.wav`), train on them, and say where the adapter is.

    Raises:
        InputError: a file or an option can't be used.
        JobError: the training left no adapter.
    """
    files = [Path(path.strip()) for path in paths.split(",") if path.strip()]
    if not files:
        raise InputError("--paths: names no file; give audio files, separated by commas")
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: is no file; mend --paths")
    job_id = uuid.uuid4().hex
    places = [f"uploads/{producer_id}/{job_id}/{checked_filename(file.name)}" for file in files]
    body = _body(
        TrainBody,
        producer_id=producer_id,
        upload_paths=[public_path(place) for place in places],
        model_name=model_name or None,
        job_id=job_id,
        backend_override=backend or None,
    )
    job = train_job(body, options)
    for file, place in zip(files, places, strict=True):
        say(f"uploading {file.name}")
        calls.write(place, file)
    result = cast("ProducerTrainResult", _wait(calls, job.request, say))
    for line in result.failed:
        say(f"left out: {line}")
    say(f"trained in {result.steps} steps: {trained_answer(result).lora_path}")
    say(f"render with it: --task generate --lora-id {producer_id}:{result.model_name}")


def run_generate(
    calls: Calls,
    options: WebOptions,
    *,
    prompt: str,
    lora_id: str,
    duration: float,
    backend: str,
    out: str,
    say: Say,
) -> None:
    """Render, and write the audio to a file of this machine.

    Raises:
        InputError: an option can't be used.
        JobError: nothing was rendered.
    """
    body = _body(
        GenerateBody,
        prompt=prompt,
        lora_id=lora_id or None,
        duration_seconds=duration,
        backend_override=backend or None,
    )
    result = cast("GenerateResult", _wait(calls, generate_job(body, options).request, say))
    target = Path(out)
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        calls.read(result.path, file)
    say(f"rendered {result.samples / result.sample_rate:.1f} s with {result.lora or 'the base model alone'}: {target}")


def say_line(line: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _body(model: type[Any], **fields: Any) -> Any:
    try:
        return model(**fields)
    except ValidationError as error:
        raise InputError(first_problem(error)) from None


def _wait(calls: Calls, request: JobRequest[JobResult], say: Say) -> JobResult:
    """Start a job and follow it to its end; Ctrl-C cancels it."""
    kind, call_id = kind_of(request), calls.spawn(function_of(request), request.model_dump_json(), key_of(request))
    try:
        while True:
            state = follow(calls, call_id, lambda event: say(_line(event)), _PACE)
            answer = read_answer(calls, call_id, request.result_type, kind)
            if not isinstance(answer, Taken):
                return _or_error(answer, kind, state)
            call_id = answer.call_id
    except BaseException:  # Ctrl-C above all: nobody waits for it any more, and its GPU is paid for
        with suppress(JobError):
            calls.cancel(call_id)
        raise


def _or_error(answer: JobResult | None, kind: str, state: CallState) -> JobResult:
    if answer is not None:
        return answer
    if state.name == "cancelled":
        raise JobCancelledError(f"{kind}: the call was cancelled; run it again")
    raise JobError(f"{kind}: the call {state.reason or f'is {state.name} and left nothing'}; run it again")


def _line(event: Event) -> str:
    return event.message if event.total is None else f"[{event.done}/{event.total}] {event.message}"
