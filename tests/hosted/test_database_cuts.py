"""A build whose connection to the database is cut runs the step again, or fails in one line; the next one ends it.

What each kind of cut does to one transaction is held by the tests of the database; here are whole builds, ten seconds
of CPU each, among the campaigns.
"""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from dawa_assets.defs.policies import retries
from dawa_assets.intake.inbox import upload
from resources.database.hosted import HostedDatabase
from resources.database.migrations import migrate
from resources.errors import DatabaseError
from tests.campaigns.small_artist import NAME, SLUG
from tests.fakes.cutting_proxy import CuttingProxy, cutting_proxy
from tests.fakes.hosted_servers import OWNER, HostedServer, PostgresServer
from tests.hosted.conftest import Undisturbed
from tests.hosted.parts import build, known_artist, small_ports, wrong_in

SAMPLE = (211, 34)  # an answer is lost late in a build, then a question early in the next
SLOW = 120  # cuts of each kind

_numbers = itertools.count(1)


@dataclass(frozen=True)
class _Project:
    """A database of a project in which the small artist is known, and the pooler before it."""

    server: PostgresServer
    pooler: HostedServer
    template: str
    files: Path

    @contextmanager
    def begun(self, folder: Path) -> Iterator[tuple[CuttingProxy, str, str, Path]]:
        """A proxy, the address of a new database through it, the address without it, and a home with an upload."""
        name = f"cut_{next(_numbers)}"
        with psycopg.connect(self.server.admin_url(), autocommit=True) as connection:
            connection.execute(f'create database "{name}" template "{self.template}" owner "{OWNER}"')
        direct, home = self.pooler.url(name), folder / "home"
        upload(small_ports(home, HostedDatabase(direct)), NAME, [self.files])
        with cutting_proxy(self.pooler.port) as proxy:
            yield proxy, make_conninfo(direct, port=proxy.port, sslmode="disable"), direct, home
        self.server.drop_database(name)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step whose connection broke off is run again without the pause."""
    monkeypatch.setattr(retries, "PAUSE_SECONDS", 0.1)


@pytest.fixture(scope="module")
def project(debian_postgres: PostgresServer, pooler: HostedServer, undisturbed: Undisturbed) -> Iterator[_Project]:
    name = "cuts_template"
    debian_postgres.create_database(name)
    migrate(debian_postgres.url(name))
    known_artist(HostedDatabase(debian_postgres.url(name)), NAME)
    yield _Project(debian_postgres, pooler, name, undisturbed.files)
    debian_postgres.drop_database(name)


@pytest.fixture(scope="module")
def pieces(project: _Project, undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How much an undisturbed build sends."""
    folder = tmp_path_factory.mktemp("pieces")
    with project.begun(folder) as (proxy, url, _, home):
        ports = small_ports(home, HostedDatabase(url))
        assert build(ports, SLUG).failures == []
        sent = proxy.pieces
        assert wrong_in(ports, undisturbed.state, folder / "aside") == []
    return sent


def _cut_build(
    project: _Project, proxy: CuttingProxy, home: Path, url: str, number: int, answer_lost: bool
) -> list[str]:
    """Build with the connection cut at one piece; gives what the build said."""
    proxy.cut_at, proxy.answer_lost = {proxy.pieces + number}, answer_lost
    try:
        result = build(small_ports(home, HostedDatabase(url)), SLUG)
    except DatabaseError as error:  # before there was a run
        failures = [str(error)]
    else:
        failures = result.failures
        assert bool(failures) != result.success
    for line in failures:
        assert "\n" not in line
        assert "the connection broke off in the middle; run it again" in line or "it broke the connection off" in line
        assert project.pooler.owner_password not in line
    return failures


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_builds_whose_connections_break_are_ended_by_the_next(
    project: _Project, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """A few cuts, one a build, each a little further on; every build goes on where the one before it ended."""
    with project.begun(tmp_path) as (proxy, url, direct, home):
        said = [_cut_build(project, proxy, home, url, number, bool(number % 2)) for number in SAMPLE]
        assert build(small_ports(home, HostedDatabase(direct)), SLUG).failures == []
        wrong = wrong_in(small_ports(home, HostedDatabase(direct)), undisturbed.state, tmp_path / "aside")
        assert not wrong, "\n".join(["; ".join(each) for each in said] + wrong[:12])
        assert proxy.cuts > len(SAMPLE) // 2, "a build that finds more done says less"


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("answer_lost", [False, True], ids=["question cut", "answer lost"])
def test_one_piece_at_a_time(
    pieces: int, project: _Project, undisturbed: Undisturbed, tmp_path: Path, answer_lost: bool
) -> None:
    tried = range(0, pieces, max(1, pieces // SLOW))
    for number in tried:
        folder = tmp_path / "cut"
        with project.begun(folder) as (proxy, url, direct, home):
            failures = _cut_build(project, proxy, home, url, number, answer_lost)
            assert proxy.cuts == 1 or number > pieces // 2  # a build may say a little less than another
            ports = small_ports(home, HostedDatabase(direct))
            if failures:
                assert build(ports, SLUG).failures == []
            wrong = wrong_in(ports, undisturbed.state, folder / "aside")
            assert not wrong, "\n".join([f"piece {number}", *failures, *wrong[:12]])
        shutil.rmtree(folder)
