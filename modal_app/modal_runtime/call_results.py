"""What a call left in its folder, read from another machine: its events as they come, and its answer."""

import io
import logging
from typing import TypeVar

from pydantic import ValidationError

from modal_app.errors import ConflictingJobError, InterruptedJobError, JobError, RefusedJobError
from modal_app.modal_runtime.remote_calls import (
    ERROR,
    RESULT,
    TAKEN,
    USED,
    Calls,
    Taken,
    Used,
    call_folder,
    events_part,
)
from modal_app.protocol.base import Event, JobResult
from modal_app.worker.process import JobFailure

log = logging.getLogger(__name__)

R = TypeVar("R", bound=JobResult)


class EventStream:
    """The events of one call, in order and each once."""

    def __init__(self, calls: Calls, call_id: str) -> None:
        self._calls, self._folder = calls, call_folder(call_id)
        self._part = 0

    def next_part(self) -> list[Event] | None:
        """Return the events of the next part; None where it is not there (yet).

        Raises:
            UnreachableError: no answer; the same part can be asked for again.
        """
        content = _read(self._calls, f"{self._folder}/{events_part(self._part)}")
        if content is None:
            return None
        self._part += 1
        events = []
        for line in content.splitlines():
            try:
                events.append(Event.model_validate_json(line))
            except ValidationError:
                log.warning("a call wrote what is no event: %.200r", line)
        return events


def read_answer(calls: Calls, call_id: str, result_type: type[R], kind: str) -> R | Taken | None:
    """Return a call's result, or the call that does its job already; None where it left neither.

    Raises:
        JobError: it left an error; the message is the worker's own line.
        UnreachableError: no answer.
    """
    folder = call_folder(call_id)
    if (result := _read(calls, f"{folder}/{RESULT}")) is not None:
        return result_type.model_validate_json(result)
    if (error := _read(calls, f"{folder}/{ERROR}")) is not None:
        raise _error(JobFailure.model_validate_json(error), kind, call_id)
    if (taken := _read(calls, f"{folder}/{TAKEN}")) is not None:
        return Taken.model_validate_json(taken)
    return None


def read_used(calls: Calls, call_id: str) -> Used:
    """Return what a call took until now; nothing where that is not told."""
    content = _read(calls, f"{call_folder(call_id)}/{USED}")
    return Used(seconds=0) if content is None else Used.model_validate_json(content)


def _error(failure: JobFailure, kind: str, call_id: str) -> JobError:
    if failure.conflict:
        return ConflictingJobError(failure.line)
    if failure.user_fixable:
        return RefusedJobError(failure.line)
    ended = InterruptedJobError if failure.passes else JobError
    if failure.expected:
        return ended(failure.line)
    return ended(f"{kind}: {failure.line}; the app's log has more, under the call {call_id}")


def _read(calls: Calls, path: str) -> bytes | None:
    target = io.BytesIO()
    try:
        calls.read(path, target)
    except FileNotFoundError:
        return None
    return target.getvalue()
