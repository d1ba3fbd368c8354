"""A training that was stopped goes on to the same bits: stopped between steps, killed anywhere, in its own process.

A process of its own imports the generator's libraries: ten seconds of CPU for one interruption.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.protocol.base import Event
from modal_app.protocol.training import TrainRequest, TrainResult
from modal_app.training.checkpoint import Checkpoints, Progress
from modal_app.training.train import train
from resources.compute.local import LocalCompute
from tests.modal_app.training.conftest import Trained, ignore, parameters, train_request

STEPS = 6


class Stopped(BaseException):
    """What the worker raises at SIGTERM."""


class Undisturbed:
    """A training from its first step to its last, and data roots in which to disturb it."""

    def __init__(self, trained: Trained, folder: Path) -> None:
        self.cache = trained.root.root / "cache"
        self.folder = folder
        self.request = train_request(
            trained.examples,
            "run-r",
            parameters=parameters(
                steps=STEPS,
                validate_every=2,
                batch_size=1,
                accumulation=2,
                targets="attention+mlp",
                final_learning_rate=0.1,
            ),
        )
        self.root = self.new_root("undisturbed")
        self.result = train(self.request, self.root, ignore)

    def new_root(self, name: str) -> DataRoot:
        (self.folder / name).mkdir()
        (self.folder / name / "cache").symlink_to(self.cache)
        return DataRoot(self.folder / name)

    def is_equalled_by(self, result: TrainResult) -> bool:
        """Every byte of adapter, card, log and picture; and every figure but those of time."""
        timed = {"seconds", "samples_per_second", "steps_waited", "peak_bytes", "base_seconds", "base_seconds_saved"}
        return result.model_dump(exclude=timed) == self.result.model_dump(exclude=timed)


@pytest.fixture(scope="module")
def undisturbed(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(trained, tmp_path_factory.mktemp("resume"))


@pytest.fixture
def root(undisturbed: Undisturbed, tmp_path: Path) -> DataRoot:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cache").symlink_to(undisturbed.cache)
    return DataRoot(tmp_path / "data")


def at_step(step: int, do: Callable[[], None]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if event.figures.get("step") == step:
            do()

    return listen


def stop() -> None:
    raise Stopped


@contextlib.contextmanager
def child(work: Callable[[], object]) -> Iterator[int]:
    """A fork of this process that does the work, told to end the way the worker is."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, lambda *_: stop())
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    try:
        yield pid
    finally:
        os.waitpid(pid, 0)


def trained_until_killed(request: TrainRequest, root: DataRoot, step: int) -> None:
    with child(lambda: train(request, root, at_step(step, lambda: os.kill(os.getpid(), signal.SIGKILL)))):
        pass


@pytest.mark.parametrize("step", [1, 2, STEPS])
def test_a_stopped_training_resumes_to_the_same_bits(undisturbed: Undisturbed, root: DataRoot, step: int) -> None:
    with pytest.raises(Stopped):
        train(undisturbed.request, root, at_step(step, stop))
    events: list[Event] = []

    result = train(undisturbed.request, root, events.append)

    assert undisturbed.is_equalled_by(result)
    assert f"going on after step {step} of {STEPS}" in [event.message for event in events]
    assert [event.done for event in events if "loss" in event.figures] == list(range(step + 1, STEPS + 1))


def test_a_killed_training_resumes_from_its_last_checkpoint(undisturbed: Undisturbed, root: DataRoot) -> None:
    trained_until_killed(undisturbed.request, root, 5)
    events: list[Event] = []

    result = train(undisturbed.request, root, events.append)

    assert undisturbed.is_equalled_by(result)
    assert f"going on after step 4 of {STEPS}" in [event.message for event in events]


def test_a_training_killed_before_a_checkpoint_begins_again(undisturbed: Undisturbed, root: DataRoot) -> None:
    trained_until_killed(undisturbed.request, root, 1)
    assert (root.run("run-r") / "events.jsonl").stat().st_size > 0

    assert undisturbed.is_equalled_by(train(undisturbed.request, root, ignore))


def test_an_interrupted_worker_leaves_a_checkpoint_and_no_child(undisturbed: Undisturbed, root: DataRoot) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    others = set(psutil.Process().children(recursive=True))  # servers of other tests
    with pytest.raises(KeyboardInterrupt):
        LocalCompute(root.root).run(undisturbed.request, at_step(1, interrupt))

    left = set(psutil.Process().children(recursive=True)) - others
    assert [
        process
        for process in left
        if "modal_app.worker.forkserver" not in process.cmdline() or process.ppid() != os.getpid()
    ] == []
    assert not (root.run("run-r") / "result.json").exists()
    assert list(root.scratch().iterdir()) == []
    assert (root.run("run-r") / "checkpoint" / "state.safetensors").exists()
    events: list[Event] = []
    assert undisturbed.is_equalled_by(train(undisturbed.request, root, events.append))
    (going_on,) = [event.message for event in events if event.message.startswith("going on after step")]
    assert int(going_on.split()[4]) >= 1


def test_a_stop_during_a_step_uses_the_checkpoint_before(
    undisturbed: Undisturbed, root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.optim import AdamW

    plain, calls = AdamW.step, []

    def half_a_step(self: AdamW, *args: object) -> object:
        calls.append(1)
        done = plain(self, *args)  # type: ignore[arg-type]
        if len(calls) == 5:
            raise Stopped
        return done

    monkeypatch.setattr(AdamW, "step", half_a_step)
    with pytest.raises(Stopped):
        train(undisturbed.request, root, ignore)
    monkeypatch.undo()
    events: list[Event] = []

    assert undisturbed.is_equalled_by(train(undisturbed.request, root, events.append))
    assert f"going on after step 4 of {STEPS}" in [event.message for event in events]


@pytest.mark.parametrize("name", ["card.json", "result.json"])
def test_a_training_killed_while_writing_files_is_completed(
    undisturbed: Undisturbed, root: DataRoot, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    plain = Path.replace

    def stop_after(self: Path, target: Path) -> Path:
        done = plain(self, target)
        if target.name == name:
            raise Stopped
        return done

    monkeypatch.setattr(Path, "replace", stop_after)
    with pytest.raises(Stopped):
        train(undisturbed.request, root, ignore)
    monkeypatch.undo()
    events: list[Event] = []

    assert undisturbed.is_equalled_by(train(undisturbed.request, root, events.append))
    assert not [event for event in events if "loss" in event.figures]
    assert not (root.run("run-r") / "checkpoint").exists()


def test_who_waited_for_the_same_run_takes_its_result(undisturbed: Undisturbed, root: DataRoot) -> None:
    with child(lambda: train(undisturbed.request, root, ignore)):
        events: list[Event] = []
        result = train(undisturbed.request, root, events.append)

    assert undisturbed.is_equalled_by(result)
    assert len([event for event in events if "loss" in event.figures]) in (0, STEPS)


def test_a_checkpoint_of_another_training_is_refused(undisturbed: Undisturbed, root: DataRoot) -> None:
    with pytest.raises(Stopped):
        train(undisturbed.request, root, at_step(3, stop))
    other = undisturbed.request.model_copy(update={"parameters": parameters(steps=STEPS + 1)})
    before = sorted(path.name for path in root.run("run-r").rglob("*"))

    with pytest.raises(JobError, match=r"checkpoint is of another request .* remove .*run-r to train from") as caught:
        train(other, root, ignore)

    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in root.run("run-r").rglob("*")) == before
    later = undisturbed.request.model_copy(update={"dataset_fingerprint": "of a later dataset"})
    assert train(later, root, ignore).losses == undisturbed.result.losses
    assert json.loads((root.run("run-r") / "card.json").read_text())["dataset_fingerprint"] == "of a later dataset"


@pytest.mark.parametrize("name", ["base", "device", "format", "set of versions"])
def test_a_checkpoint_of_another_base_or_version_is_refused(tmp_path: Path, name: str) -> None:
    ours = {"base": "ace_step/tiny", "device": "cpu", "set of versions": "torch 2"}
    Checkpoints(tmp_path, tmp_path / "scratch", ours).save(Progress(step=1, samples_at_once=2), {}, {})

    with pytest.raises(JobError, match=f"checkpoint is of another {name} .* remove .* to train from the beginning"):
        Checkpoints(tmp_path, tmp_path / "scratch", ours | {name: "another"}).load()
    found = Checkpoints(tmp_path, tmp_path / "scratch", ours).load()
    assert found is not None
    assert found[0].step == 1


def test_a_damaged_checkpoint_is_refused(undisturbed: Undisturbed, root: DataRoot) -> None:
    with pytest.raises(Stopped):
        train(undisturbed.request, root, at_step(1, stop))
    state = root.run("run-r") / "checkpoint" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-1])

    with pytest.raises(JobError, match=r"this checkpoint is damaged .* remove"):
        train(undisturbed.request, root, ignore)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(8))
def test_random_kills_and_stops_end_in_the_same_bits(undisturbed: Undisturbed, root: DataRoot, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    for _ in range(6):
        with child(lambda: train(undisturbed.request, root, ignore)) as pid:
            time.sleep(chance.uniform(0.05, 1.5))
            os.kill(pid, chance.choice([signal.SIGKILL, signal.SIGTERM]))
    result = train(undisturbed.request, root, ignore)

    assert undisturbed.is_equalled_by(result)
    assert not (root.run("run-r") / "checkpoint").exists()
    shutil.rmtree(root.run("run-r"))
