"""Real parts for every test: a migrated database of its own, a bucket, a prompt writer, a worker.

One PostgreSQL server serves a test process; each test that asks gets a fresh database, copied from a migrated one.
Parts are imported by the fixture that hands them out, so that a broken part fails its own users only.
"""

import gc
import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import psycopg
import pytest
from filelock import FileLock
from psycopg.conninfo import make_conninfo

from resources.database.base import Database
from resources.settings import Settings
from tests.databases import KeptDatabase, Stock, create, drop
from tests.live.project import WANTED
from tests.prepared import SHARED, copy_database

if TYPE_CHECKING:
    from alembic.config import Config
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

    from dawa_assets.tables.artists import Artist
    from resources.bucket.base import Bucket
    from resources.compute.base import Compute
    from resources.database.embedded.embedded_database import EmbeddedDatabase
    from resources.ports import Ports
    from resources.prompt_writer.base import PromptWriter

_numbers = itertools.count(1)
_imported = 0

# Nothing that is imported or collected ever becomes garbage: looking for it there takes a third of the collection.
gc.disable()

# One thread for each process: several at once share the cores already, and waiting threads of a busy machine spin.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

# A busy machine makes an example slow, not wrong. Where changes are judged (CI), the examples are the same each time:
# what a random search finds today is no fault of the change that is being judged.
hypothesis.settings.register_profile(
    "dawa",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI" in os.environ,
)
hypothesis.settings.load_profile("dawa")

# What a test runs is in no history but its own home's.
os.environ.pop("DAGSTER_HOME", None)


# Whoever is started in the background with Ctrl-C ignored (`make test &` in a script) would hand that on; Dagster makes
# SIGTERM be taken as Ctrl-C is, so that no process that a test starts would end when it is told to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the folder for what is prepared once for all test processes; it ends with the process that starts them.

    Where several run at once, what tests write goes into memory too: what is flushed to a disk is waited for. Who runs
    one process looks at what a failed test left, and finds it where pytest leaves it.
    """
    if not hasattr(config, "workerinput"):
        if getattr(config.option, "numprocesses", None) and not config.option.basetemp and (memory := _memory_folder()):
            config.option.basetemp = str(memory / "tests")
            config.add_cleanup(lambda: shutil.rmtree(memory, ignore_errors=True))
        folder = Path(tempfile.mkdtemp(prefix="dawa-prepared-"))
        folder.chmod(0o711)  # root's database server runs as another user
        os.environ[SHARED] = str(folder)
        if os.environ.get(WANTED) != "1":
            _trust_nobody(folder / "no certificates")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def _trust_nobody(folder: Path) -> None:
    """Let clients of HTTP find no authority's certificates.

    No test but the live ones asks a host that has one, and to read them all takes 60 ms for each client.
    """
    folder.mkdir()
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = str(folder)


# Whose tests load a generator's libraries, in their process or in a forkserver of it: ten seconds of CPU for each.
_GENERATORS = (
    "tests/modal_app/adapters/",
    "tests/modal_app/backends/",
    "tests/modal_app/evaluation/",
    "tests/benchmarks/",
    "tests/resources/compute/test_prefork_client.py",
    "tests/dawa_assets/defs/test_chain.py",
    "tests/modal_app/producer/test_train_producer.py",
    "tests/modal_app/training/",
    "tests/modal_app/web/test_contract.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadFileScheduling":
    """Give each file to one test process, and all that load a generator to the same two, so that it is loaded twice."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            if file.startswith("tests/hosted/"):  # whole builds: as much again as all the others
                return "hosted"
            return "generators" if file.startswith(_GENERATORS) else file

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let one test process compile the tests of a new checkout for all: that takes longer than to collect them."""
    if _is_compiled():
        return (yield)
    with FileLock(Path(os.environ[SHARED]) / "collection.lock"):
        if not _is_compiled():
            return (yield)
    return (yield)


def _is_compiled() -> bool:
    """Whether the last file that is collected has been compiled, as pytest does it."""
    last = max(Path(__file__).parent.rglob("test_*.py"))
    return any((last.parent / "__pycache__").glob(f"{last.stem}.*-pytest-{pytest.__version__}.pyc"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Look for garbage again, but seldom, and among what the tests make: not among what was collected."""
    _read_migrations_once()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    gc.enable()


def _read_migrations_once() -> None:
    """Dagster runs the files of all its migrations again for each instance and for each run: 60 ms each time."""
    from alembic.script import ScriptDirectory

    read: dict[str | None, ScriptDirectory] = {}
    from_config = ScriptDirectory.from_config

    def read_once(config: "Config") -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in read:
            read[place] = from_config(config)
        return read[place]

    ScriptDirectory.from_config = staticmethod(read_once)  # type: ignore[method-assign,assignment]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Leave libraries that a test imported out of the search too: with a generator's it takes half a second."""
    global _imported
    if len(sys.modules) > _imported + 100:
        _imported = len(sys.modules)
        gc.freeze()


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["EmbeddedDatabase"]:
    """The test process's own server, without waiting for the disk: no test of it survives a power cut anyway."""
    from resources.database.embedded.embedded_database import EmbeddedDatabase

    folder = _memory_folder() or tmp_path_factory.mktemp("postgres")
    copy_database(folder / "of the tests")
    server = EmbeddedDatabase(folder / "of the tests")
    try:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("alter system set fsync = off")
            connection.execute("alter system set max_wal_size = '256MB'")
            connection.execute("select pg_reload_conf()")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _memory_folder() -> Path | None:
    """A new folder in memory, where there is room: a fresh database takes a quarter of the time that a disk takes.

    What a killed test process left there a day ago is removed.
    """
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 4 * 2**30:
        return None
    for old in memory.glob("dawa-tests-*"):
        if old.stat().st_mtime < time.time() - 86_400:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="dawa-tests-", dir=memory))
    folder.chmod(0o711)  # root's server runs as another user
    return folder


@pytest.fixture
def empty_database_url(database_server: "EmbeddedDatabase") -> Iterator[str]:
    """A database of the test's own in which nothing is: no table, no schema beside `public`."""
    url, name = database_server.url(), f"test_{next(_numbers)}"
    create(url, name, "template0")
    yield make_conninfo(url, dbname=name)
    drop(url, name)


@pytest.fixture(scope="session")
def _stock(database_server: "EmbeddedDatabase") -> Iterator[Stock]:
    stock = Stock(database_server.url(), "dawa")
    yield stock
    stock.close()


@pytest.fixture
def database(_stock: Stock) -> Iterator[Database]:
    """A database of the test's own, as the migrations leave it."""
    url, keeper = _stock.take()
    given = KeptDatabase(url)
    yield given
    given.close()
    _stock.give_back(url, keeper)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose home is the test's folder; nothing is taken from the environment's DAWA_HOME."""
    return Settings(home=tmp_path / "home")


@pytest.fixture
def bucket(settings: Settings) -> "Bucket":
    from resources.bucket.folder import FolderBucket

    return FolderBucket(settings.home / "bucket")


@pytest.fixture
def prompt_writer() -> "PromptWriter":
    from resources.prompt_writer.offline import OfflineWriter

    return OfflineWriter()


@pytest.fixture
def compute(settings: Settings) -> "Compute":
    from resources.compute.local import LocalCompute

    return LocalCompute(settings.data_root)


@pytest.fixture
def ports(
    settings: Settings, database: Database, bucket: "Bucket", prompt_writer: "PromptWriter", compute: "Compute"
) -> "Ports":
    """All four ports, real, of this test only."""
    from resources.ports import Ports

    return Ports(settings=settings, database=database, bucket=bucket, prompt_writer=prompt_writer, compute=compute)


@pytest.fixture
def make_artist(database: Database) -> "Callable[[str], Artist]":
    """A function that makes an artist by name."""
    from dawa_assets.tables.artists import ensure_artist

    def make(name: str = "Test Artist") -> "Artist":
        with database.transaction() as connection:
            return ensure_artist(connection, name)

    return make


@pytest.fixture
def artist(make_artist: "Callable[[str], Artist]") -> "Artist":
    """An artist called `Test Artist`."""
    return make_artist("Test Artist")
