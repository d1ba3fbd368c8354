"""A training on Modal's stand-in, through the Dagster engine and the real SDK: done once, whatever becomes of whom.

The orchestrator is a process that is killed and stopped; containers are processes; the training is real, on `tiny`.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from dawa_assets.datasets.build import build_dataset
from resources.bucket.base import Bucket
from resources.compute.modal import ModalCompute
from resources.database.base import Database
from resources.ports import Ports
from resources.prompt_writer.base import PromptWriter
from resources.settings import Settings
from tests.dawa_assets.training.catalogue import Catalogue, open_catalogue, tone
from tests.fakes.modal_server.fixtures import modal_service
from tests.fakes.modal_server.machine import EXPIRED, MachineCalls, Machines
from tests.waiting import until

pytestmark = pytest.mark.slow

_REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class World:
    """An artist with a dataset, and a Modal that has the app."""

    catalogue: Catalogue
    machines: Machines
    environment: dict[str, str]
    settings: Settings

    def orchestrator(self, steps: int) -> "subprocess.Popen[bytes]":
        overrides = {
            "home": str(self.settings.home),
            "train_steps": str(steps),
            "lease_seconds": "3",
            "modal_gpu_usd_per_hour": "3600",
        }
        url = make_conninfo(self.catalogue.ports.database.url())
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.fakes.modal_server.orchestrator"),
                *(json.dumps(overrides), url, self.catalogue.slug),
            ],
            stdout=subprocess.PIPE,
            cwd=_REPOSITORY,
            env={**os.environ, **self.environment},
        )

    def trainings(self) -> list[str]:
        """The calls of `train_lora`."""
        return [call for call in self.machines.calls() if self.machines.asked(call)["function"] == "train_lora"]

    def row(self) -> dict[str, Any]:
        (row,) = self.catalogue.sql("select * from training_runs")
        return row


@pytest.fixture
def world(
    tmp_path: Path, settings: Settings, database: Database, bucket: Bucket, prompt_writer: PromptWriter
) -> Iterator[World]:
    with modal_service(tmp_path / "modal") as (machines, environment):
        compute = ModalCompute(MachineCalls(machines))
        ports = Ports(settings=settings, database=database, bucket=bucket, prompt_writer=prompt_writer, compute=compute)
        catalogue = open_catalogue(ports, "Modal Artist")
        for name, hertz in (("one", 220), ("two", 330)):
            catalogue.add(name, tone(16, hertz))
        build_dataset(ports, catalogue.slug)
        yield World(catalogue, machines, environment, settings)


def outcome(orchestrator: "subprocess.Popen[bytes]") -> dict[str, Any]:
    output, _ = orchestrator.communicate()
    answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    return answer


def has_steps(world: World) -> bool:
    """Whether the training has got to its steps."""
    return any(log.stat().st_size for log in world.machines.volume.glob("runs/*/events.jsonl"))


def test_a_training_is_done_kept_and_paid_for_on_record(world: World) -> None:
    answer = outcome(world.orchestrator(steps=4))

    assert answer["success"], answer
    row = world.row()
    assert (row["state"], [row["call_id"]]) == ("done", world.trainings())
    assert row["metrics"]["gpu_seconds"] > 0
    assert row["metrics"]["cost_usd"] == pytest.approx(row["metrics"]["gpu_seconds"], rel=0.01)
    assert [value for name, value in answer["metadata"].items() if name.startswith("cost")] == [
        row["metrics"]["cost_usd"]
    ]
    kept = {stored.key.rpartition("/")[2] for stored in world.catalogue.ports.bucket.list(f"{row['adapter_key']}")}
    assert {"adapter_model.safetensors", "card.json", "loss.png"} <= kept


def test_the_next_orchestrator_takes_up_a_killed_ones_call(world: World) -> None:
    first = world.orchestrator(steps=60)
    until(lambda: world.trainings() and world.row()["call_id"])
    first.send_signal(signal.SIGKILL)
    first.wait()
    (call_id,) = world.trainings()
    assert world.row()["state"] == "running"

    answer = outcome(world.orchestrator(steps=60))

    assert answer["success"], answer
    assert world.trainings() == [call_id]
    assert (world.row()["state"], world.row()["call_id"]) == ("done", call_id)


def test_a_stopped_orchestrator_cancels_its_call(world: World) -> None:
    first = world.orchestrator(steps=20_000)
    until(lambda: world.trainings() and has_steps(world))
    first.send_signal(signal.SIGTERM)
    first.communicate()
    (call_id,) = world.trainings()
    assert world.machines.state(call_id).name == "cancelled"
    assert (world.row()["state"], world.row()["call_id"]) == ("running", None)


def test_a_result_that_expired_is_found_on_the_volume(world: World) -> None:
    first = world.orchestrator(steps=4)
    until(lambda: world.trainings() and world.row()["call_id"])
    first.send_signal(signal.SIGKILL)
    first.wait()
    (call_id,) = world.trainings()
    until(lambda: world.machines.state(call_id).name == "ended")
    (world.machines.call(call_id) / EXPIRED).touch()

    assert outcome(world.orchestrator(steps=4))["success"]
    assert world.trainings() == [call_id]


def test_two_calls_for_one_run_train_once(world: World) -> None:
    first = world.orchestrator(steps=200)
    until(lambda: world.trainings() and world.row()["call_id"] and has_steps(world))
    first.send_signal(signal.SIGKILL)
    first.wait()
    (call_id,) = world.trainings()
    world.catalogue.sql("update training_runs set call_id = null")  # as if it had been killed a moment earlier

    answer = outcome(world.orchestrator(steps=200))

    assert answer["success"], answer
    second = world.trainings()[1]
    assert json.loads((world.machines.volume / "calls" / second / "taken.json").read_text()) == {"call_id": call_id}
    assert world.row()["call_id"] == call_id


def test_a_lost_file_is_reported_and_the_next_run_trains_again(world: World) -> None:
    first = world.orchestrator(steps=4)
    until(lambda: world.trainings() and world.row()["call_id"])
    first.send_signal(signal.SIGKILL)
    first.wait()
    (call_id,) = world.trainings()
    until(lambda: world.machines.state(call_id).name == "ended")
    (lost,) = world.machines.volume.glob("runs/*/adapter_model.safetensors")
    lost.unlink()

    answer = outcome(world.orchestrator(steps=4))
    assert not answer["success"]
    assert "no such file" in " ".join(answer["errors"])
    assert world.row()["state"] == "failed"

    assert outcome(world.orchestrator(steps=4))["success"]
    assert len(world.trainings()) == 2
