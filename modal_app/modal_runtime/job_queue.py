"""`ModalJobQueue`: the web endpoints' jobs as calls of the app.

Which call does a key's job is in the claim store, for all containers. An entry has its number; the next one is written
when the call before was interrupted, and by one asker only.
"""

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from modal_app.errors import InterruptedJobError, JobError, ReplayedJobError, UnknownJobError
from modal_app.modal_runtime.call_results import read_answer
from modal_app.modal_runtime.claim_store import ClaimStore
from modal_app.modal_runtime.remote_calls import Calls, Taken, require_below
from modal_app.modal_runtime.routing import function_of, key_of
from modal_app.protocol.base import JobRequest, JobResult, Message
from modal_app.protocol.requests import REQUESTS, kind_of
from modal_app.web.job_queue import Call, JobQueue

_CHUNK = 1 << 20
_IN_MEMORY = 8 << 20
_MAX_HOPS = 5


class _Entry(Message):
    kind: str
    request: str  # SHA-256 of it
    call_id: str


class ModalJobQueue(JobQueue):
    """Hands jobs to `calls`, and remembers in `register` which call has which."""

    def __init__(self, calls: Calls, claim_store: ClaimStore) -> None:
        self._calls, self._claim_store = calls, claim_store

    def submit(self, key: str, request: JobRequest[JobResult]) -> Call:
        """Start the job of this key, or find it; see `JobQueue.submit`."""
        asked = request.model_dump_json()
        digest = hashlib.sha256(asked.encode()).hexdigest()
        while True:
            number, entry = self._latest(key)
            if entry is not None:
                if entry.request != digest:
                    raise ReplayedJobError(f"job_id: {key} was asked for with another request; use another job_id")
                try:
                    return self._look(entry, 0)
                except (InterruptedJobError, UnknownJobError):
                    number += 1
            call_id = self._calls.spawn(function_of(request), asked, key_of(request))
            entry = _Entry(kind=kind_of(request), request=digest, call_id=call_id)
            if self._claim_store.put_new(_name(key, number), entry.model_dump_json()):
                return Call(call_id, "queued")
            self._calls.cancel(call_id)  # somebody else was quicker

    def wait(self, key: str, seconds: float) -> Call:
        """Return the call of this key; see `JobQueue.wait`."""
        _, entry = self._latest(key)
        if entry is None:
            raise UnknownJobError(f"{key}: no such job; hand it in first")
        return self._look(entry, seconds)

    def open(self, path: str) -> BinaryIO:
        """Return a file below the data root; see `JobQueue.open`."""
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the caller closes it
        try:
            self._calls.read(require_below(path), cast("BinaryIO", file))
        except BaseException as error:
            file.close()
            if isinstance(error, FileNotFoundError):
                raise JobError(
                    f"{path}: no such file on the app's data root; run the job that makes it again"
                ) from None
            raise
        file.seek(0)
        return cast("BinaryIO", file)

    def store(self, path: str, source: BinaryIO) -> None:
        """Write a file below the data root, atomically."""
        require_below(path)
        with tempfile.NamedTemporaryFile() as file:
            shutil.copyfileobj(source, file, _CHUNK)
            file.flush()
            self._calls.write(path, Path(file.name))

    def _latest(self, key: str) -> tuple[int, _Entry | None]:
        number, latest = 0, None
        while (value := self._claim_store.get(_name(key, number))) is not None:
            latest = _Entry.model_validate_json(value)
            number += 1
        return max(number - 1, 0), latest

    def _look(self, entry: _Entry, seconds: float) -> Call:
        """Return how an entry's job stands, by its call or the one that does the same job.

        Raises:
            InterruptedJobError: the call ended, and left nothing.
            UnknownJobError: it is too long ago.
        """
        call_id = entry.call_id
        for _ in range(_MAX_HOPS):
            state = self._calls.poll(call_id, seconds)
            if state.name == "running":
                return Call(entry.call_id, "running")
            answer = read_answer(self._calls, call_id, REQUESTS[entry.kind].result_type, entry.kind)
            if answer is None and state.name == "gone":
                raise UnknownJobError(f"{entry.kind}: its result is no longer kept; hand it in again")
            if answer is None:
                why = state.reason or f"was {state.name}"
                raise InterruptedJobError(f"{entry.kind}: its call {why}; hand it in again")
            if not isinstance(answer, Taken):
                return Call(entry.call_id, "done", answer)
            call_id = answer.call_id
        raise InterruptedJobError(f"{entry.kind}: one call names the other; hand it in again")


def _name(key: str, number: int) -> str:
    return f"desk/{key}/{number}"  # so called by what is deployed
