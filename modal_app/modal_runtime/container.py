"""A job's call in its container: what is around `run_job` there. Plain code; `app.py` hands in what is Modal's.

Events, result and error go to the call's folder on the data root, and what was written is committed at intervals, so
that whoever asked can follow, and a checkpoint survives the container. A call whose container was taken away begins
again in another one, and goes on where its checkpoint is.
"""

import logging
import shutil
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from modal_app.data_root.atomic_writes import write_atomic
from modal_app.data_root.layout import DataRoot
from modal_app.errors import DawaError
from modal_app.modal_runtime.claim_store import ClaimStore, claimed
from modal_app.modal_runtime.remote_calls import ERROR, RESULT, TAKEN, USED, Taken, Used, call_folder, events_part
from modal_app.protocol.base import Event, JobResult
from modal_app.protocol.forgetting import ForgetRequest
from modal_app.protocol.producer import ProducerTrainRequest
from modal_app.protocol.requests import AnyRequest
from modal_app.protocol.training import TrainRequest
from modal_app.training.run_log import EVENTS
from modal_app.worker.job_table import run_job
from modal_app.worker.process import EventHandler, JobFailure, failure_of, one_line, write_answer

log = logging.getLogger(__name__)

COMMIT_SECONDS = 5.0
_KEPT_SECONDS = 14 * 24 * 3600.0  # a call's folder, and what a lost container left in its scratch folder

Job = Callable[[AnyRequest, DataRoot, Callable[[Event], None]], JobResult]


class Storage(ABC):
    """What the data root lies on, where other machines see it too."""

    @abstractmethod
    def refresh(self) -> None:
        """Show here what other machines committed."""

    @abstractmethod
    def commit(self) -> None:
        """Show other machines what was written here."""

    def bring(self, paths: Iterable[str]) -> None:  # noqa: B027 - where files are this machine's, nothing is to be done
        """Make files of this machine of what lies at and below some paths of the data root."""


class CallRoot(DataRoot):
    """The data root as one call sees it: its work in progress lies apart, for locks do not reach other machines."""

    def __init__(self, root: Path, call_id: str) -> None:
        super().__init__(root)
        self._call_id = call_id

    def scratch(self) -> Path:
        """This call's own folders of work in progress."""
        return self.root / "scratch" / self._call_id


@dataclass(frozen=True)
class Container:
    """Where a call runs."""

    root: Path
    storage: Storage
    claim_store: ClaimStore
    has_gpu: bool = False
    keeps_base: bool = False
    """Whether the next call may find the base that this one loaded: trainings that come one after the other."""
    commit_seconds: float = COMMIT_SECONDS


def run_call(asked: str, key: str | None, call_id: str, container: Container, job: Job = run_job) -> str:
    """Do what is asked (a request as JSON) and leave the answer in the call's folder; returns which file it is.

    An error of the job is an answer. What ends the container (a cancelled call, a machine that is taken away) goes on
    as it came, after what there is was committed.
    """
    started = time.monotonic()
    folder = container.root / call_folder(call_id)
    container.storage.refresh()
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / RESULT).is_file():  # its container was taken away at the very end
        return RESULT
    _sweep(container.root)
    if container.keeps_base:
        from modal_app.backends.shared_base import keep_base  # not where there is no GPU library

        keep_base()
    with nullcontext() if key is None else claimed(container.claim_store, key, call_id) as holder:
        if holder is not None:
            write_answer(folder / TAKEN, Taken(call_id=holder))
            container.storage.commit()
            return TAKEN
        with _event_log(folder, container, started) as emit:
            answer = _answer(asked, CallRoot(container.root, call_id), container.storage, emit, job)
        name = ERROR if isinstance(answer, JobFailure) else RESULT
        write_answer(folder / name, answer)
        container.storage.commit()
    return name


def run_part(asked: str, part_id: str, container: Container) -> str:
    """Do a part of a job that another call has taken apart; its result as JSON goes straight back to that one.

    Raises:
        DawaError: it can't be done.
    """
    container.storage.refresh()
    root = CallRoot(container.root, part_id)
    request: AnyRequest = TypeAdapter(AnyRequest).validate_json(asked)
    try:
        return run_job(request, root, _to_the_log).model_dump_json()
    finally:
        shutil.rmtree(root.scratch(), ignore_errors=True)
        container.storage.commit()


def _own_files(request: AnyRequest) -> list[str]:
    """Return what a job writes on at its end, or must not find elsewhere by a link: logs of trainings, and uploads."""
    place = DataRoot(Path())
    found: list[Path] = []
    if isinstance(request, TrainRequest):
        found = [place.run(request.run_id) / EVENTS]
    elif isinstance(request, ProducerTrainRequest):
        from modal_app.producer.train_producer import run_id_of  # brings numpy, which the web endpoints do without

        found = [place.run(run_id_of(request.producer_id, request.job_id)) / EVENTS, place.uploads(request.producer_id)]
    elif isinstance(request, ForgetRequest):
        found = [place.uploads(request.producer_id)]
    return [path.as_posix() for path in found]


def _to_the_log(event: Event) -> None:
    log.info("%s", event.message)


def _answer(
    asked: str, root: DataRoot, storage: Storage, emit: Callable[[Event], None], job: Job
) -> JobResult | JobFailure:
    try:
        request: AnyRequest = TypeAdapter(AnyRequest).validate_json(asked)
        storage.bring(_own_files(request))
        return job(request, root, emit)
    except DawaError as error:
        log.debug("the job failed", exc_info=True)
        return failure_of(error)
    except Exception as error:  # the asker gets one line; the app's log gets the traceback
        traceback.print_exc()
        return failure_of(error)
    finally:
        shutil.rmtree(root.scratch(), ignore_errors=True)


@contextmanager
def _event_log(folder: Path, container: Container, started: float) -> Iterator[Callable[[Event], None]]:
    """A function that takes events; they are written and committed at intervals, and at the end however that comes."""
    event_log = _EventLogWriter(folder, container, started)
    handler = EventHandler(event_log.take)
    ours = logging.getLogger("modal_app")
    level = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    stop = threading.Event()
    writer = threading.Thread(target=event_log.keep_writing, args=(stop,), daemon=True)
    writer.start()
    try:
        yield event_log.take
    finally:
        stop.set()
        writer.join()
        ours.removeHandler(handler)
        ours.setLevel(level)
        event_log.write()
        container.storage.commit()


class _EventLogWriter:
    def __init__(self, folder: Path, container: Container, started: float) -> None:
        self._folder, self._container, self._started = folder, container, started
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._parts = len(list(folder.glob(events_part(0).replace("000000", "*"))))
        self._before = _used_before(folder)

    def take(self, event: Event) -> None:
        with self._lock:
            self._lines.append(event.model_dump_json() + "\n")

    def keep_writing(self, stop: threading.Event) -> None:
        while not stop.wait(self._container.commit_seconds):
            try:
                self.write()
                self._container.storage.commit()
            except Exception as error:  # the next time may do; the last one is not in this thread, and is told
                log.warning("what there is could not be committed: %s", one_line(error))

    def write(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        if lines:
            write_atomic(self._folder / events_part(self._parts), "".join(lines))
            self._parts += 1
        seconds = time.monotonic() - self._started
        gpu_seconds = seconds if self._container.has_gpu else 0.0
        write_answer(
            self._folder / USED,
            Used(seconds=self._before.seconds + seconds, gpu_seconds=self._before.gpu_seconds + gpu_seconds),
        )


def _used_before(folder: Path) -> Used:
    """Return what earlier attempts of the same call took."""
    try:
        return Used.model_validate_json((folder / USED).read_bytes())
    except (OSError, ValidationError):
        return Used(seconds=0)


def _sweep(root: Path) -> None:
    """Remove the folders of calls that ended long ago."""
    oldest = time.time() - _KEPT_SECONDS
    for place in (root / "calls", root / "scratch"):
        for folder in list(place.iterdir()) if place.is_dir() else []:
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
