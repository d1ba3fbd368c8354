"""What a caller of `LocalCompute` can rely on, with real children that are killed, cancelled and orphaned."""

import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.errors import DawaError, InputError, InterruptedJobError, JobCancelledError, JobError
from modal_app.protocol.audio import AudioSource, PrepareRequest, PublishedSegment, PublishRequest
from modal_app.protocol.base import Event
from modal_app.protocol.training import GenerateRequest
from resources.compute.local import LocalCompute
from tests.resources.compute.processes import workers
from tests.waiting import until_gone

UNCACHED = PublishedSegment(audio_hash="0" * 64, index=3, sha256="0" * 64)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data of the worker"


@pytest.fixture
def tone(tmp_path: Path) -> AudioSource:
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(44_100) / 20), 44_100)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return AudioSource(audio_hash=digest, url=path.as_uri(), name="tone.wav")


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[AudioSource]:
    """A source whose server takes the call and never answers."""
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        yield AudioSource(audio_hash="f" * 64, url=f"http://127.0.0.1:{port}/a.wav", name="a.wav")


def ignore(event: Event) -> None:
    """Nobody listens."""


def test_a_job_gives_its_result_and_its_events_in_order(root: Path, tone: AudioSource) -> None:
    events: list[Event] = []
    threads: set[int] = set()

    def listen(event: Event) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    result = LocalCompute(root).run(PrepareRequest(sources=[tone]), listen)

    assert [part.audio_hash for part in result.prepared] == [tone.audio_hash]
    assert [(event.done, event.total) for event in events if event.kind == "progress"] == [(1, 1)]
    assert threads == {threading.get_ident()}


def test_a_job_leaves_only_its_results_in_the_data_root(root: Path, tone: AudioSource) -> None:
    LocalCompute(root).run(PrepareRequest(sources=[tone]), ignore)

    assert list((root / "jobs").iterdir()) == []
    assert list((root / "scratch").iterdir()) == []


def test_a_failing_job_raises_the_workers_one_line(root: Path) -> None:
    with pytest.raises(JobError) as caught:
        LocalCompute(root).run(PublishRequest(producer_id="a", segments=[UNCACHED]), ignore)

    assert str(caught.value) == "segment 3 of audio 000000000000 is not in the cache; prepare it again"


def test_what_the_user_can_mend_is_told_apart(root: Path) -> None:
    request = GenerateRequest(job_id="a", prompt="x", lora_id="no-colon", duration_seconds=1)

    with pytest.raises(InputError, match="'no-colon': is no LoRA's name"):
        LocalCompute(root, several_jobs=False).run(request, ignore)


def test_an_unexpected_error_is_one_line_with_a_traceback_log(root: Path, tone: AudioSource) -> None:
    root.mkdir()
    (root / "cache").write_text("a file where a folder belongs")

    with pytest.raises(JobError) as caught:
        LocalCompute(root).run(PrepareRequest(sources=[tone]), ignore)

    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("prepare: ")
    assert isinstance(caught.value, InterruptedJobError)  # what is wrong with the disk is no fault of the files'
    assert "Traceback" in Path(message.rpartition("the worker's log is ")[2]).read_text()


def test_an_exception_in_the_caller_ends_the_child_first(root: Path, tone: AudioSource, hanging: AudioSource) -> None:
    class Interrupt(BaseException):
        """As Dagster's and Ctrl-C's: no `Exception`."""

    def interrupt(_event: Event) -> None:
        raise Interrupt

    with pytest.raises(Interrupt):
        LocalCompute(root, grace_seconds=0.5).run(PrepareRequest(sources=[tone, hanging]), interrupt)

    assert workers() == []
    assert list((root / "jobs").iterdir()) == []


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGKILL, "memory"), (signal.SIGSEGV, "SIGSEGV")])
def test_a_child_that_was_killed_is_told_as_such(
    root: Path, tone: AudioSource, hanging: AudioSource, number: signal.Signals, expected: str
) -> None:
    def kill(_event: Event) -> None:
        workers()[0].send_signal(number)

    with pytest.raises(JobError, match=expected) as caught:
        LocalCompute(root).run(PrepareRequest(sources=[tone, hanging]), kill)

    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, InterruptedJobError) == (number == signal.SIGKILL)


def test_a_child_that_was_told_to_stop_by_others_is_cancelled(
    root: Path, tone: AudioSource, hanging: AudioSource
) -> None:
    def terminate(_event: Event) -> None:
        workers()[0].terminate()

    with pytest.raises(JobCancelledError, match="told to stop"):
        LocalCompute(root).run(PrepareRequest(sources=[tone, hanging]), terminate)


def test_no_secret_of_ours_reaches_the_child(
    root: Path, tone: AudioSource, hanging: AudioSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "DAWA_DATABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "HF_TOKEN", "AWS_SECRET"):
        monkeypatch.setenv(name, "a-secret-value")
    seen: list[dict[str, str]] = []

    def look(_event: Event) -> None:
        seen.append(workers()[0].environ())
        workers()[0].kill()

    with pytest.raises(JobError):
        LocalCompute(root).run(PrepareRequest(sources=[tone, hanging]), look)

    assert seen
    assert "a-secret-value" not in seen[0].values()
    assert "PATH" in seen[0]


def test_the_child_goes_when_its_parent_is_killed(tmp_path: Path, tone: AudioSource, hanging: AudioSource) -> None:
    request = PrepareRequest(sources=[tone, hanging]).model_dump_json()
    script = (
        "import psutil, sys\n"
        "from pathlib import Path\n"
        "from modal_app.protocol.audio import PrepareRequest\n"
        "from resources.compute.local import LocalCompute\n"
        "say = lambda event: print(psutil.Process().children()[0].children()[0].pid, flush=True)\n"
        "LocalCompute(Path(sys.argv[1])).run(PrepareRequest.model_validate_json(sys.argv[2]), say)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data"), request]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        parent.kill()

    until_gone([pid])


def test_what_a_killed_asker_left_is_removed_by_the_next(root: Path) -> None:
    (root / "jobs" / "left").mkdir(parents=True)
    (root / "jobs" / "left" / "request.json").write_text("{}")

    LocalCompute(root).run(PublishRequest(producer_id="a", segments=[]), ignore)

    assert list((root / "jobs").iterdir()) == []


def test_the_worker_runs_from_any_folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('a stranger')")
    monkeypatch.chdir(tmp_path)

    assert LocalCompute(root).run(PublishRequest(producer_id="a", segments=[]), ignore).segments == 0


def test_a_file_goes_into_the_data_root_and_comes_back(root: Path, tmp_path: Path) -> None:
    compute = LocalCompute(root)
    compute.store("runs/r-1/card.json", io.BytesIO(b"one"))
    compute.store("runs/r-1/card.json", io.BytesIO(b"two"))

    compute.fetch("runs/r-1/card.json", tmp_path / "new folder" / "card.json")

    assert (tmp_path / "new folder" / "card.json").read_bytes() == b"two"
    assert [path.name for path in (root / "runs" / "r-1").iterdir()] == ["card.json"]


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a\0b", "link/x"])
def test_a_path_that_leads_out_of_the_data_root_is_refused(root: Path, tmp_path: Path, path: str) -> None:
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (tmp_path / "x").write_text("not yours")
    compute = LocalCompute(root)

    with pytest.raises(DawaError):
        compute.fetch(path, tmp_path / "out")
    with pytest.raises(DawaError):
        compute.store(path, io.BytesIO(b"mine"))

    assert (tmp_path / "x").read_text() == "not yours"


@pytest.mark.parametrize("path", ["nothing/there", "folder"])
def test_fetching_what_is_no_file_says_so(root: Path, tmp_path: Path, path: str) -> None:
    (root / "folder").mkdir(parents=True)

    with pytest.raises(JobError, match="no such file"):
        LocalCompute(root).fetch(path, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_hard_stop_takes_what_the_child_started_with_it(root: Path, tone: AudioSource, hanging: AudioSource) -> None:
    groups: list[int] = []

    def stop(_event: Event) -> None:
        groups.append(os.getpgid(workers()[0].pid))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalCompute(root, grace_seconds=0.2).run(PrepareRequest(sources=[tone, hanging]), stop)

    assert groups != [os.getpgid(0)]
    with pytest.raises(ProcessLookupError):
        os.killpg(groups[0], 0)


def test_what_is_not_installed_here_is_said_with_the_ways_out(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    request = GenerateRequest(job_id="short", prompt="x", duration_seconds=0.5)
    with pytest.raises(InputError, match=r"torch is not installed here; .*`train`.*DAWA_COMPUTE=modal") as said:
        LocalCompute(root, several_jobs=False).run(request, ignore)
    assert "\n" not in str(said.value)
