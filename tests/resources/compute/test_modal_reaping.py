"""Calls that nobody waits for any more are cancelled once, after the grace period, and never somebody's own."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import pytest

from dawa_assets.pipeline.leases import lease
from dawa_assets.tables import training_runs
from dawa_assets.tables.artists import Artist
from dawa_assets.training.gpu_usage import TrainingCall
from dawa_assets.training.orphan_cleanup import ReapedTraining, reap_trainings
from modal_app.errors import JobError
from modal_app.protocol.base import Event, JobRequest
from resources.bucket.base import Bucket
from resources.compute.base import CallRecord, Compute, R
from resources.database.base import Database
from resources.ports import Ports
from resources.prompt_writer.base import PromptWriter
from resources.settings import Settings


class Machine(Compute):
    """Another machine, of which only the cancelling matters here."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.during: Callable[[str], None] = lambda _call_id: None

    def cancel(self, call_id: str) -> None:
        self.during(call_id)
        self.cancelled.append(call_id)

    def run(self, request: JobRequest[R], on_event: Callable[[Event], None], record: CallRecord | None = None) -> R:
        raise AssertionError

    def fetch(self, path: str, target: Path) -> None:
        raise AssertionError

    def store(self, path: str, source: BinaryIO) -> None:
        raise AssertionError


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def remote(
    settings: Settings, database: Database, bucket: Bucket, prompt_writer: PromptWriter, machine: Machine
) -> Ports:
    return Ports(settings=settings, database=database, bucket=bucket, prompt_writer=prompt_writer, compute=machine)


def make_run(database: Database, artist: Artist, call_id: str | None, silent_seconds: float) -> UUID:
    """A running training whose holder was last heard of so long ago."""
    with database.transaction() as connection:
        row = connection.execute(
            "insert into training_runs (artist_id, fingerprint, backend, base, model_name, parameters, state, call_id) "
            "values (%s, 'f', 'ace_step', 'tiny', 'm', '{}', 'running', %s) returning id",
            [artist.id, call_id],
        ).fetchone()
        connection.execute(
            "insert into leases (artist_id, step, holder, fence, expires_at) "
            "values (%s, 'training', 'elsewhere:1:1:1', 1, now() - make_interval(secs => %s))",
            [artist.id, silent_seconds],
        )
    assert row is not None
    return UUID(str(row["id"]))


def row_of(database: Database, run_id: UUID) -> tuple[str, str | None, str | None]:
    with database.transaction() as connection:
        row = connection.execute("select state, call_id, error from training_runs where id = %s", [run_id]).fetchone()
    assert row is not None
    return row["state"], row["call_id"], row["error"]


def test_a_call_that_nobody_waits_for_is_cancelled_once(remote: Ports, machine: Machine, artist: Artist) -> None:
    run_id = make_run(remote.database, artist, "fc-1", 700)

    first, second = reap_trainings(remote, set(), 600), reap_trainings(remote, set(), 600)

    assert first == [ReapedTraining(artist.slug, str(run_id), "fc-1")]
    assert second == []
    assert machine.cancelled == ["fc-1"]
    state, _, error = row_of(remote.database, run_id)
    assert state == "failed"
    assert "run it again" in (error or "")


@pytest.mark.parametrize(("silent_seconds", "call_id"), [(500, "fc-1"), (-60, "fc-1"), (700, None)])
def test_nothing_is_reaped_in_the_grace_period_or_without_a_call(
    remote: Ports, machine: Machine, artist: Artist, silent_seconds: float, call_id: str | None
) -> None:
    run_id = make_run(remote.database, artist, call_id, silent_seconds)

    assert reap_trainings(remote, set(), 600) == []
    assert machine.cancelled == []
    assert row_of(remote.database, run_id) == ("running", call_id, None)


def test_what_a_queued_or_active_run_owns_is_left_alone(remote: Ports, machine: Machine, artist: Artist) -> None:
    run_id = make_run(remote.database, artist, "fc-1", 700)

    assert reap_trainings(remote, {artist.slug}, 600) == []
    assert machine.cancelled == []
    assert row_of(remote.database, run_id)[0] == "running"


def test_who_takes_a_training_up_waits_until_its_reaping_is_over(
    remote: Ports, machine: Machine, artist: Artist
) -> None:
    make_run(remote.database, artist, "fc-1", 700)
    refused: list[str] = []

    def take_up(_call_id: str) -> None:
        try:
            with lease(remote.database, artist.id, "training", seconds=5, wait_seconds=0):
                refused.append("taken all the same")
        except Exception as error:
            refused.append(type(error).__name__)

    machine.during = take_up
    reap_trainings(remote, set(), 600)

    assert refused == ["BusyError"]


def test_a_call_that_cannot_be_cancelled_stays_on_record(remote: Ports, machine: Machine, artist: Artist) -> None:
    run_id = make_run(remote.database, artist, "fc-1", 700)

    def refuse(_call_id: str) -> None:
        raise JobError("modal: no answer; try again")

    machine.during = refuse
    with pytest.raises(JobError):
        reap_trainings(remote, set(), 0)

    assert row_of(remote.database, run_id) == ("running", "fc-1", None)


def test_one_failed_cancellation_does_not_prevent_the_others(
    remote: Ports, machine: Machine, make_artist: Callable[[str], Artist]
) -> None:
    runs = {f"fc-{name}": make_run(remote.database, make_artist(name), f"fc-{name}", 700) for name in "abcd"}
    stuck = min(runs, key=lambda call_id: runs[call_id])
    leaving = max(runs, key=lambda call_id: runs[call_id])
    with remote.database.transaction() as connection:
        connection.execute(
            "insert into artist_deletions (artist_id, slug, asked_by) "
            "select artist_id, 'x', 'me' from training_runs where id = %s",
            [runs[leaving]],
        )

    def refuse(call_id: str) -> None:
        if call_id == stuck:
            raise JobError("modal: no answer; try again")

    machine.during = refuse
    with pytest.raises(JobError, match=str(runs[stuck])):
        reap_trainings(remote, set(), 600)

    assert set(machine.cancelled) == set(runs) - {stuck, leaving}
    assert [row_of(remote.database, runs[call_id])[0] for call_id in (stuck, leaving)] == ["running", "running"]


def test_a_call_is_kept_with_its_run_and_only_by_its_holder(remote: Ports, artist: Artist) -> None:
    database = remote.database
    run_id = make_run(database, artist, None, 1)
    with lease(database, artist.id, "training", seconds=60, wait_seconds=0) as held:
        record = TrainingCall(database, held, run_id)
        record.keep("fc-1")
        assert record.call_id == "fc-1"
        with database.transaction() as connection:
            connection.execute("update leases set fence = fence + 1 where artist_id = %s", [artist.id])
        assert record.call_id is None
        with pytest.raises(Exception, match="took over"):
            record.keep("fc-2")
    assert row_of(database, run_id)[1] == "fc-1"


def test_only_a_run_under_way_keeps_its_call_on_a_restart(remote: Ports, artist: Artist) -> None:
    database = remote.database
    run_id = make_run(database, artist, "fc-1", 1)
    with database.transaction() as connection:
        dataset = connection.execute(
            "insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, item_count) "
            "values (%s, 'f', 'done', %s, %s, 0) returning id",
            [artist.id, f"artists/{artist.slug}/datasets/d.zip", f"artists/{artist.slug}/datasets/d.json"],
        ).fetchone()
        assert dataset is not None
        run = training_runs.get_run(connection, run_id)
        training_runs.start_run(connection, run, dataset["id"])
        assert training_runs.call_of(connection, run_id) == "fc-1"
        training_runs.fail_run(connection, run, "it failed")
        training_runs.start_run(connection, run, dataset["id"])
        assert training_runs.call_of(connection, run_id) is None
