"""Jobs over HTTP, for every face: handed in, waited for, and answered with the result, with 202, or with the audio.

A job that outlasts the wait is answered with 202 and a `Location` that can be asked until the answer is there. So
nothing that was sent is ever sent again.
"""

import base64
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, BinaryIO

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from modal_app.errors import BadRequestError, JobError
from modal_app.protocol.training import GenerateResult
from modal_app.web.job_queue import Call, JobQueue
from modal_app.web.marking import Mark
from modal_app.web.messages import RunningAnswer
from modal_app.web.work import InThread, Job, finished

RUNNING: dict[int | str, dict[str, Any]] = {
    202: {"model": RunningAnswer, "description": "not done yet; GET the `Location` for the answer"}
}
"""What a route's page says of the answer 202."""

_ASK_AGAIN_SECONDS = 2
_AUDIO_CHUNK = 3 << 16  # bytes; a multiple of three is whole base64


async def submit(job_queue: JobQueue, job: Job, seconds: float, in_thread: InThread, request: Request) -> Call:
    """Hand in a job, or find it, and wait for its end: so many seconds at most, and no longer than the client does.

    Raises:
        JobError: it ended without a result.
    """
    call = await in_thread(lambda: job_queue.submit(job.key, job.request))
    if call.status == "done":
        return call
    return await finished(job_queue, job.key, seconds, in_thread, request.is_disconnected)


def running_answer(request: Request, call: Call, job_id: str, path: str) -> Response:
    """Return the answer 202: `path` below the app is where the end can be asked for."""
    answer = RunningAnswer(job_id=job_id, call_id=call.call_id)
    headers = {
        "Location": f"{request.scope.get('root_path', '')}{path}",
        "Retry-After": str(_ASK_AGAIN_SECONDS),
    }
    return JSONResponse(answer.model_dump(), HTTPStatus.ACCEPTED, headers)


async def audio_answer(
    job_queue: JobQueue,
    result: GenerateResult,
    in_thread: InThread,
    *,
    fields: Sequence[tuple[str, str]],
    gone: str,
    mark: Mark | None,
    producer: str | None,
) -> Response:
    """Return a rendering as JSON, piece by piece: a minute of audio twice in base64 is some 30 MB.

    Args:
        job_queue: by whom the file is opened.
        result: what was rendered.
        in_thread: where waiting for the disk holds up nobody.
        fields: name and what stands before the base64, for each field that has the audio.
        gone: the line for audio that is no longer kept.
        mark: how it is marked as generated; None: not.
        producer: whose adapter it is, or for whom the base rendered it.

    Raises:
        BadRequestError: it is no longer kept.
    """
    try:
        audio = await in_thread(lambda: job_queue.open(result.path))
    except JobError:
        raise BadRequestError(HTTPStatus.NOT_FOUND, gone) from None
    if mark is not None:
        audio = await in_thread(lambda: mark(audio, result, producer))
    size = audio.seek(0, 2)
    parts = [f'"{name}":"{before}'.encode() for name, before in fields]
    length = sum(len(part) for part in parts) + len(parts) * ((size + 2) // 3 * 4 + len(b'",')) + len(b"{}") - len(b",")
    return StreamingResponse(
        _pieces(audio, parts), media_type="application/json", headers={"Content-Length": str(length)}
    )


def _pieces(audio: BinaryIO, parts: list[bytes]) -> Iterator[bytes]:
    with audio:
        for number, part in enumerate(parts):
            yield (b'",' if number else b"{") + part
            audio.seek(0)
            while chunk := audio.read(_AUDIO_CHUNK):
                yield base64.b64encode(chunk)
        yield b'"}'
