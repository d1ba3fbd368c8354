"""The embedded PostgreSQL: wherever it lies, whoever starts it, however it ended before."""

import gc
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from resources.database.embedded import postgres_server
from resources.database.embedded.embedded_database import EmbeddedDatabase
from resources.database.embedded.postgres_process import processes_in
from resources.errors import DatabaseError
from tests.command_line import together
from tests.waiting import until, until_gone

ROOT = Path(__file__).resolve().parents[3]
IS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A database folder with a path that is long and full of what a shell would stumble over."""
    folder = tmp_path_factory.mktemp("it's") / 'a $HOME `of` "mine" é' / ("long" * 40) / "postgres"
    yield folder
    EmbeddedDatabase(folder).stop()


@pytest.fixture
def embedded(folder: Path) -> EmbeddedDatabase:
    return EmbeddedDatabase(folder)


def _python(code: str, folder: Path, whom: Sequence[str] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*whom, sys.executable, "-c", _program(code), str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def _program(code: str) -> str:
    program = "import sys\nfrom pathlib import Path\n"
    program += "from resources.database.embedded.embedded_database import EmbeddedDatabase\n"
    return program + "database = EmbeddedDatabase(Path(sys.argv[1]))\n" + textwrap.dedent(code)


def _postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def _kill_everything(folder: Path) -> None:
    """SIGKILL for the server's every process and its supervisor, as a machine that runs out of memory does."""
    supervisor = int(Path(f"/proc/{_postmaster(folder)}/stat").read_text().rpartition(")")[2].split()[1])
    for pid in [supervisor, *processes_in(folder / "data")]:
        with suppress(ProcessLookupError):  # the server's other processes end by themselves without the first
            os.kill(pid, signal.SIGKILL)


def test_six_processes_at_once_start_and_migrate_one_server(folder: Path) -> None:
    code = "with database.transaction() as c: print(c.execute('select pg_postmaster_start_time()').fetchone())"
    answers = together(6, folder, code=_program(code))
    assert [each.returncode for each in answers] == [0] * 6, answers
    assert len({each.stdout for each in answers}) == 1


def test_it_is_a_real_postgres_that_no_network_reaches(embedded: EmbeddedDatabase, folder: Path) -> None:
    with embedded.transaction() as connection:
        shown = {
            name: connection.execute(f"show {name}").fetchone()[name]
            for name in ("server_version_num", "listen_addresses", "server_encoding", "fsync")
        }
        sockets = connection.execute("show unix_socket_directories").fetchone()["unix_socket_directories"]
    assert int(shown.pop("server_version_num")) >= 160000
    assert shown == {"listen_addresses": "", "server_encoding": "UTF8", "fsync": "on"}
    assert Path(sockets.strip('"')).stat().st_mode & 0o077 == 0
    assert (folder / "data").stat().st_mode & 0o077 == 0


def test_a_stopped_server_is_started_again_with_what_was_in_it(embedded: EmbeddedDatabase, folder: Path) -> None:
    with embedded.transaction() as connection:
        connection.execute("insert into artists (name) values ('Kept')")
        sockets = Path(connection.info.host)
    embedded.stop()
    assert processes_in(folder / "data") == []
    until(lambda: not sockets.exists())
    with embedded.transaction() as connection:
        assert connection.execute("select count(*) from artists where name = 'Kept'").fetchone() == {"count": 1}


def test_a_server_stopped_by_another_process_is_restarted(embedded: EmbeddedDatabase, folder: Path) -> None:
    with embedded.transaction() as connection:
        connection.execute("select 1")
    EmbeddedDatabase(folder).stop()
    with embedded.transaction() as connection:
        assert connection.execute("select 1 as one").fetchone() == {"one": 1}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the supervisor through /proc")
def test_no_acknowledged_row_is_lost_in_a_kill_under_load(folder: Path) -> None:
    _check_that_no_row_is_lost(folder, load_seconds=0.5)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the supervisor through /proc")
@pytest.mark.parametrize("load_seconds", [0.1, 0.3, 1.0, 2.0, 4.0, 8.0])
def test_no_acknowledged_row_is_lost_after_any_length_of_load(folder: Path, load_seconds: float) -> None:
    _check_that_no_row_is_lost(folder, load_seconds)


def _check_that_no_row_is_lost(folder: Path, load_seconds: float) -> None:
    with EmbeddedDatabase(folder).transaction() as connection:
        connection.execute("create table if not exists load (number bigserial primary key, writer int)")
    writers = [
        _python(
            f"""
            while True:
                with database.transaction() as c:
                    row = c.execute("insert into load (writer) values ({writer}) returning number").fetchone()
                print(row["number"], flush=True)
            """,
            folder,
        )
        for writer in range(3)
    ]
    begun = {int(writer.stdout.readline()) for writer in writers}
    time.sleep(load_seconds)
    for writer in writers:
        writer.send_signal(signal.SIGSTOP)  # so that none of them starts the server again
    _kill_everything(folder)
    for writer in writers:
        writer.kill()
    acknowledged = begun | {int(line) for writer in writers for line in writer.communicate()[0].split()}
    with EmbeddedDatabase(folder).transaction() as connection:
        there = {row["number"] for row in connection.execute("select number from load").fetchall()}
    assert len(acknowledged) > 3
    assert acknowledged <= there


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the supervisor through /proc")
def test_a_stale_pid_file_with_a_reused_pid_does_no_harm(folder: Path) -> None:
    EmbeddedDatabase(folder).url()
    _kill_everything(folder)
    until(lambda: not processes_in(folder / "data"))
    pid_file = folder / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    EmbeddedDatabase(folder).url()
    assert _postmaster(folder) != os.getpid()


def test_threads_share_one_start(folder: Path) -> None:
    database = EmbeddedDatabase(folder)
    urls: set[str] = set()
    threads = [threading.Thread(target=lambda: urls.add(database.url())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urls) == 1


def test_only_an_unused_server_stops_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()  # nothing of the tests before uses it any more
    EmbeddedDatabase(folder).stop()
    monkeypatch.setattr(postgres_server, "_IDLE_SECONDS", 0.4)
    database = EmbeddedDatabase(folder)
    database.url()
    time.sleep(1.2)
    assert processes_in(folder / "data")
    database._server._let_go()  # as when the process ends
    until(lambda: processes_in(folder / "data") == [])


def test_a_folder_that_is_deleted_takes_its_server_along(tmp_path: Path, folder: Path) -> None:
    EmbeddedDatabase(folder).stop()
    copy = tmp_path / "postgres"
    shutil.copytree(folder, copy)
    owner = (folder / "data").stat()
    for path in [copy / "data", *(copy / "data").rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)
    (copy / "data").chmod(0o700)
    EmbeddedDatabase(copy).url()
    pid = _postmaster(copy)
    shutil.rmtree(copy)
    until_gone([pid])


def _refusal(folder: Path) -> str:
    with pytest.raises(DatabaseError) as refused:
        EmbeddedDatabase(folder).url()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_data_folder_that_can_t_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "nothing" / "data").mkdir(parents=True)
    assert "is no PostgreSQL data folder" in _refusal(tmp_path / "nothing")
    (tmp_path / "old" / "data").mkdir(parents=True)
    (tmp_path / "old" / "data" / "PG_VERSION").write_text("12\n")
    assert "made by PostgreSQL 12" in _refusal(tmp_path / "old")
    (tmp_path / "file").write_text("")
    assert "can't be started" in _refusal(tmp_path / "file")


def test_a_full_disk_is_reported_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    process = _python(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            database.url()
        except Exception as error:
            print(type(error).__name__, error)
        """,
        tmp_path / "full",
    )
    said, _ = process.communicate(timeout=280)
    assert said.startswith("DatabaseError the database in ")
    assert "can't be made" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "full" / "data").exists()
    assert not (tmp_path / "full" / "data.new").exists()


@pytest.mark.skipif(not (IS_ROOT and sys.platform == "linux"), reason="only root can become somebody else")
def test_an_ordinary_user_starts_it_too_and_root_finds_it_there() -> None:
    nobody = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp(prefix="dawa test "))
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    try:
        # That user may read through closed folders, so that a Python and a checkout that lie under /root don't matter.
        as_nobody = postgres_server._as(postgres_server.ServerUser(nobody.pw_uid, nobody.pw_gid, "reader"), "exec")
        process = _python("import os; database.url(); print(os.geteuid())", home / "postgres", whom=as_nobody)
        out, err = process.communicate(timeout=280)
        assert out.strip() == str(nobody.pw_uid), err
        assert (home / "postgres" / "data").stat().st_uid == nobody.pw_uid
        with EmbeddedDatabase(home / "postgres").transaction() as connection:
            assert connection.execute("select 1 as one").fetchone() == {"one": 1}
    finally:
        EmbeddedDatabase(home / "postgres").stop()
        shutil.rmtree(home)


@pytest.mark.skipif(not (IS_ROOT and sys.platform == "linux"), reason="only root lends its server another user")
def test_roots_server_runs_as_nobody_with_read_access_only(tmp_path: Path) -> None:
    secret = tmp_path / "closed" / "file"
    secret.parent.mkdir(mode=0o700)
    secret.write_text("read")
    nobody = pwd.getpwnam("nobody")
    program = f"""
import os, sys
print(os.geteuid(), open({str(secret)!r}).read(), os.access({str(secret)!r}, os.R_OK))
for what in (lambda: os.setuid(0), lambda: os.chown({str(secret)!r}, os.geteuid(), -1)):
    try:
        what()
    except PermissionError:
        print("refused")
"""
    as_nobody = postgres_server._as(postgres_server.ServerUser(nobody.pw_uid, nobody.pw_gid, "reader"), "exec")
    done = subprocess.run([*as_nobody, sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == [str(nobody.pw_uid), "read", "True", "refused", "refused"], done.stderr


@pytest.mark.skipif(not (IS_ROOT and sys.platform == "linux"), reason="only root lends its server another user")
def test_root_who_can_become_nobody_runs_it_in_a_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if subprocess.run(["unshare", "--user", "true"], capture_output=True).returncode != 0:
        pytest.skip("user namespaces are switched off here")
    monkeypatch.setattr("resources.database.embedded.postgres_process._is_mapped", lambda _: False)
    database = EmbeddedDatabase(tmp_path / "postgres")
    try:
        with database.transaction() as connection:
            assert connection.execute("select 1 as one").fetchone() == {"one": 1}
        assert (tmp_path / "postgres" / "data").stat().st_uid == 0
    finally:
        database.stop()
