"""`ModalCompute`: each job is a call of a function of the deployed app, followed through the folder that it writes.

A call outlives this process when that is killed, and is taken up again by whoever finds its id on record. When we are
only interrupted it is cancelled. What a job does is the worker's affair (`modal_app/`).
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from modal_app.data_root.atomic_writes import atomic_path
from modal_app.errors import JobCancelledError, JobError, UnreachableError
from modal_app.modal_runtime.call_results import read_answer, read_used
from modal_app.modal_runtime.polling import Pace, follow
from modal_app.modal_runtime.remote_calls import Calls, CallState, Taken, require_below
from modal_app.modal_runtime.routing import function_of, key_of
from modal_app.protocol.base import Event, JobRequest
from modal_app.protocol.requests import kind_of
from resources.compute.base import CallRecord, Compute, R

_T = TypeVar("_T")

log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_MAX_CALLS = 16  # that are followed for one job: the one on record, one that has taken it, one of our own …
_MAX_WAIT = 60.0  # seconds, for a call that has ended to let go of its job


class ModalCompute(Compute):
    """Runs jobs as calls, and looks at them at the given pace.

    Where no answer comes for too long a job is given up here, and its call left to whoever asks next.
    """

    def __init__(self, calls: Calls, pace: Pace | None = None) -> None:
        self._calls, self._pace = calls, pace or Pace()

    def run(self, request: JobRequest[R], on_event: Callable[[Event], None], record: CallRecord | None = None) -> R:
        """Run one job to its end and return its result; see `Compute.run`.

        Raises:
            JobError: the job ended without a result; the message is the worker's own line.
            RefusedJobError: the same, and the user can mend it.
            JobCancelledError: somebody else cancelled the call.
            UnreachableError: Modal does not answer; the call goes on, and stays on record.
        """
        kind = kind_of(request)
        call_id = None if record is None else record.call_id
        was_named = False  # by another call, as the one that does this job
        is_ours = call_id is None  # started by this very `run`, so that its end says something about this job
        if call_id is not None:
            log.info("%s: taking up the call %s that was started before", kind, call_id)
        holders_gone = 0
        for _ in range(_MAX_CALLS):
            if call_id is None:
                call_id, is_ours = self._start(request, record), True
            state = self._follow(call_id, on_event, record)
            answer = self._patiently(partial(read_answer, self._calls, call_id, request.result_type, kind))
            if isinstance(answer, Taken):
                log.info("%s: the call %s does this already; following that one", kind, answer.call_id)
                call_id, is_ours, was_named = answer.call_id, False, True
                if record is not None:
                    record.keep(call_id)
            elif answer is not None:
                self._tell_use(call_id, record)
                return answer  # type: ignore[return-value]
            elif is_ours:
                raise _without_an_answer(kind, call_id, state)
            else:
                log.info("%s: the call %s left nothing (%s); starting another", kind, call_id, state.name)
                if was_named:  # it has ended, and not let go of the job yet
                    time.sleep(min(self._pace.longest_pause * 2**holders_gone, _MAX_WAIT))
                    holders_gone += 1
                call_id, was_named = None, False
        raise JobError(f"{kind}: {_MAX_CALLS} calls for it one after the other left nothing; run it again later")

    def cancel(self, call_id: str) -> None:
        """Stop a call that nobody waits for any more; one that has ended is left alone."""
        self._calls.cancel(call_id)

    def fetch(self, path: str, target: Path) -> None:
        """Copy a file below the data root to `target`, atomically.

        Raises:
            JobError: there is no such file, or the path leads elsewhere.
        """
        require_below(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with atomic_path(target) as temporary:
                self._patiently(lambda: self._download(path, temporary))
        except FileNotFoundError:
            raise JobError(f"{path}: no such file on the app's data root; run the job that makes it again") from None

    def store(self, path: str, source: BinaryIO) -> None:
        """Write a file below the data root, atomically.

        Raises:
            JobError: the path leads elsewhere.
        """
        require_below(path)
        with tempfile.NamedTemporaryFile() as file:  # it is read twice: for its hash, and for its bytes
            shutil.copyfileobj(source, file, _CHUNK)
            file.flush()
            self._patiently(lambda: self._calls.write(path, Path(file.name)))

    def _download(self, path: str, target: Path) -> None:
        with target.open("wb") as file:
            self._calls.read(path, file)

    def _start(self, request: JobRequest[R], record: CallRecord | None) -> str:
        """Start a call; it is on record before anything else happens, or it is cancelled again."""
        call_id = self._calls.spawn(function_of(request), request.model_dump_json(), key_of(request))
        try:
            if record is not None:
                record.keep(call_id)
        except BaseException:  # Ctrl-C too: a call that is on no record could never be found again
            self._calls.cancel(call_id)
            raise
        return call_id

    def _follow(self, call_id: str, on_event: Callable[[Event], None], record: CallRecord | None) -> CallState:
        """Hand on a call's events until it has ended. When we are interrupted the call is cancelled."""
        try:
            return follow(self._calls, call_id, on_event, self._pace)
        except UnreachableError:
            raise
        except BaseException:  # Ctrl-C or a stopped run: nobody else would end it, and its GPU is paid for
            self._cancel_if_ours(call_id, record)
            raise

    def _cancel_if_ours(self, call_id: str, record: CallRecord | None) -> None:
        """Cancel the call, unless it is somebody else's by now: they took over, and follow it."""
        try:
            if record is not None:
                record.keep(call_id)
        except Exception as error:
            log.warning("the call %s is left alone: %s", call_id, error)
            return
        try:
            self._calls.cancel(call_id)
        except JobError as error:  # it stays on record: the next run takes it up, or it is reaped
            log.warning("the call %s could not be cancelled: %s", call_id, error)
            return
        if record is not None:
            with suppress(Exception):  # found cancelled by the next run, it is not taken for one that goes on
                record.keep(None)

    def _tell_use(self, call_id: str, record: CallRecord | None) -> None:
        if record is not None:
            gpu_seconds = self._patiently(lambda: read_used(self._calls, call_id)).gpu_seconds
            record.used(round(gpu_seconds, 1))

    def _patiently(self, ask: Callable[[], _T]) -> _T:
        """Ask again where no answer comes, until patience ends."""
        pause, started = self._pace.first_pause, time.monotonic()
        while True:
            try:
                return ask()
            except UnreachableError as error:
                if time.monotonic() > started + self._pace.patience:
                    raise
                log.warning("%s", error)
                time.sleep(pause)
                pause = min(pause * 2, self._pace.longest_pause)


def _without_an_answer(kind: str, call_id: str, state: CallState) -> JobError:
    if state.name == "cancelled":
        return JobCancelledError(f"{kind}: its call {call_id} was cancelled; run it again")
    if state.name == "failed":
        return JobError(f"{kind}: its call {call_id} {state.reason}; the app's log has more (`modal app logs`)")
    return JobError(f"{kind}: what its call {call_id} left on the data root is not there any more; run it again")
