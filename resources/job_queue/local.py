"""`LocalJobQueue`: jobs that came in over HTTP, on any `Compute`, with their records in a folder.

A record is a folder: `request.json`, then `result.json` or `error.json`. Who made `request.json` first has the key; who
holds the folder's lock runs the job. A record without an end whose lock is free was interrupted, and runs again when
it is asked for. Nothing is kept in memory but the jobs that wait or run here.
"""

import hashlib
import logging
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from modal_app.data_root.atomic_writes import create_atomic, scratch_path, write_atomic
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import discard, locked, scratch_folder, sweep
from modal_app.errors import (
    ConflictError,
    ConflictingJobError,
    DawaError,
    InputError,
    JobCancelledError,
    JobError,
    QueueFullError,
    RefusedJobError,
    ReplayedJobError,
    UnknownJobError,
    UnreachableError,
)
from modal_app.producer.uploads import MOUNT
from modal_app.protocol.base import Event, JobRequest, JobResult
from modal_app.protocol.requests import AnyRequest
from modal_app.protocol.training import GenerateResult
from modal_app.web.job_queue import Call, JobQueue
from resources.compute.base import CallRecord, Compute

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)

_REQUEST, _CALL, _RESULT, _ERROR = "request.json", "call.txt", "result.json", "error.json"
_DAY = 86_400
_BETWEEN_TIDYINGS = 3_600.0  # seconds
_RETRY_SECONDS = 10
_TRIES, _BETWEEN_TRIES = 5, 0.05


class _Record(BaseModel):
    """What was handed in."""

    key: str
    request: AnyRequest


class _Failure(BaseModel):
    """Why a job ended without a result."""

    line: str
    user_fixable: bool = Field(False, validation_alias=AliasChoices("user_fixable", "mendable"))  # its former name
    conflict: bool = False


class LocalJobQueue(JobQueue):
    """Runs jobs on `compute`, `at_once` at a time in this process, and keeps their records in `folder`.

    No more than `most_waiting` jobs wait. What ended is kept for `kept_days`, and what it
    rendered. Several processes may share a folder.
    Where the jobs' data root lies on this machine, `data_root` says so: clients are told `/data` in its place.
    """

    def __init__(
        self,
        compute: Compute,
        folder: Path,
        *,
        data_root: Path | None = None,
        at_once: int = 1,
        most_waiting: int = 32,
        kept_days: float = 7.0,
    ) -> None:
        self._compute = compute
        self._data_root = data_root
        self._folder = folder
        self._records = folder / "records"
        self._scratch = folder / "scratch"
        self._kept_seconds = kept_days * _DAY
        self._at_once = at_once
        self._queue: queue.Queue[str] = queue.Queue(most_waiting)
        self._mine: dict[str, Literal["queued", "running"]] = {}  # calls that wait or run here
        self._guard = threading.Lock()
        self._ended = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._tidied = float("-inf")

    def submit(self, key: str, request: JobRequest[JobResult]) -> Call:
        """Start the job of this key, or find the one that was started; see `JobQueue.submit`."""
        self._tidy()
        call_id = _call_id(key)
        record = _Record.model_validate({"key": key, "request": request})
        self._claim(call_id, record)
        return self._look(call_id)

    def wait(self, key: str, seconds: float) -> Call:
        """Return the call of this key: done, or as it stands after so many seconds; see `JobQueue.wait`."""
        call_id, end = _call_id(key), time.monotonic() + seconds
        if not (self._records / call_id / _REQUEST).is_file():
            job_id = key.rpartition("/")[2]
            raise UnknownJobError(f"job {job_id}: is not known (any more); send the whole request again")
        while True:
            call = self._look(call_id)
            left = end - time.monotonic()
            if call.status == "done" or left <= 0:
                return call
            with self._ended:
                self._ended.wait(min(left, 1.0))

    def open(self, path: str) -> BinaryIO:
        """Return a copy of a file below the data root, gone when it is closed."""
        with scratch_folder(self._scratch) as folder:
            self._compute.fetch(path, folder / "file")
            return (folder / "file").open("rb")

    def store(self, path: str, source: BinaryIO) -> None:
        """Write a file below the data root, atomically."""
        self._compute.store(path, source)

    @contextmanager
    def storing(self, path: str) -> Iterator[None]:
        """Keeps out other processes too, for files whose names share a few bits."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._folder / "storing" / hashlib.sha256(path.encode()).hexdigest()[:2]
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            yield

    def close(self) -> None:
        """Take no more jobs and stop those that run here; they go on when they are asked for again."""
        self._closed = True
        for _ in self._threads:
            with suppress(queue.Full):
                self._queue.put_nowait("")
        for thread in self._threads:
            thread.join(timeout=30)

    def _claim(self, call_id: str, record: _Record) -> None:
        """Make the record if nobody did.

        Raises:
            ReplayedJobError: somebody did, for another request.
            QueueFullError: nobody did, and too many jobs wait.
        """
        place = self._records / call_id / _REQUEST
        if not place.is_file():
            if self._queue.full():
                raise self._busy()
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # requests may have signed URLs in them
            place.parent.mkdir(parents=True, exist_ok=True)
            with scratch_folder(self._scratch) as folder:
                create_atomic(place, record.model_dump_json(), folder)
        if _read(place, _Record) != record:
            job_id = record.key.rpartition("/")[2]
            raise ReplayedJobError(f"job {job_id}: was used for another request already; take another job_id")

    def _look(self, call_id: str) -> Call:
        """Return how a call stands; one that nobody works on is queued here.

        Raises:
            JobError: it ended without a result.
        """
        folder = self._records / call_id
        ended = self._end_of(folder)
        if ended is not None:
            return Call(call_id, "done", ended)
        status = self._mine.get(call_id)
        if status is None and _is_worked_on(folder):
            status = "running"
        if status is not None:
            return Call(call_id, status)
        ended = self._end_of(folder)  # between the two looks
        if ended is not None:
            return Call(call_id, "done", ended)
        self._enqueue(call_id)
        return Call(call_id, "queued")

    def _end_of(self, folder: Path) -> JobResult | None:
        if (folder / _RESULT).is_file():
            kind = _read(folder / _REQUEST, _Record).request.result_type
            return _read(folder / _RESULT, kind)
        if (folder / _ERROR).is_file():
            failure = _read(folder / _ERROR, _Failure)
            if failure.conflict:
                raise ConflictingJobError(failure.line)
            raise RefusedJobError(failure.line) if failure.user_fixable else JobError(failure.line)
        return None

    def _enqueue(self, call_id: str) -> None:
        with self._guard:
            if call_id in self._mine:
                return
            if self._closed:
                raise QueueFullError("the server is about to end; ask again in a moment", _RETRY_SECONDS)
            try:
                self._queue.put_nowait(call_id)
            except queue.Full:
                raise self._busy() from None
            self._mine[call_id] = "queued"
            if len(self._threads) < self._at_once:
                thread = threading.Thread(target=self._work, name=f"job-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _busy(self) -> QueueFullError:
        return QueueFullError(
            f"{self._queue.maxsize} jobs are waiting already; ask again in a while", retry_after=_RETRY_SECONDS
        )

    def _work(self) -> None:
        while not self._closed:
            call_id = self._queue.get()
            if not call_id:
                return
            try:
                self._run(call_id)
            except Exception:  # the thread must live; the record is as it was, so the job is asked for again
                log.exception("the job %s was interrupted", call_id)
            finally:
                with self._guard:
                    self._mine.pop(call_id, None)
                with self._ended:
                    self._ended.notify_all()

    def _run(self, call_id: str) -> None:
        folder = self._records / call_id
        with suppress(BlockingIOError, FileNotFoundError), _held(folder):
            if any((folder / name).is_file() for name in (_RESULT, _ERROR)):
                return  # by another process, meanwhile
            self._mine[call_id] = "running"
            request: JobRequest[JobResult] = _read(folder / _REQUEST, _Record).request
            answer: BaseModel
            try:
                answer = self._compute.run(request, self._listen, _KeptCall(folder / _CALL))
            except (JobCancelledError, _ClosingError):
                return
            except UnreachableError as error:  # its call may go on, and is taken up by whoever asks again
                log.warning("the job %s was interrupted: %s", call_id, error)
                return
            except DawaError as error:
                answer = _Failure(
                    line=self._line_of(error),
                    user_fixable=isinstance(error, InputError),
                    conflict=isinstance(error, ConflictError),
                )
            except Exception as error:  # or whoever asks again would run into it again and again
                log.exception("the job %s failed", call_id)
                answer = _Failure(line=f"the job failed ({type(error).__name__}); the server's log says how")
            self._write(folder / (_ERROR if isinstance(answer, _Failure) else _RESULT), answer)

    def _line_of(self, error: DawaError) -> str:
        """Return an error's line as clients are told it."""
        return str(error).replace(str(self._data_root), MOUNT) if self._data_root else str(error)

    def _listen(self, event: Event) -> None:
        if event.kind == "log":
            log.log(logging.getLevelName(event.level.upper()), "%s", event.message)
        if self._closed:
            raise _ClosingError

    def _write(self, place: Path, answer: BaseModel) -> None:
        with scratch_path(place, self._scratch) as fresh:
            fresh.write_text(answer.model_dump_json(), "utf-8")

    def _tidy(self) -> None:
        """Drop the records of what ended long ago, now and then."""
        if time.monotonic() - self._tidied < _BETWEEN_TIDYINGS:
            return
        self._tidied = time.monotonic()
        sweep(self._scratch)
        oldest = time.time() - self._kept_seconds
        with suppress(FileNotFoundError):
            for folder in list(self._records.iterdir()):
                if any(_is_older(folder / name, oldest) for name in (_RESULT, _ERROR)):
                    self._remove_audio(folder)
                    discard(folder, self._scratch)

    def _remove_audio(self, folder: Path) -> None:
        """Remove what a rendering left, where the data root is at hand: nobody can ask for it any more."""
        with suppress(JobError, OSError):
            rendered = _read(folder / _RESULT, GenerateResult)
            if self._data_root:
                (DataRoot(self._data_root).outputs() / Path(rendered.path).name).unlink()


class _KeptCall(CallRecord):
    """The id of a job's remote call, in a file of its record."""

    def __init__(self, place: Path) -> None:
        self._place = place

    @property
    def call_id(self) -> str | None:
        with suppress(FileNotFoundError):
            return self._place.read_text("utf-8") or None
        return None

    def keep(self, call_id: str | None) -> None:
        write_atomic(self._place, call_id or "")


class _ClosingError(Exception):
    """The queue closes: the job is to stop, and to be taken up again later."""


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a record's lock. Who only looks has it for a moment, so it is tried more than once.

    Raises:
        BlockingIOError: somebody works on it.
    """
    for _ in range(_TRIES - 1):
        if not _is_worked_on(folder):
            break
        time.sleep(_BETWEEN_TRIES)
    with locked(folder, wait=False):
        yield


def _is_worked_on(folder: Path) -> bool:
    try:
        with locked(folder, wait=False):
            return False
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False


def _call_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _read(place: Path, model: type[M]) -> M:
    try:
        return model.model_validate_json(place.read_bytes())
    except (OSError, ValidationError):
        raise JobError(f"{place}: can't be read; remove its folder and send the request again") from None


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except OSError:
        return False
