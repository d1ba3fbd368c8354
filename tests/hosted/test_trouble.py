"""What goes wrong around a hosted project, each told in one line with exit code 1 or 2, and got over afterwards.

Some trouble is only met in a whole build, which takes five seconds of CPU.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from resources.database.embedded.embedded_database import EmbeddedDatabase
from resources.database.migrations import migrate
from tests.campaigns.small_artist import NAME, SLUG
from tests.fakes.storage.storage_server import StorageServer
from tests.fakes.storage.storage_wire import Call, Fault
from tests.hosted.conftest import Undisturbed, Uploaded
from tests.hosted.parts import bucket_on, build, dawa, small_ports, wrong_in
from tests.prepared import prepare_database

HOUR = 3600.0


def _settings(storage: StorageServer, database_url: str | None = None, **other: str) -> dict[str, str]:
    files = {"DAWA_BUCKET": "supabase", "SUPABASE_URL": storage.url, "SUPABASE_SECRET_KEY": storage.secret_key}
    tables = {"DAWA_DATABASE": "supabase", "SUPABASE_DB_URL": database_url} if database_url else {}
    return files | tables | other


def _refused(*words: str, home: Path, code: int = 1, **settings: str) -> str:
    """The one line that a command ends with, and no more than that."""
    child = dawa(*words, home=home, code=code, **settings)
    assert child.stderr.startswith("dawa: "), child.stderr
    assert child.stderr.count("\n") == 1, child.stderr
    for secret in (settings.get("SUPABASE_SECRET_KEY"), settings.get("SUPABASE_DB_URL")):
        assert secret is None or secret not in child.stderr
    return child.stderr


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield prepare_database(tmp_path / "home")
    EmbeddedDatabase(tmp_path / "home" / "postgres").stop()


def test_a_wrong_storage_key(storage: StorageServer, undisturbed: Undisturbed, home: Path) -> None:
    upload = ("upload", "--artist", NAME, str(undisturbed.files))
    said = _refused(*upload, home=home, **_settings(storage, SUPABASE_SECRET_KEY="sb_secret_of_another_project"))
    assert "Storage refuses the key" in said
    assert "set SUPABASE_SECRET_KEY to the project's secret key" in said
    public = _refused(*upload, home=home, code=2, **_settings(storage, SUPABASE_SECRET_KEY=storage.publishable_key))
    assert "this is the public key; set the secret one" in public
    dawa(*upload, home=home, **_settings(storage))


def test_a_wrong_database_password(storage: StorageServer, project_url: str, home: Path) -> None:
    user, _, host = project_url.partition("://")[2].rpartition("@")
    wrong = f"postgresql://{user.partition(':')[0]}:verysecret@{host}"
    said = _refused("status", home=home, **_settings(storage, wrong))
    assert "the user or the password is wrong; set the password anew in the dashboard" in said
    assert "verysecret" not in said


def test_a_database_that_is_behind_or_ahead(storage: StorageServer, project_url: str, home: Path) -> None:
    hosted = _settings(storage, project_url)
    assert "is behind this version by" in _refused("status", home=home, **hosted)
    migrate(project_url)
    dawa("status", home=home, **hosted)
    with psycopg.connect(project_url, prepare_threshold=None) as connection:
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name) values ('99990101000000', 'dawa_new')"
        )
    for words in (("status",), ("migrate",)):
        assert "99990101000000" in _refused(*words, home=home, **hosted)


class _Losing(StorageServer):
    """Its bucket is deleted by somebody in the middle of a build."""

    lost_at = 40

    def fault_for(self, call: Call) -> Fault:
        if len(self.calls) == self.lost_at:
            self.state.buckets.clear()
        return super().fault_for(call)


def test_a_bucket_that_is_deleted_in_the_middle_of_a_build(uploaded: Uploaded, tmp_path: Path) -> None:
    with uploaded.begun(tmp_path / "losing", _Losing) as (server, database, home):
        [line] = build(small_ports(home, database, bucket_on(server, home)), SLUG).failures
    assert "the bucket 'dawa-exports' is gone from the project; it is made anew at the next start" in line
    assert "\n" not in line


def test_an_expired_signed_link_is_reported_and_signed_anew(uploaded: Uploaded, tmp_path: Path) -> None:
    def late() -> float:
        """The project's clock, thirty hours behind this machine's; seven later when a link is used."""
        last = server.calls[-1]
        return behind() + (7 * HOUR if last.path.startswith("/object/sign") and last.method == "GET" else 0)

    def behind() -> float:
        return time.time() - 30 * HOUR

    with uploaded.begun(tmp_path / "slow") as (server, database, home):
        server.clock = late
        ports = small_ports(home, database, bucket_on(server, home))
        [line] = build(ports, SLUG, "upload_job").failures
        assert "First Light: the signed link to it has expired; run it again, which signs a new one" in line
        assert "token=" not in line
        server.clock = behind
        assert build(ports, SLUG, "upload_job").failures == []


@pytest.mark.slow
@pytest.mark.parametrize("hours", [-30, 30])
def test_a_build_succeeds_when_the_projects_clock_is_wrong(
    uploaded: Uploaded, undisturbed: Undisturbed, tmp_path: Path, hours: int
) -> None:
    with uploaded.begun(tmp_path / "skew") as (server, database, home):
        server.clock = lambda: time.time() + hours * HOUR
        ports = small_ports(home, database, bucket_on(server, home))
        assert build(ports, SLUG).failures == []
        assert wrong_in(ports, undisturbed.state, tmp_path / "aside") == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """A disk of its own for the home; the function fills it until so many bytes are free."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"a small disk can't be mounted here: {error}")
    if mounted.returncode:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.strip()}")
    filler = place / "filler"

    def fill(left: int) -> None:
        filler.unlink(missing_ok=True)
        free = shutil.disk_usage(place).free
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            for _ in range(0, free - left, 1 << 16):
                file.write(bytes(1 << 16))

    try:
        yield fill
    finally:
        EmbeddedDatabase(place / "home" / "postgres").stop()
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_a_full_disk_on_this_machine(
    small_disk: Callable[[int], None], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    home = tmp_path / "disk" / "home"
    home.mkdir()
    upload = ("upload", "--artist", NAME, str(undisturbed.files))
    dawa("migrate", home=home)
    small_disk(200_000)
    said = _refused(*upload, home=home)
    assert "No space left on device" in said
    dawa("stop", home=home)
    small_disk(0)
    said = _refused("status", home=home)
    assert "No space left on device" in said or "disk" in said
    (tmp_path / "disk" / "filler").unlink()
    dawa(*upload, home=home)
    small_disk(1_500_000)
    said = dawa("build", "--artist", SLUG, home=home, code=1).stderr
    assert said.splitlines()[-1].startswith("dawa: the build of small-artist stopped: ")
    assert "No space left on device" in said.splitlines()[-1]
    assert "Traceback" not in said
    (tmp_path / "disk" / "filler").unlink()
    dawa("build", "--artist", SLUG, home=home)
