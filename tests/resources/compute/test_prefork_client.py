"""Workers that are forked from a warm process: the same promises as for those that start cold, and no waiting."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from modal_app.errors import InputError, JobCancelledError, JobError
from modal_app.protocol.audio import PrepareRequest
from modal_app.protocol.base import Event
from modal_app.protocol.training import GenerateRequest
from modal_app.worker.job_table import Imports
from resources.compute import prefork_client
from resources.compute.local import LocalCompute
from resources.compute.prefork_client import start_preforked
from tests.fakes.modal_server.gate import gate_with
from tests.resources.compute.processes import nurseries, workers
from tests.waiting import until, until_gone

SHORT = GenerateRequest(job_id="short", prompt="x", duration_seconds=0.5)
LONG = GenerateRequest(job_id="long", prompt="x", duration_seconds=600)


def ignore(event: Event) -> None:
    """Nobody listens."""


@pytest.fixture(autouse=True, scope="module")
def _own_nurseries() -> None:
    """Let those that other tests of this process have used go."""
    while prefork_client.nurseries:
        prefork_client.nurseries.popitem()[1].close()
    until(lambda: not nurseries())


@pytest.fixture
def compute(tmp_path: Path) -> LocalCompute:
    return LocalCompute(tmp_path / "data", grace_seconds=1, gemini_api_key=SecretStr("a-secret-value"))


def test_jobs_share_imports_but_run_in_their_own_processes(compute: LocalCompute) -> None:
    seen: list[psutil.Process] = []
    for number in range(50):  # on a busy machine a worker may have ended before it is looked for
        compute.run(SHORT.model_copy(update={"job_id": f"job-{number}"}), lambda _: seen.extend(workers()))
        if len({worker.pid for worker in seen}) >= 2:
            break

    assert len({worker.pid for worker in seen}) >= 2
    [forkserver] = nurseries()
    assert all(worker.pid != forkserver.pid for worker in seen)
    for worker in seen:
        until_gone([worker])


def test_what_the_user_can_mend_is_told_apart(compute: LocalCompute) -> None:
    with pytest.raises(InputError, match="'no-colon': is no LoRA's name"):
        compute.run(SHORT.model_copy(update={"lora_id": "no-colon"}), ignore)


def test_an_interrupted_caller_leaves_no_worker(compute: LocalCompute, tmp_path: Path) -> None:
    def interrupt(_event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute.run(LONG, interrupt)

    assert workers() == []
    assert list((tmp_path / "data" / "jobs").iterdir()) == []


def test_a_worker_that_is_killed_or_told_to_stop_is_told_as_such(compute: LocalCompute) -> None:
    with pytest.raises(JobError, match="SIGKILL"):
        compute.run(LONG, lambda _: workers()[0].kill())
    with pytest.raises(JobCancelledError, match="told to stop"):
        compute.run(LONG, lambda _: workers()[0].terminate())


def test_no_secret_reaches_a_job_that_needs_none(compute: LocalCompute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret-value")
    seen: list[bytes] = []

    def look(_event: Event) -> None:
        seen.extend(Path(f"/proc/{each.pid}/environ").read_bytes() for each in (*workers(), *nurseries()))

    compute.run(SHORT, look)

    assert seen
    assert not [environment for environment in seen if b"a-secret-value" in environment]


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrepareRequest]:
    """A job that waits for its file for ever, in a worker of a forkserver that imports next to nothing."""
    monkeypatch.setattr("resources.compute.local.imports_of", lambda _: Imports("others", ("json",)))
    with gate_with(b"", "0" * 64) as gate:
        yield PrepareRequest(sources=[gate.source])


def test_a_dying_forkserver_ends_its_worker_and_is_replaced(compute: LocalCompute, endless: PrepareRequest) -> None:
    killed: list[psutil.Process] = []
    for _ in range(2):
        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(compute.run, endless, ignore)
            until(workers)
            [worker] = workers()
            forkserver = worker.parent()
            assert forkserver is not None
            killed.extend([worker, forkserver])
            forkserver.kill()
            assert isinstance(running.exception(), JobError)
        until_gone(killed)
    assert len({process.pid for process in killed}) == 4


@pytest.mark.slow
def test_libraries_are_imported_again_for_a_new_environment(
    compute: LocalCompute, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compute.run(SHORT, ignore)
    [before] = nurseries()
    monkeypatch.setenv("HF_HOME", str(tmp_path / "other"))
    compute.run(SHORT, ignore)

    until_gone([before])
    [now] = [forkserver for forkserver in nurseries() if forkserver.pid != before.pid]
    assert now.environ()["HF_HOME"] == str(tmp_path / "other")


@pytest.mark.slow
def test_a_job_goes_on_while_another_has_a_new_environment(
    compute: LocalCompute, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    others: list[int] = []

    def run_another(_event: Event) -> None:
        if not others:
            monkeypatch.setenv("HF_HOME", str(tmp_path / "other"))
            others.append(compute.run(SHORT.model_copy(update={"job_id": "other"}), ignore).samples)

    samples = compute.run(SHORT, run_another).samples

    assert others == [samples]


def test_a_forkserver_whose_imports_touch_the_gpu_never_forks(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_bytes(bytes(4096))
    (tmp_path / "touches_the_gpu.py").write_text(
        "import mmap\n"
        f"with open({str(tmp_path / 'libcuda.so.1')!r}, 'rb') as file:\n"
        "    driver = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with (tmp_path / "log").open("wb") as log:
        for _ in range(2):
            forked = start_preforked(
                Imports("others", ("touches_the_gpu",)), tmp_path, tmp_path, environment, {}, log.fileno()
            )
            assert forked is None
    [forkserver] = [
        forkserver for forkserver in nurseries() if forkserver.environ().get("PYTHONPATH") == environment["PYTHONPATH"]
    ]
    assert forkserver.children() == []


def test_all_end_when_their_owner_is_killed(endless: PrepareRequest, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from modal_app.protocol.audio import PrepareRequest\n"
        "from modal_app.worker.job_table import Imports\n"
        "from resources.compute import local\n"
        "local.imports_of = lambda request: Imports('others', ('json',))\n"
        "local.LocalCompute(Path(sys.argv[1])).run(PrepareRequest.model_validate_json(sys.argv[2]), print)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data"), endless.model_dump_json()]
    with subprocess.Popen(command) as owner:
        until(lambda: len(psutil.Process(owner.pid).children(recursive=True)) == 2)
        below = psutil.Process(owner.pid).children(recursive=True)
        os.kill(owner.pid, signal.SIGKILL)
    until_gone(below)


@pytest.mark.slow
def test_a_job_without_a_forkserver_gives_the_same_bytes(
    compute: LocalCompute, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    warm = (tmp_path / "data" / compute.run(SHORT, ignore).path).read_bytes()
    monkeypatch.setattr(sys, "platform", "darwin")
    seen: list[str] = []

    def look(_event: Event) -> None:
        alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
        seen.extend(" ".join(child.cmdline()) for child in alive)

    cold = (tmp_path / "data" / compute.run(SHORT, look).path).read_bytes()

    assert [line for line in seen if "modal_app.worker.process" in line]
    assert cold == warm
