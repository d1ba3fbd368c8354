"""A pipeline of given parts in this process, and what it leaves, read so that two kinds of parts can be compared."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from uuid import NAMESPACE_DNS, uuid5

import dagster as dg

from dawa_assets.defs.run import BuildResult, run_job
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.protocol.base import Event, JobRequest
from modal_app.worker.job_table import run_job as run_worker_job
from resources.bucket.base import Bucket
from resources.bucket.folder import FolderBucket
from resources.bucket.storage_link import Retries
from resources.bucket.supabase import SupabaseBucket
from resources.compute.base import CallRecord, Compute, R
from resources.database.base import Database
from resources.ports import Ports
from resources.prompt_writer.offline import OfflineWriter
from resources.settings import Settings
from tests.campaigns.final_state import differences, leftovers, settled_state
from tests.command_line import dawa as typed
from tests.fakes.storage.storage_server import StorageServer
from tests.given_pipeline import GivenPipeline

QUICK = Retries(tries=3, seconds=10.0, first_pause=0.01, longest_pause=0.02)
SMALL = {"DAWA_TRAIN_STEPS": "2", "DAWA_PREVIEW_SECONDS": "1", "OMP_NUM_THREADS": "1"}
_FOREIGN = ("DAWA_", "SUPABASE_", "OPENAI_", "GEMINI_")


class WorkerHere(Compute):
    """The real worker without a child process, so that a build of a few seconds takes no longer than that.

    As the worker in a child it sees requests and answers as JSON only.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def run(self, request: JobRequest[R], on_event: Callable[[Event], None], record: CallRecord | None = None) -> R:
        asked = type(request).model_validate_json(request.model_dump_json())
        answer = run_worker_job(asked, DataRoot(self._root), on_event)  # type: ignore[arg-type]
        return request.result_type.model_validate_json(answer.model_dump_json())  # type: ignore[return-value]

    def fetch(self, path: str, target: Path) -> None:
        if not (self._root / path).is_file():
            raise JobError(f"{path}: no such file")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._root / path, target)

    def store(self, path: str, source: BinaryIO) -> None:
        (self._root / path).parent.mkdir(parents=True, exist_ok=True)
        with (self._root / path).open("wb") as file:
            shutil.copyfileobj(source, file)


def small_ports(home: Path, database: Database, bucket: Bucket | None = None) -> Ports:
    """Ports for builds of the small artist, with a folder as the bucket if none is given.

    Leases are short: one that could not be given back is waited for, since its holder, this process, still runs.
    """
    settings = Settings(home=home, train_steps=2, preview_seconds=1, quiet_seconds=0, lease_seconds=1)
    return Ports(
        settings=settings,
        database=database,
        bucket=bucket or FolderBucket(home / "bucket"),
        prompt_writer=OfflineWriter(),
        compute=WorkerHere(settings.data_root),
    )


def bucket_on(server: StorageServer, home: Path, retries: Retries = QUICK) -> SupabaseBucket:
    """The server's bucket, as a new process opens it; it does not wait long between tries."""
    return SupabaseBucket(server.url, server.secret_key, resume_folder=home / "uploads", retries=retries)


def known_artist(database: Database, name: str) -> None:
    """Make an artist whose id is the same in every database: ids of parses and folders are made from it."""
    with database.transaction() as connection:
        connection.execute("insert into artists (id, name) values (%s, %s)", [uuid5(NAMESPACE_DNS, name), name])


def build(ports: Ports, slug: str, job: str = "build_job") -> BuildResult:
    """Run the whole chain in this process, or what `upload_job` does of it: all but the training."""
    with dg.DagsterInstance.ephemeral() as instance:
        return run_job(instance, GivenPipeline(ports), job, slug)


def state_of(ports: Ports, aside: Path) -> dict[str, Any]:
    """Tables, bucket and data root as they are, for `differences`; the bucket's objects are copied to `aside`."""
    settings = ports.settings
    shutil.rmtree(aside, ignore_errors=True)
    copy = FolderBucket(aside / "bucket")
    for stored in ports.bucket.list():
        with ports.bucket.open(stored.key) as stream:
            copy.put(stored.key, stream)
    (aside / "data").symlink_to(settings.data_root)
    return settled_state(aside, ports.database.url())


def wrong_in(ports: Ports, expected: dict[str, Any], aside: Path) -> list[str]:
    """One line for each thing that is not as expected, files of somebody's unfinished work among them."""
    return differences(state_of(ports, aside), expected) + leftovers(ports.settings.home)


def dawa(*words: str, home: Path, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line, as it is typed, with no settings but these; it must end with `code`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    child = typed(*words, cwd=home.parent, env=clean | SMALL | {"DAWA_HOME": str(home)} | variables)
    assert child.returncode == code, (words, child.stdout, child.stderr)
    return child
