"""`LocalCompute`: each job is a process below this one, on this machine's CPU or GPU.

The process speaks the job protocol over its stdout and a folder, and never outlives the call that started it. Of our
secrets it sees none but the key of the service that its job asks. What a job does is the worker's affair
(`modal_app/`).
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pydantic import SecretStr, ValidationError

from modal_app.data_root.atomic_writes import atomic_path, scratch_path
from modal_app.data_root.scratch import scratch_folder, sweep
from modal_app.errors import ConflictingJobError, InterruptedJobError, JobCancelledError, JobError, RefusedJobError
from modal_app.protocol.base import Event, JobRequest
from modal_app.worker.job_table import Imports, asks_gemini, imports_of
from modal_app.worker.process import CANCELLED_EXIT, ERROR, REQUEST, RESULT, JobFailure
from resources.compute.base import CallRecord, Compute, R
from resources.compute.prefork_client import PreforkedProcess, start_preforked

log = logging.getLogger(__name__)

_KEPT_LOGS = 20
_CHUNK = 1 << 20
_ENVIRONMENT = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "XDG_CACHE_HOME"),
    *("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
    *("CUDA_HOME", "CUDA_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"),
    *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)


class LocalCompute(Compute):
    """Runs jobs in child processes, with `data_root` as their data root.

    A child that is told to stop has `grace_seconds` before it is killed. `gemini_api_key` is handed to jobs that ask
    Gemini, in their environment, and to no other. `several_jobs`: what jobs import is imported once for all of them
    (`prefork_client.py`), which makes the first one no quicker and its refusal slower.
    """

    def __init__(
        self,
        data_root: Path,
        grace_seconds: float = 10.0,
        gemini_api_key: SecretStr | None = None,
        *,
        several_jobs: bool = True,
    ) -> None:
        self._root = data_root.resolve()
        self._several_jobs = several_jobs
        self._grace_seconds = grace_seconds
        self._gemini_api_key = gemini_api_key

    def run(
        self,
        request: JobRequest[R],
        on_event: Callable[[Event], None],
        record: CallRecord | None = None,  # noqa: ARG002 - a child never outlives its parent: nothing to find again
    ) -> R:
        """Run one job to its end and return its result; see `Compute.run`.

        Raises:
            JobError: the job ended without a result; the message is the worker's own line.
            RefusedJobError: the same, and the user can mend it.
            JobCancelledError: somebody else stopped the worker.
        """
        jobs = self._root / "jobs"
        sweep(jobs)
        with scratch_folder(jobs) as folder:
            (folder / REQUEST).write_text(request.model_dump_json())
            shared = imports_of(request) if self._several_jobs else None
            with _worker(folder, self._root, self._grace_seconds, self._keys(request), shared) as process:
                assert process.stdout  # noqa: S101 - it is a pipe
                for line in process.stdout:
                    _hand_on(line, on_event)
                code = process.wait()
            if code == 0:
                return request.result_type.model_validate_json((folder / RESULT).read_bytes())  # type: ignore[return-value]
            raise self._failure(folder, code, type(request).__name__.removesuffix("Request").lower())

    def _keys(self, request: JobRequest[R]) -> dict[str, str]:
        """Return the keys that a job needs, as the names that the worker knows them by."""
        if not asks_gemini(request) or self._gemini_api_key is None:
            return {}
        return {"GEMINI_API_KEY": self._gemini_api_key.get_secret_value()}

    def fetch(self, path: str, target: Path) -> None:
        """Copy a file below the data root to `target`, atomically.

        Raises:
            JobError: there is no such file, or the path leads elsewhere.
        """
        source = self._below(path)
        try:
            with source.open("rb") as found:
                target.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(target) as temporary, temporary.open("xb") as file:
                    shutil.copyfileobj(found, file, _CHUNK)
        except (FileNotFoundError, IsADirectoryError):
            raise JobError(f"{path}: no such file under {self._root}; run the job that makes it again") from None

    def store(self, path: str, source: BinaryIO) -> None:
        """Write a file below the data root, atomically.

        Raises:
            JobError: the path leads elsewhere.
        """
        target = self._below(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_path(target, self._root / "scratch") as fresh, fresh.open("xb") as file:
            shutil.copyfileobj(source, file, _CHUNK)

    def _below(self, path: str) -> Path:
        """Return where a relative path lies. Links that stay below the root are followed."""
        parts = path.split("/")
        if "\0" in path or PurePosixPath(path).is_absolute() or not set(parts).isdisjoint({"", ".", ".."}):
            raise JobError(f"{path!r}: not a path below the data root; give a relative one without `..`")
        resolved = self._root.joinpath(*parts).resolve()
        if not resolved.is_relative_to(self._root):
            raise JobError(f"{path!r}: leads out of the data root by a link; give one that stays below it")
        return resolved

    def _failure(self, folder: Path, code: int, kind: str) -> JobError:
        if code in (CANCELLED_EXIT, -signal.SIGTERM):
            return JobCancelledError(f"{kind}: the worker was told to stop; run it again")
        if (folder / ERROR).is_file():
            failure = JobFailure.model_validate_json((folder / ERROR).read_bytes())
            if failure.conflict:
                return ConflictingJobError(failure.line)
            ended = InterruptedJobError if failure.passes else JobError
            if failure.expected:
                return RefusedJobError(failure.line) if failure.user_fixable else ended(failure.line)
            return ended(f"{kind}: {failure.line}; the worker's log is {self._keep_log(folder, kind)}")
        if code == -signal.SIGKILL:
            reason = "was killed (SIGKILL), most often for want of memory; free some or make the batch smaller"
        elif code < 0:
            reason = f"was ended by {signal.Signals(-code).name}"
        else:
            reason = f"ended with code {code} and no answer"
        ended = InterruptedJobError if code == -signal.SIGKILL else JobError
        return ended(f"{kind}: the worker {reason}; its log is {self._keep_log(folder, kind)}")

    def _keep_log(self, folder: Path, kind: str) -> Path:
        """Move the worker's log out of the job's folder, which is about to go; only the latest logs stay."""
        logs = self._root / "logs"
        logs.mkdir(exist_ok=True)
        kept = (folder / "worker.log").rename(logs / f"{kind}-{folder.name}.log")
        for old in sorted(logs.iterdir(), key=lambda path: path.stat().st_mtime)[:-_KEPT_LOGS]:
            old.unlink(missing_ok=True)
        return kept


@contextmanager
def _worker(
    folder: Path, root: Path, grace_seconds: float, keys: dict[str, str], shared: Imports | None
) -> "Iterator[PreforkedProcess | subprocess.Popen[bytes]]":
    """The process of a job, forked or started. However the block is left, nothing of it is left behind.

    `shared`: what it imports, to be forked from a process that has done so; None: it starts by itself.
    """
    process: PreforkedProcess | subprocess.Popen[bytes] | None = None
    with (folder / "worker.log").open("wb") as log_file:
        if shared is not None:
            process = start_preforked(shared, folder, root, _environment(), keys, log_file.fileno())
        if process is None:
            process = subprocess.Popen(
                [sys.executable, "-m", "modal_app.worker.process", str(folder), str(root)],
                stdin=subprocess.PIPE,  # a lifeline: it closes when we are gone, however we went
                stdout=subprocess.PIPE,
                stderr=log_file,
                cwd=folder,
                env=_environment() | keys,
                start_new_session=True,
            )
    try:
        yield process
    finally:
        _end(process, grace_seconds)


def _end(process: "PreforkedProcess | subprocess.Popen[bytes]", grace_seconds: float) -> None:
    """Ask the child to stop; after some seconds make it, with whatever it started itself."""
    assert process.stdin  # noqa: S101 - they are pipes
    assert process.stdout  # noqa: S101
    try:
        process.stdout.close()  # a child that waits for us to read would not hear
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace_seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()


def _environment() -> dict[str, str]:
    """Return what the worker needs to find its libraries, models, proxies and devices; no setting or secret of ours."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    quiet = {"MPLBACKEND": "Agg", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return environment | quiet | {"PYTHONIOENCODING": "utf-8"}


def _hand_on(line: bytes, on_event: Callable[[Event], None]) -> None:
    try:
        event = Event.model_validate_json(line)
    except ValidationError:
        log.warning("the worker wrote what is no event: %.200r", line)  # cut off when it was killed
        return
    on_event(event)
