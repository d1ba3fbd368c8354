"""The worker as a child process: how it talks, not what it does.

It is started as `python -m modal_app.worker.process JOB_FOLDER DATA_ROOT`.

It reads `request.json` in the job's folder, writes events as JSON lines to stdout, and leaves `result.json`, or
`error.json` with one line for people. SIGTERM cancels the job. stdin is a lifeline: when its other end is closed,
whoever asked is gone, and the worker ends itself.
"""

import logging
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from pydantic import AliasChoices, BaseModel, Field, TypeAdapter

from modal_app.data_root.atomic_writes import write_atomic
from modal_app.data_root.layout import DataRoot
from modal_app.errors import (
    ConflictError,
    DawaError,
    InputError,
    InterruptedJobError,
    ServiceError,
    TryLaterError,
    UnreachableError,
)
from modal_app.protocol.base import Event
from modal_app.protocol.requests import AnyRequest
from modal_app.worker.job_table import run_job

REQUEST, RESULT, ERROR = "request.json", "result.json", "error.json"
CANCELLED_EXIT = 75
_TIDY_UP_SECONDS = 3.0
_ORPHAN_GRACE_SECONDS = 4.0

log = logging.getLogger(__name__)


class JobFailure(BaseModel):
    """Why there is no result."""

    line: str
    expected: bool  # an error of the project's own tree, or something nobody thought of
    user_fixable: bool = Field(False, validation_alias=AliasChoices("user_fixable", "mendable"))  # its former name
    conflict: bool = False  # with something that is there already
    passes: bool = False  # by what is around the job (a disk, a network, a service), and not by what was asked


class _CancelledError(BaseException):
    """SIGTERM came. Not an `Exception`: a job that goes on after one bad item must not take this for one."""


def main(job_folder: Path, data_root: Path) -> int:
    """Do the job in the folder; returns the exit code."""
    events = _take_stdout()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the asker's; they send SIGTERM
    signal.signal(signal.SIGTERM, _cancel)
    threading.Thread(target=_end_with_the_asker, name="lifeline", daemon=True).start()
    emit = _emitter(events)
    _log_as_events(emit)
    try:
        request: AnyRequest = TypeAdapter(AnyRequest).validate_json((job_folder / REQUEST).read_bytes())
        write_answer(job_folder / RESULT, run_job(request, DataRoot(data_root), emit))
    except _CancelledError:
        return CANCELLED_EXIT
    except DawaError as error:
        log.debug("the job failed", exc_info=True)
        write_answer(job_folder / ERROR, failure_of(error))
        return 1
    except ModuleNotFoundError as error:
        traceback.print_exc()
        missing = InputError(
            f"{error.name} is not installed here; install the extra `train` (in a checkout `make setup "
            "EXTRAS=train,hosted,marks,dev`), or let another machine do it (DAWA_COMPUTE=modal)"
        )
        write_answer(job_folder / ERROR, failure_of(missing))
        return 1
    except Exception as error:  # the asker gets one line; the log gets the traceback
        traceback.print_exc()
        log.debug("the job failed", exc_info=True)
        write_answer(job_folder / ERROR, failure_of(error))
        return 1
    return 0


def _take_stdout() -> BinaryIO:
    """Keep stdout for events: what libraries print goes to stderr from here on, from C too."""
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return events


def _cancel(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a signal handler
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: a second one must not interrupt the tidying up
    hard_end = threading.Timer(_TIDY_UP_SECONDS, os._exit, (CANCELLED_EXIT,))  # a thread in a dead download stays
    hard_end.daemon = True
    hard_end.start()
    raise _CancelledError


def _end_with_the_asker() -> None:
    """Wait until stdin is closed or the parent changes; then cancel, and end the hard way if that takes long."""
    parent = os.getppid()
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], 1.0)
        if readable and not os.read(0, 4096):
            break
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_ORPHAN_GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL) if os.getpgrp() == os.getpid() else os.kill(os.getpid(), signal.SIGKILL)


def _emitter(events: BinaryIO) -> Callable[[Event], None]:
    lock = threading.Lock()

    def emit(event: Event) -> None:
        line = memoryview(event.model_dump_json().encode() + b"\n")
        try:
            with lock:
                while line:
                    line = line[events.write(line) :]
        except OSError:
            pass  # nobody listens any more; the lifeline or SIGTERM ends the job

    return emit


class EventHandler(logging.Handler):
    """Makes events of log records."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        super().__init__(logging.DEBUG)
        self._emit_event = emit

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one on."""
        level = record.levelname.lower()
        known = level if level in ("debug", "info", "warning", "error") else "error"
        self._emit_event(Event.model_validate({"kind": "log", "message": self.format(record), "level": known}))


def _log_as_events(emit: Callable[[Event], None]) -> None:
    """What this project logs becomes events; what libraries log goes to stderr."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    ours = logging.getLogger("modal_app")
    ours.setLevel(logging.DEBUG)
    ours.propagate = False
    ours.addHandler(EventHandler(emit))


def write_answer(path: Path, answer: BaseModel) -> None:
    """Write a message as JSON, whole or not at all."""
    write_atomic(path, answer.model_dump_json())


def failure_of(error: Exception) -> JobFailure:
    """Return what the asker is told of an error."""
    if not isinstance(error, DawaError):
        passes = isinstance(error, OSError | MemoryError) and not isinstance(error, FileNotFoundError)
        return JobFailure(line=f"{type(error).__name__}: {one_line(error)}", expected=False, passes=passes)
    return JobFailure(
        line=one_line(error),
        expected=True,
        user_fixable=isinstance(error, InputError),
        conflict=isinstance(error, ConflictError),
        passes=isinstance(error, ServiceError | TryLaterError | UnreachableError | InterruptedJobError),
    )


def one_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
